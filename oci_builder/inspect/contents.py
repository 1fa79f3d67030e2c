"""What is in an image, as one value: its documents, its layers' entries, and the tree they make together.

Made in one pass per layer; of the files only their digests are kept, and the small ones that describe packages.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import msgspec

from oci_builder.digest import Digest
from oci_builder.errors import UnsupportedImage
from oci_builder.imported.documents import as_object
from oci_builder.overlay import Overlay
from oci_builder.tree.entry import EntryPath

MAX_KEPT_FILE = 16 << 20
"""Bytes of one file that describes packages; the RECORD of the largest wheels has three million."""

MAX_KEPT = 64 << 20
"""Bytes of all such files together."""

_MAX_STEPS = 20_000_000
"""What is looked up for the packages of one image: paths that they list, what they require, links on the way."""

_MAX_LINKS = 40
_DISTRIBUTION = ".dist-info/"
_DIST_INFO = frozenset({"METADATA", "RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json"})
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")


class FileRecord(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One path of a layer. ``size`` is in bytes, 0 for all but files; ``digest`` is the SHA-256 of a file's content.

    ``kind`` is file, directory, symlink, hardlink (whose ``digest`` is that of the file it repeats) or special.
    ``layer`` counts from 1. There may be hundreds of thousands.
    """

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    target: str
    digest: bytes
    layer: int

    @property
    def sha256(self) -> str:
        """The digest in hex."""
        return self.digest.hex()

    @property
    def face(self) -> tuple[str, bytes, str, int, int, int]:
        """What makes two files the same to a container: not their times."""
        kind = "file" if self.kind == "hardlink" else self.kind
        target = self.target if self.kind == "symlink" else ""
        return kind, self.digest, target, self.mode, self.uid, self.gid


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContents:
    """One layer: ``size`` is the blob's in bytes, ``unpacked`` that of its files together.

    ``digest`` is None in docker archives that name layers otherwise; ``diff_id`` is the configuration's word.
    """

    number: int
    digest: Digest | None
    diff_id: str
    size: int
    created_by: str
    files: tuple[FileRecord, ...]
    hidden: tuple[str, ...] = ()

    @property
    def unpacked(self) -> int:
        """Bytes of its files."""
        return sum(record.size for record in self.files)

    @property
    def identity(self) -> str:
        """What two layers with the same content share, however they are compressed."""
        return self.diff_id or str(self.digest)


