"""The digests of files, remembered by what the file system says of each, as git's index remembers them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import msgspec

from oci_builder import inputs
from oci_builder.digest import Digest, digest_file
from oci_builder.store import Store

RECORDS = "file-digests"
"""The kind of the records in a store; they are of this machine, and no shared cache has them."""


class _Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the file system said of a file when it was hashed, and its digest in hex."""

    seen: tuple[int, int, int, int, int, int]
    sha256: str


class FileDigests(AbstractContextManager["FileDigests"]):
    """The digests of the files that one thing is made of, which ``name`` tells from all others.

    A file is hashed again as soon as its inode, size or times are others. One that changed so shortly before it was
    hashed that one more change could have the same time is not remembered (git's racy-git.txt); the clock that tells
    is that of the file system, so that whoever uses this needs none. On a clean exit what was asked for is kept.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._key = store, Digest.of(os.fsencode(name)).hex
        self._known = self._read()
        self._asked: dict[str, _Known] = {}
        self._moment: int | None = None
        self._changed = False

    def of(self, path: Path, info: os.stat_result, read: Callable[[], Digest] | None = None) -> Digest:
        """The digest of the file at ``path``, of which ``info`` was just said; ``read`` hashes it where it has to be.

        Raises OSError, and what ``read`` raises.
        """
        inputs.note_file(path, info)
        place = str(path)
        seen = (info.st_mode, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        # What names a file need not be letters; two that are written alike are told apart by what was seen of them.
        noted = place if place.isascii() else os.fsencode(place).decode("utf-8", "backslashreplace")
        known = self._asked.get(noted) or self._known.get(noted)
        if known is None or known.seen != seen:
            # Before it is hashed: what is written from now on has a later time, or is too young to be remembered.
            moment = self._now()
            found = digest_file(place)[0] if read is None else read()
            if inputs.is_recent(list(seen), moment):
                self._changed = self._changed or noted in self._known
                return found
            known, self._changed = _Known(seen, found.hex), True
        self._asked[noted] = known
        return Digest(known.sha256)

    def at(self, path: Path) -> Digest:
        """The digest of the file that ``path`` leads to. Raises OSError."""
        return self.of(path, path.stat())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and (self._changed or len(self._asked) != len(self._known)):
            self._store.put_record(RECORDS, self._key, msgspec.json.encode(self._asked))

    def _now(self) -> int:
        if self._moment is None:
            with self._store.scratch() as made:
                self._moment = made.stat().st_mtime_ns
        return self._moment

    def _read(self) -> dict[str, _Known]:
        data = self._store.record(RECORDS, self._key)
        if data is None:
            return {}
        try:
            return msgspec.json.decode(data, type=dict[str, _Known])
        except msgspec.MsgspecError:
            self._store.drop_record(RECORDS, self._key)
            return {}
