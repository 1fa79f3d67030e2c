"""Blobs by digest and records by key, on disk, shared by many processes at once.

A blob or record is there whole or not at all: it is written beside its place and renamed. Nobody locks: two writers of
one digest write the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from oci_builder.digest import CHUNK, Digest, HashingWriter, digest_file, verified_chunks
from oci_builder.errors import CorruptBlob, DigestMismatch, FileProblem

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

LAYOUT = "v1"
_PARTIAL = ".new-"


class Store:
    """A folder of blobs and records. Raises FileProblem when the folder cannot be used."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / LAYOUT / "blobs" / "sha256"
        self._records = root / LAYOUT / "records"
        self._scratch = root / LAYOUT / "tmp"
        self._named: set[Digest] = set()
        with explained(root):
            for folder in (self._blobs, self._records, self._scratch):
                folder.mkdir(parents=True, exist_ok=True)

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        self._named.add(digest)
        return self._blobs / digest.hex

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether a blob is here, and as long as ``size`` bytes if that is known; its content is not read."""
        try:
            return size in (None, self.path(digest).stat().st_size)
        except OSError:
            return False

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
        with explained(self.root):
            handle, name = tempfile.mkstemp(dir=self._blobs, prefix=_PARTIAL)
        with _discarded_on_error(Path(name)):
            with _written(handle, self.root) as file:
                sink = HashingWriter(file)
                yield sink
            with explained(self.root):
                os.chmod(name, 0o644)
                Path(name).replace(self.path(sink.digest()))

    def record(self, kind: str, key: str) -> bytes | None:
        """What was kept under ``key``, or None."""
        try:
            return self._record_path(kind, key).read_bytes()
        except OSError:
            return None

    def put_record(self, kind: str, key: str, data: bytes) -> None:
        """Keep ``data`` under ``key``, in place of what was there."""
        path = self._record_path(kind, key)
        with explained(self.root):
            path.parent.mkdir(exist_ok=True)
        with atomic(path) as sink:
            sink.write(data)

    def drop_record(self, kind: str, key: str) -> None:
        """Forget a record; without one nothing happens."""
        self._record_path(kind, key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder that is gone afterwards. Raises FileProblem."""
        with explained(self.root):
            folder = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
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

    def _sound(self, digest: Digest) -> bool:
        try:
            actual, _ = digest_file(str(self.path(digest)))
        except OSError:
            return True  # not here, or not readable: dropping it would mend nothing
        if actual != digest:
            self.drop(digest)
        return actual == digest

    def _record_path(self, kind: str, key: str) -> Path:
        return self._records / kind / f"{key}.json"


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream whose bytes appear at ``path`` whole on a clean exit, and nowhere otherwise.

    The mode is what the umask says of a new file. Raises FileProblem.
    """
    name = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with explained(path):
        # Not by tempfile, which knows no umask: what appears at the end has a new file's usual mode.
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with _discarded_on_error(name):
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


@contextlib.contextmanager
def _discarded_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
