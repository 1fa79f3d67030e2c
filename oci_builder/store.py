"""Blobs by digest and records by key, on disk, shared by many processes at once.

A blob or record is there whole or not at all: it is written aside and renamed. Nobody locks to write: two writers of
one digest write the same bytes. What does not hold when it is read is dropped, and made again by whoever wants it.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from oci_builder.digest import Digest, HashingWriter, digest_file, verified_chunks
from oci_builder.errors import CorruptBlob, DigestMismatch
from oci_builder.exhausted import exhaustion
from oci_builder.files import Lease, begun, clone, discard, explained, forget, unique, unread

LAYOUT = "v1"
_SEAL = b'{"sha256":"%s","record":'
"""How the file of a record begins; the record follows, and a brace. A record that is JSON makes the file JSON."""


class Shared(Protocol):
    """What other machines have made, somewhere else. It may have nothing, and never fails: work is then done here."""

    def fetch(self, kind: str, keys: Collection[str], store: Store) -> None:
        """Keep in ``store`` the records it has under ``keys``, and the blobs they are of."""

    def use(self, kind: str, key: str) -> None:
        """A record was used or made: it may be of use to others."""


class Store:
    """A folder of blobs and records; what ``shared`` has counts as kept. Raises FileProblem when it cannot be used.

    With ``now``, in seconds since 1970, what is asked for is marked as used then: by its file's access time. While the
    object lives, nobody has the store ``alone``.
    """

    def __init__(self, root: Path, *, shared: Shared | None = None, now: int | None = None) -> None:
        self.root, self.shared, self._now = root, shared, now
        self._blobs = root / LAYOUT / "blobs" / "sha256"
        self._records = root / LAYOUT / "records"
        self._scratch = root / LAYOUT / "tmp"
        self._named: set[Digest] = set()
        self._damaged: dict[str, None] = {}
        with explained(root):
            for folder in (self._blobs, self._records, self._scratch):
                folder.mkdir(parents=True, exist_ok=True)
            self._lease = Lease(root / LAYOUT)
        if self._lease.lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
            # Nobody lives who could have begun these.
            for path, info in self.leftovers():
                discard(path, info)
        self._lease.lock(fcntl.LOCK_SH)

    def sharing(self, shared: Shared) -> Store:
        """This store, in use by the same one, with what ``shared`` has."""
        other = copy.copy(self)
        other.shared = shared
        return other

    def beginning_in(self, folder: Path) -> Store:
        """This store, in use by the same one, but for where it begins what is not finished: in a ``scratch`` folder.

        Whoever has that folder can clear away what processes began that were killed.
        """
        other = copy.copy(self)
        other._scratch = folder
        return other

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else uses the store; if so, nobody does until the block is left.

        Where the file system has no locks, whoever asks has to know that nobody does.
        """
        try:
            yield self._lease.lock(fcntl.LOCK_EX | fcntl.LOCK_NB) is not False
        finally:
            self._lease.lock(fcntl.LOCK_SH)

    def kept(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Every finished blob and record, as its file; the access time says when it was used last."""
        for folder in (self._blobs, self._records):
            for path in sorted(folder.rglob("*")):
                with contextlib.suppress(FileNotFoundError):
                    info = path.lstat()
                    if stat.S_ISREG(info.st_mode):
                        yield path, info

    def leftovers(self) -> Iterator[tuple[Path, os.stat_result]]:
        """What processes that were killed left half-written, and what others are writing now."""
        for path in sorted(self._scratch.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.lstat()

    def unsound(self) -> Iterator[Path]:
        """Read all that is kept, and drop and name what is not as it was written."""
        for path, info in list(self.kept()):
            is_blob = path.parent == self._blobs
            if self._sound(Digest(path.name)) if is_blob else self._unsealed(path) is not None:
                unread(path, info)
            else:
                yield path

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        self._named.add(digest)
        return self._blobs / digest.hex

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether a blob is here for us to read, ``size`` bytes long if that is known; its content is not read."""
        path = self.path(digest)
        try:
            whole = size in (None, path.stat().st_size) and os.access(path, os.R_OK, effective_ids=True)
        except OSError:
            return False
        if whole:
            self._use(path)
        else:
            self._damaged[f"cached blob {digest}"] = None
        return whole

    def chunks(self, digest: Digest, size: int) -> Iterator[bytes]:
        """The blob's bytes, checked on the way. One that does not hold is dropped, and CorruptBlob raised."""
        try:
            with self.path(digest).open("rb") as stream:
                yield from verified_chunks(stream, digest=digest, size=size, what=f"cached blob {digest}")
        except DigestMismatch as error:
            self._drop_damaged(digest)
            raise CorruptBlob(error.what, expected=error.expected, actual=error.actual) from error
        except OSError as error:
            # Where we have no more files or memory to read it with, it is none the worse for that.
            if (ran_out := exhaustion(error)) is not None:
                raise ran_out from error
            self._drop_damaged(digest)
            why = "none" if isinstance(error, FileNotFoundError) else os.strerror(error.errno or errno.EIO).lower()
            raise CorruptBlob(f"cached blob {digest}", expected="a file", actual=why) from error

    def read(self, digest: Digest, size: int) -> bytes:
        """The whole of a small blob, checked. Raises CorruptBlob."""
        return b"".join(self.chunks(digest, size))

    def copy(self, digest: Digest, size: int, sink: BinaryIO) -> None:
        """Write the blob to ``sink``, a new file, checked; nothing is copied where the file system shares blocks.

        Raises CorruptBlob.
        """
        cloned = clone(self.path(digest), sink)
        for chunk in self.chunks(digest, size):
            if not cloned:
                sink.write(chunk)

    def drop(self, digest: Digest) -> None:
        """Forget a blob; without one nothing happens."""
        forget(self.path(digest))

    def drop_damaged(self) -> None:
        """Read every blob that this object was asked for, and drop those that do not hold what they say.

        For when something in them turned out wrong: what is still here afterwards is not to blame.
        """
        for digest in sorted(self._named):
            self._sound(digest)

    def told_damaged(self) -> tuple[str, ...]:
        """What was found damaged and is as good as gone, since this was asked last."""
        told = tuple(self._damaged)
        self._damaged.clear()
        return told

    def put_bytes(self, data: bytes) -> Digest:
        """Keep ``data`` and return its digest; keeping it twice is keeping it once."""
        with self.writer() as sink:
            sink.write(data)
        return sink.digest()

    def put_file(self, source: Path, *, digest: Digest, size: int, what: str) -> None:
        """Keep a copy of a file that must be ``digest`` and ``size`` bytes. Raises DigestMismatch, FileProblem."""
        with explained(source), source.open("rb") as stream, self._placed(lambda: self.path(digest)) as sink:
            cloned = clone(source, sink)
            for chunk in verified_chunks(stream, digest=digest, size=size, what=what):
                if not cloned:
                    sink.write(chunk)

    @contextlib.contextmanager
    def writer(self) -> Iterator[HashingWriter]:
        """Yield a sink; what was written is kept, under its digest, on a clean exit. Raises FileProblem."""
        with self._placed(lambda: self.path(sink.digest())) as file:
            sink = HashingWriter(file)
            yield sink

    def record(self, kind: str, key: str) -> bytes | None:
        """What was kept under ``key``, or None."""
        self.expect(kind, [key])
        data = self._record(kind, key)
        if data is not None and self.shared is not None:
            self.shared.use(kind, key)
        return data

    def expect(self, kind: str, keys: Collection[str]) -> None:
        """The records will be asked for: what ``shared`` has of them is fetched together."""
        if self.shared is not None and (missing := [key for key in keys if self._record(kind, key) is None]):
            self.shared.fetch(kind, missing, self)

    def put_record(self, kind: str, key: str, data: bytes) -> None:
        """Keep ``data`` under ``key``, in place of what was there."""
        path = self._record_path(kind, key)
        with explained(self.root):
            path.parent.mkdir(exist_ok=True)
        with self._placed(lambda: path) as sink:
            sink.write(_SEAL % Digest.of(data).hex.encode() + data + b"}")
        if self.shared is not None:
            self.shared.use(kind, key)

    def drop_record(self, kind: str, key: str) -> None:
        """Forget a record; without one nothing happens."""
        forget(self._record_path(kind, key))

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder that is gone afterwards. Raises FileProblem."""
        folder = self._scratch / unique()
        try:
            with explained(self.root):
                folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def without(self, kind: str) -> Iterator[Store]:
        """A store with all blobs and records of this one but those of ``kind``; new ones of that are gone afterwards.

        For doing again what has been done. Raises FileProblem.
        """
        with self.scratch() as folder:
            with explained(folder):
                records = folder / LAYOUT / "records"
                records.mkdir(parents=True)
                (folder / LAYOUT / "blobs").symlink_to(self._blobs.parent.absolute())
                for kept in self._records.iterdir():
                    if kept.name != kind:
                        (records / kept.name).symlink_to(kept.absolute())
            yield Store(folder)

    @contextlib.contextmanager
    def _placed(self, place: Callable[[], Path]) -> Iterator[BinaryIO]:
        path = self._scratch / unique()
        with begun(path, place=self.root) as file:
            yield file
            with explained(self.root):
                file.flush()
                path.chmod(0o644)
                path.replace(place())

    def _use(self, path: Path) -> None:
        if self._now is not None:
            # Another's cache may be readable and no more.
            with contextlib.suppress(OSError):
                os.utime(path, ns=(self._now * 10**9, path.stat().st_mtime_ns))

    def _sound(self, digest: Digest) -> bool:
        try:
            actual, _ = digest_file(str(self.path(digest)))
        except OSError:
            return True  # not here, or not readable: dropping it would mend nothing
        if actual != digest:
            self._drop_damaged(digest)
        return actual == digest

    def _drop_damaged(self, digest: Digest) -> None:
        self.drop(digest)
        self._damaged[f"cached blob {digest}"] = None

    def _record(self, kind: str, key: str) -> bytes | None:
        path = self._record_path(kind, key)
        data = self._unsealed(path)
        if data is not None:
            self._use(path)
        return data

    def _unsealed(self, path: Path) -> bytes | None:
        """The record in a file, or None; one that is not as it was written is dropped."""
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            if (ran_out := exhaustion(error)) is not None:
                raise ran_out from error
            raw = b""  # another's, or on a failing disk: as good as damaged
        start = len(_SEAL % bytes(64))
        data = raw[start:-1]
        if raw[:start] == _SEAL % Digest.of(data).hex.encode() and raw.endswith(b"}"):
            return data
        forget(path)
        self._damaged[f"cached record {path.parent.name}/{path.stem[:12]}"] = None
        return None

    def _record_path(self, kind: str, key: str) -> Path:
        return self._records / kind / f"{key}.json"
