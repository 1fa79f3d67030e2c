"""Knowing that there is nothing to make: all that went into images is as it was when they were written.

What went into them was noted by whoever read it (``oci_builder.inputs``); nothing is guessed here. See
docs/decisions/unchanged.md. Imports nothing heavy, for it must cost less than what it saves.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import oci_builder
from oci_builder.errors import FileProblem
from oci_builder.inputs import MOST, NOISE, InputSet, Recording, is_recent, look
from oci_builder.values import Value
from oci_builder.version import __version__

if TYPE_CHECKING:
    from oci_builder.store import Store

_KIND = "unchanged"
_FORMAT = 4
"""Raised when the records hold something else than before."""

_LIBRARIES = ("click", "deflate", "installer", "msgspec", "packaging")
"""Those that decide bytes; a new version of one has another name in the folder where it lies."""


class RememberedFile(Value):
    """One image in a file of its own: under which names, and the documents that it is written from again."""

    file: str
    references: Sequence[str]
    manifest: str
    config: str


class Told(Value):
    """What was said of a build: a line and a document for each image, and notes."""

    summaries: Sequence[str]
    documents: Sequence[Mapping[str, Any]]
    notes: Sequence[str]


class PreviousBuild(Value):
    """What the same command made before, from what is still as it was.

    ``key`` is that of its record. ``changed`` are outputs that are not as they were left; without any there is nothing
    to do but to ask whether the names in ``pushed`` still have the digests that they were given. ``images`` are those
    that have a file.
    """

    key: str
    told: Told
    changed: Sequence[str]
    pushed: Mapping[str, str]
    images: Sequence[RememberedFile]

    @property
    def rewritable(self) -> tuple[RememberedFile, ...]:
        """The images whose files are to be written again; none, where that is not all there is to do."""
        files = {image.file: image for image in self.images}
        return tuple(files[path] for path in self.changed) if files.keys() >= set(self.changed) else ()


class Memory(Value):
    """What ``store`` remembers of one command: ``said`` is all that was said, ``environ`` where."""

    store: Store
    said: Mapping[str, object]
    environ: Mapping[str, str]

    def find(self, served: Callable[[Mapping[str, str]], bool]) -> PreviousBuild | None:
        """What the same command made, if it would make the same again.

        ``served`` asks registries whether names still have the digests that they had.
        """
        # Where nobody knows which variables decide, each environment has a record of its own: two terminals take turns.
        for key in (self.key(whole=False), self.key(whole=True)):
            known = self._record(key)
            try:
                if known is None or known["program"] != _program(None):
                    continue
                if InputSet(**known["inputs"]).is_current(self.environ, served):
                    return PreviousBuild(
                        key=key,
                        told=Told(**known["told"]),
                        # One that was gone when it was looked at last is not there either where it still is gone.
                        changed=[path for path, seen in known["outputs"].items() if not seen or look(path) != seen],
                        pushed=dict(known["pushed"]),
                        images=[RememberedFile(**image) for image in known["images"]],
                    )
            except (KeyError, TypeError, ValueError, AttributeError):
                continue
        return None

    def refresh(self, before: PreviousBuild) -> None:
        """Files have been written again, and are remembered as they are now."""
        known = self._record(before.key)
        if known is not None:
            self._put(before.key, {**known, "outputs": {path: look(path) for path in known["outputs"]}})

    def keep(
        self,
        recording: Recording,
        *,
        told: Told,
        outputs: Iterable[Path],
        images: Sequence[RememberedFile],
        pushed: Mapping[str, str],
    ) -> None:
        """Remember a finished build, if all that decided it can be watched and is as it was when it was read."""
        inputs, program = _with_libraries(recording.found(self.environ), recording), _program(recording.moment)
        written = list(islice((path for each in outputs for path in _files(str(each.absolute()))), MOST + 1))
        # A lock that was written meanwhile, or a recipe somebody edited: the next build is remembered.
        if program is None or len(written) > MOST or not inputs.is_current(self.environ, _just_asked):
            return
        document = {
            "inputs": inputs.document(),
            "program": program,
            "outputs": {path: look(path) for path in written},
            "pushed": dict(pushed),
            "told": dict(vars(told)),
            "images": [dict(vars(image)) for image in images],
        }
        self._put(self.key(whole=inputs.names is None), document)

    def _record(self, key: str) -> dict[str, Any] | None:
        data = self.store.record(_KIND, key)
        try:
            known = json.loads(data) if data is not None else None
        except (ValueError, RecursionError):
            return None
        return known if isinstance(known, dict) else None

    def _put(self, key: str, known: Mapping[str, object]) -> None:
        # What was made stands; that the next build will not know it is no failure of this one.
        with contextlib.suppress(FileProblem):
            self.store.put_record(_KIND, key, json.dumps(known).encode())

    def key(self, *, whole: bool) -> str:
        """Under which the command is remembered, with its ``whole`` environment or without."""
        # A digest, for the environment may hold what should not lie about.
        world = sorted((name, value) for name, value in self.environ.items() if name not in NOISE) if whole else []
        said = [_FORMAT, __version__, sys.version, str(Path.cwd()), sorted(self.said.items()), world]
        return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()


def _program(moment: int | None) -> str | None:
    """A digest of what ocibuild's own files are like; None where one changed since ``moment``."""
    files = {path: look(path) for path in _files(str(Path(oci_builder.__file__).parent)) if path.endswith(".py")}
    if moment is not None and any(is_recent(seen, moment) for seen in files.values()):
        return None
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()


def _with_libraries(inputs: InputSet, recording: Recording) -> InputSet:
    """The inputs, and the names in the folders of libraries among them: they tell their versions."""
    libraries = Recording(clock=recording.clock)
    for name in _LIBRARIES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            libraries.note_names(str(Path(file).parent.parent))
    return inputs.but(listings={**inputs.listings, **libraries.listings})


def _just_asked(_: Mapping[str, str]) -> bool:
    return True


def _files(place: str) -> Iterator[str]:
    """A file is itself; of a folder, all files in it: its own times say nothing of them. Raises nothing."""
    # Strings: paths of pathlib for the hundreds of files of ocibuild itself took a tenth of a start.
    if look(place) != [stat.S_IFDIR]:
        yield place
    for here, _, files in os.walk(place):
        yield from (f"{here}/{name}" for name in files)
