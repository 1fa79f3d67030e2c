"""Blobs by digest and records by key, on disk, shared by many processes at once.

A blob or record is there whole or not at all: it is written beside its place and renamed. Nobody locks: two writers of
one digest write the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import secrets
import shutil
import stat
import weakref
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from oci_builder.digest import CHUNK, Digest, HashingWriter, digest_file, verified_chunks
from oci_builder.errors import CorruptBlob, DigestMismatch, FileProblem

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

LAYOUT = "v1"
_PARTIAL = ".new-"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


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
        with explained(root):
            for folder in (self._blobs, self._records, self._scratch):
                folder.mkdir(parents=True, exist_ok=True)
            self._lease = os.open(root / LAYOUT, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._lease)
        # Where the file system has no locks, whoever prunes has to know that nobody builds.
        with contextlib.suppress(OSError):
            fcntl.flock(self._lease, fcntl.LOCK_SH)

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else uses the store; if so, nobody does until the block is left."""
        try:
            fcntl.flock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError:
            yield True
        else:
            yield True
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(self._lease, fcntl.LOCK_SH)

    def kept(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Every finished blob and record, as its file; the access time says when it was used last."""
        for folder in (self._blobs, self._records):
            for path in sorted(folder.rglob("*")):
                with contextlib.suppress(FileNotFoundError):
                    info = path.lstat()
                    if stat.S_ISREG(info.st_mode) and not path.name.startswith("."):
                        yield path, info

    def leftovers(self) -> Iterator[tuple[Path, os.stat_result]]:
        """What processes that were killed left half-written, and what others are writing now."""
        hidden = (path for folder in (self._blobs, self._records) for path in folder.rglob(".*"))
        for path in sorted((*hidden, *self._scratch.iterdir())):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.lstat()

    def unsound(self) -> Iterator[Path]:
        """Read every blob, and drop and name those that do not hold what their names say."""
        for path in sorted(self._blobs.iterdir()):
            if not path.name.startswith(".") and not self._sound(Digest(path.name)):
                yield path

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        self._named.add(digest)
        return self._blobs / digest.hex

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether a blob is here, and as long as ``size`` bytes if that is known; its content is not read."""
        try:
            found = size in (None, self.path(digest).stat().st_size)
        except OSError:
            return False
        self._use(self.path(digest))
        return found

    def chunks(self, digest: Digest, size: int) -> Iterator[bytes]:
        """The blob's bytes, checked on the way. One that does not hold is dropped, and CorruptBlob raised."""
        try:
            with self.path(digest).open("rb") as stream:
                yield from verified_chunks(stream, digest=digest, size=size, what=f"cached blob {digest}")
        except FileNotFoundError as error:
            raise CorruptBlob(f"cached blob {digest}", expected="a file", actual="none") from error
        except DigestMismatch as error:
            self.drop(digest)
            raise CorruptBlob(error.what, expected=error.expected, actual=error.actual) from error

    def read(self, digest: Digest, size: int) -> bytes:
        """The whole of a small blob, checked. Raises CorruptBlob."""
        return b"".join(self.chunks(digest, size))

    def drop(self, digest: Digest) -> None:
        """Forget a blob; without one nothing happens."""
        self.path(digest).unlink(missing_ok=True)

    def drop_damaged(self) -> tuple[Digest, ...]:
        """Read every blob that this object was asked for; those that do not hold what they say are dropped, and told.

        For when something in them turned out wrong: what is still here afterwards is not to blame.
        """
        return tuple(digest for digest in sorted(self._named) if not self._sound(digest))

    def put_bytes(self, data: bytes) -> Digest:
        """Keep ``data`` and return its digest; keeping it twice is keeping it once."""
        with self.writer() as sink:
            sink.write(data)
        return sink.digest()

    def put_file(self, source: Path, *, digest: Digest, size: int, what: str) -> None:
        """Keep a copy of a file that must be ``digest`` and ``size`` bytes. Raises DigestMismatch, FileProblem."""
        with explained(source), source.open("rb") as stream, self.writer() as sink:
            for chunk in verified_chunks(stream, digest=digest, size=size, what=what):
                sink.write(chunk)

    @contextlib.contextmanager
    def writer(self) -> Iterator[HashingWriter]:
        """Yield a sink; what was written is kept, under its digest, on a clean exit. Raises FileProblem."""
        path = self._blobs / f"{_PARTIAL}{_unique()}"
        with _discarded_on_error(path):
            with explained(self.root):
                handle = os.open(path, _NEW, 0o600)
            with _written(handle, self.root) as file:
                sink = HashingWriter(file)
                yield sink
            with explained(self.root):
                path.chmod(0o644)
                path.replace(self.path(sink.digest()))

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
        with atomic(path) as sink:
            sink.write(data)
        if self.shared is not None:
            self.shared.use(kind, key)

    def drop_record(self, kind: str, key: str) -> None:
        """Forget a record; without one nothing happens."""
        self._record_path(kind, key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder that is gone afterwards. Raises FileProblem."""
        folder = self._scratch / _unique()
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
            self.drop(digest)
        return actual == digest

    def _record(self, kind: str, key: str) -> bytes | None:
        try:
            data = self._record_path(kind, key).read_bytes()
        except OSError:
            return None
        self._use(self._record_path(kind, key))
        return data

    def _record_path(self, kind: str, key: str) -> Path:
        return self._records / kind / f"{key}.json"


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream whose bytes appear at ``path`` whole on a clean exit, and nowhere otherwise.

    The mode is what the umask says of a new file. Raises FileProblem.
    """
    name = path.with_name(f".{path.name}.{_unique()}")
    with _discarded_on_error(name):
        with explained(path):
            # Not by tempfile, which knows no umask: what appears at the end has a new file's usual mode.
            handle = os.open(name, _NEW, 0o666)
        with _written(handle, path) as file:
            yield file
        with explained(path):
            name.replace(path)


@contextlib.contextmanager
def spooled(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream that fills the file ``path``. Trouble with that file, and no other, raises FileProblem."""
    with explained(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    with _written(handle, path) as sink:
        yield sink


class _Sink(io.BufferedWriter):
    """A file whose own failures name ``place``; those of whoever writes to it pass by as they are."""

    place: Path

    def write(self, data: Buffer, /) -> int:
        with explained(self.place):
            return super().write(data)


@contextlib.contextmanager
def _written(handle: int, place: Path) -> Iterator[BinaryIO]:
    sink = _Sink(io.FileIO(handle, "wb"), CHUNK)
    sink.place = place
    try:
        yield sink
        with explained(place):
            sink.flush()
    finally:
        # Nothing is lost by it: what was to be kept is flushed, and the rest is about to be removed.
        with contextlib.suppress(OSError):
            sink.close()


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError about this machine's files into a FileProblem that names ``path``."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "free some space there, or name another place with --cache-dir or --out",
            errno.EACCES: "check the permissions, or name another place with --cache-dir or --out",
            errno.EROFS: "that file system is read-only; name another place with --cache-dir or --out",
        }
        hint = hints.get(error.errno or 0)
        raise FileProblem(str(path), os.strerror(error.errno or errno.EIO).lower(), hint=hint) from error


def _unique() -> str:
    # Named before it is made: a signal between the making and the guarding of a file would leave it behind.
    return f"{os.getpid()}-{secrets.token_hex(8)}"


@contextlib.contextmanager
def _discarded_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