@dataclass(frozen=True, kw_only=True)
class ImageContents:
    """An image, read. ``name`` is where it came from; ``tree`` is what a container sees, by path.

    ``kept`` holds the files of the tree that describe packages. ``manifest_digest`` is None without a manifest.
    """

    name: str
    config: Mapping[str, object]
    config_digest: Digest
    manifest_digest: Digest | None
    references: tuple[str, ...]
    layers: tuple[LayerContents, ...]
    tree: Mapping[str, FileRecord]
    kept: Mapping[str, bytes]
    annotations: Mapping[str, str] = field(default_factory=dict)
    _steps: list[int] = field(default_factory=lambda: [0], init=False, repr=False, compare=False)

    @property
    def platform(self) -> str:
        """``linux/arm64/v8``, as the configuration says it."""
        parts = (self.config.get(key) for key in ("os", "architecture", "variant"))
        return "/".join(part for part in parts if isinstance(part, str) and part)

    @property
    def architecture(self) -> str:
        """The CPU in Go's word, or nothing."""
        found = self.config.get("architecture")
        return found if isinstance(found, str) else ""

    @property
    def created(self) -> str:
        """When it says it was made (RFC 3339), or nothing."""
        found = self.config.get("created")
        return found if isinstance(found, str) else ""

    @property
    def run(self) -> Mapping[str, object]:
        """How a container is run: the ``config`` object."""
        return as_object(self.config.get("config"))

    @property
    def size(self) -> int:
        """Bytes of all layers as they are stored."""
        return sum(layer.size for layer in self.layers)

    @property
    def unpacked(self) -> int:
        """Bytes of all files a container sees."""
        return sum(record.size for record in self.tree.values())

    @cached_property
    def os_release(self) -> Mapping[str, str]:
        """The fields of os-release(5); empty without one."""
        for path in OS_RELEASE:
            data = self.content(path)
            if data is not None:
                pairs = (line.partition("=") for line in data.decode("utf-8", "replace").splitlines())
                return {name.strip(): value.strip().strip("\"'") for name, sign, value in pairs if sign}
        return {}

    def content(self, path: str) -> bytes | None:
        """A kept file of the tree, symbolic links followed; None where there is none."""
        return self.kept.get(self.resolve(path))

    @cached_property
    def kept_in(self) -> Mapping[str, Sequence[str]]:
        """The paths of ``kept`` by the .dist-info folder that they lie in, at whatever depth."""
        found: dict[str, list[str]] = {}
        for path in self.kept:
            folder, end, _ = path.partition(_DISTRIBUTION)
            if end:
                found.setdefault(folder + end[:-1], []).append(path)
        return found

    @cached_property
    def marks_requested(self) -> bool:
        """Whether an installer that marks what was asked for was at work."""
        return any(path.endswith(".dist-info/REQUESTED") for path in self.kept)

    def spend(self, steps: int) -> None:
        """Count work that the image asks for. Raises UnsupportedImage where it is more than any honest one asks."""
        self._steps[0] += steps
        if self._steps[0] > _MAX_STEPS:
            raise UnsupportedImage(self.name, "its packages list or require more than anybody can follow")

    def resolve(self, path: str) -> str:
        """``path`` with the links of the tree followed; where they go round in circles, as far as one gets.

        Raises UnsupportedImage.
        """
        todo, here, links = list(reversed(path.split("/"))), "", 0
        self.spend(len(todo))
        while todo:
            part = todo.pop()
            if part in ("", ".", ".."):
                here = posixpath.dirname(here) if part == ".." else here
                continue
            step = f"{here}/{part}" if here else part
            record = self.tree.get(step)
            if record is None or record.kind != "symlink" or links >= _MAX_LINKS:
                here = step
                continue
            links += 1
            here = "" if record.target.startswith("/") else here
            more = record.target.split("/")
            self.spend(len(more))
            todo.extend(reversed(more))
        return here


def is_wanted(path: str) -> bool:
    """Whether a file describes packages, so that its content is kept."""
    folder, _, name = path.rpartition("/")
    if folder.endswith(".dist-info"):
        return name in _DIST_INFO
    if ".dist-info/sboms" in folder:
        return True
    if path.startswith("var/lib/dpkg/"):
        return (
            path == "var/lib/dpkg/status"
            or folder == "var/lib/dpkg/status.d"
            or (folder == "var/lib/dpkg/info" and name.endswith(".list"))
        )
    return path in OS_RELEASE or (name == "copyright" and folder.startswith("usr/share/doc/"))


class Deletion(NamedTuple):
    """What a layer deletes: a path ("whiteout"), or all that a folder holds ("opaque")."""

    path: str
    kind: str


class Merge:
    """The tree of a container while its layers are laid on each other, oldest first."""

    def __init__(self, image: str) -> None:
        self._image = image
        self.kept: dict[str, bytes] = {}
        self._overlay: Overlay[FileRecord] = Overlay(_is_folder, lost=self._forget)

    @property
    def tree(self) -> dict[EntryPath, FileRecord]:
        """What a container of the layers so far sees, by path."""
        return self._overlay.seen

    def add(self, files: Sequence[FileRecord], *, hidden: Sequence[str], opaque: Sequence[str]) -> None:
        """Lay on the next layer: what it deletes goes, what it holds comes.

        ``hidden`` are the paths it deletes, ``opaque`` the folders it empties first.
        """
        deletions = [Deletion(path, "whiteout") for path in hidden] + [Deletion(path, "opaque") for path in opaque]
        items: list[FileRecord | Deletion] = [*files, *deletions]
        # By what is listed: links of the layer itself are not followed.
        places = [EntryPath(item.path) for item in items]
        self._overlay.lay(items, places, lambda row, item: files[row])

    def keep(self, kept: Mapping[str, bytes]) -> None:
        """Remember small files of the layer last added. Raises UnsupportedImage past a limit on their size."""
        self.kept.update(kept)
        if sum(map(len, self.kept.values())) > MAX_KEPT:
            raise UnsupportedImage(self._image, f"its packages take more than {MAX_KEPT} bytes to describe")

    def _forget(self, path: str) -> None:
        self.kept.pop(path, None)


def _is_folder(record: FileRecord) -> bool:
    return record.kind == "directory"
