"""Blobs by digest and records by key, on disk, shared by many processes at once.

A blob or record is there whole or not at all: it is written aside and renamed. Nobody locks to write: two writers of
one digest write the same bytes. What does not hold when it is read is dropped, and made again by whoever wants it.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from oci_builder import machine
from oci_builder.digest import Digest, HashingWriter, digest_file, verified_chunks
from oci_builder.errors import CorruptBlob, DigestMismatch, FileProblem
from oci_builder.exhausted import exhaustion
from oci_builder.files import Lease, begun, clone, explained, open_regular, read_back, unique, unread
from oci_builder.folders import Folder, make_folder

LAYOUT = "v1"
_MODE = 0o755
"""Of new folders: others may look, where the umask lets them, and nobody may put anything there."""

_OWN = "name a folder of your own with --cache-dir"

_SEAL = b'{"sha256":"%s","record":'
"""How the file of a record begins; the record follows, and a brace. A record that is JSON makes the file JSON."""

_SEAL_SIZE = len(_SEAL % bytes(64))


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
        self._named: set[Digest] = set()
        self._damaged: dict[str, None] = {}
        with explained(root):
            make_folder(root, mode=_MODE)
            # One like /tmp will do: the folders in it are looked at in their turn.
            top = Folder(root)
            top.expect_ours(hint=_OWN, shared=True)
            layout = _inner(top, LAYOUT)
            self._blobs = _inner(_inner(layout, "blobs"), "sha256")
            self._records = _inner(layout, "records")
            self._scratch = _inner(layout, "tmp")
            self._kinds: dict[str, Folder] = {}
            self._lease = Lease(layout)
        if self._lease.lock():
            # Nobody lives who could have begun these.
            for name, _ in self.leftovers():
                self._scratch.discard(name)
        # To turn a lock into another is to give it back and to take a new one (flock(2)). Whoever comes between finds
        # nothing of ours begun.
        self._lease.share()

    def __reduce__(self) -> tuple[Any, ...]:
        # Open folders and locks stay with their process: another opens the same ones. It is told what of them is not
        # where the root has it; what ``shared`` has was expected before work was shared out.
        given = {kind: folder.path for kind, folder in self._kinds.items() if folder.path.parent != self._records.path}
        return (_opened, (self.root, self._now, self._scratch.path, given))

    def __copy__(self) -> Store:
        other = Store.__new__(Store)
        other.__dict__.update(self.__dict__)
        return other

    def sharing(self, shared: Shared) -> Store:
        """This store, in use by the same one, with what ``shared`` has."""
        # Not another Store: the copy has a part in the lease and in both notes, so what either names, or finds damaged,
        # is known to both, and the store is in use until the last of them goes.
        other = copy.copy(self)
        other.shared = shared
        return other

    def beginning_in(self, folder: Path) -> Store:
        """This store, in use by the same one, but for where it begins what is not finished: in a ``scratch`` folder.

        Whoever has that folder can clear away what processes began that were killed. Raises FileProblem.
        """
        other = copy.copy(self)
        with explained(self.root):
            other._scratch = Folder(folder, at=self._scratch)
        return other

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else uses the store; if so, nobody does until the block is left.

        Where the file system has no locks, whoever asks has to know that nobody does.
        """
        try:
            # Tried, never waited for: others have it in use for as long as their builds take.
            yield self._lease.lock() is not False
        finally:
            # Also where we did not get it alone: trying to has given back the share that we had (flock(2)).
            self._lease.share()

    def kept(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Every finished blob and record, as its file; the access time says when it was used last."""
        kinds = [name for name, info in self._records.listing() if stat.S_ISDIR(info.st_mode)]
        for folder in (self._blobs, *(self._kind(name) for name in kinds)):
            for name, info in folder.listing():
                if stat.S_ISREG(info.st_mode):
                    yield folder.path / name, info

    def remove(self, path: Path) -> None:
        """Remove a file that is ``kept``. Raises OSError."""
        folder = self._blobs if path.parent == self._blobs.path else self._kind(path.parent.name)
        with contextlib.suppress(FileNotFoundError):
            folder.remove(path.name)

    def leftovers(self) -> Iterator[tuple[str, os.stat_result]]:
        """What processes that were killed left half-written, and what others are writing now."""
        yield from self._scratch.listing()

    def discard(self, name: str) -> None:
        """Remove one of the ``leftovers``, or as much of it as can be."""
        self._scratch.discard(name)

    def unsound(self) -> Iterator[Path]:
        """Read all that is kept, and drop and name what is not as it was written."""
        for path, info in list(self.kept()):
            is_blob = path.parent == self._blobs.path
            if self._sound(Digest(path.name)) if is_blob else self._unsealed(path.parent.name, path.name) is not None:
                unread(path, info)
            else:
                yield path

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be. It counts as asked for: ``drop_damaged`` reads it.

        Nothing is checked, and it may be gone by the time it is opened.
        """
        # Whoever has the path reads behind our back: should what they make of it be wrong, this blob may be to blame.
        self._named.add(digest)
        return self._blobs.path / digest.hex

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether a blob is here for us to read, ``size`` bytes long if that is known; its content is not read.

        It counts as asked for, and as used now if it is here: pruning takes what was used least recently.
        """
        path = self.path(digest)
        try:
            info = path.lstat()
            whole = size in (None, info.st_size) and machine.may(path, os.R_OK)
        except OSError:
            return False
        whole = whole and stat.S_ISREG(info.st_mode)
        if whole:
            self._use(path)
        else:
            # What is not there was never made or was pruned; what is there and is not this was damaged.
            self._damaged[f"cached blob {digest}"] = None
        return whole

    def chunks(self, digest: Digest, size: int) -> Iterator[bytes]:
        """The blob's bytes, checked on the way. One that does not hold is dropped, and CorruptBlob raised."""
        with self._dropped_if_damaged(digest), open_regular(self.path(digest)) as stream:
            yield from verified_chunks(stream, digest=digest, size=size, what=f"cached blob {digest}")

    @contextlib.contextmanager
    def _dropped_if_damaged(self, digest: Digest) -> Iterator[None]:
        try:
            yield
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
        if not clone(self.path(digest), sink):
            for chunk in self.chunks(digest, size):
                sink.write(chunk)
            return
        # The clone is what is handed on: its blob may be another by now.
        with self._dropped_if_damaged(digest), read_back(sink) as stream:
            for _ in verified_chunks(stream, digest=digest, size=size, what=f"cached blob {digest}"):
                pass

    def drop(self, digest: Digest) -> None:
        """Forget a blob; without one nothing happens."""
        self._blobs.forget(digest.hex)

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
        with explained(source), self._placed(self._blobs, lambda: digest.hex) as sink:
            cloned = clone(source, sink)
            # The clone is what is kept: its source may be another by now.
            with read_back(sink) if cloned else open_regular(source) as stream:
                for chunk in verified_chunks(stream, digest=digest, size=size, what=what):
                    if not cloned:
                        sink.write(chunk)

    @contextlib.contextmanager
    def writer(self) -> Iterator[HashingWriter]:
        """Yield a sink; what was written is kept, under its digest, on a clean exit. Raises FileProblem."""
        with self._placed(self._blobs, lambda: sink.digest().hex) as file:
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

    def put_record(self, kind: str, key: str, data: bytes | Iterable[bytes]) -> None:
        """Keep ``data``, a large one in pieces, under ``key``, in place of what was there."""
        with explained(self.root):
            folder = self._kind(kind)
        with self._placed(folder, lambda: f"{key}.json") as sink:
            if isinstance(data, bytes):
                sink.write(_SEAL % Digest.of(data).hex.encode() + data + b"}")
            else:
                _write_sealed(sink, data)
        if self.shared is not None:
            self.shared.use(kind, key)

    def drop_record(self, kind: str, key: str) -> None:
        """Forget a record; without one nothing happens."""
        with contextlib.suppress(OSError):
            self._kind(kind).forget(f"{key}.json")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder that is gone afterwards. Raises FileProblem."""
        name = unique()
        try:
            with explained(self.root):
                os.mkdir(name, 0o700, dir_fd=self._scratch.handle)
            yield self._scratch.path / name
        finally:
            self._scratch.discard(name)

    @contextlib.contextmanager
    def without(self, kind: str) -> Iterator[Store]:
        """A store with all blobs and records of this one but those of ``kind``; new ones of that are gone afterwards.

        For doing again what has been done. Raises FileProblem.
        """
        with self.scratch() as folder:
            other = copy.copy(self)
            # Notes of its own: what is done again is done to be compared, and what it reads is no use of the cache.
            other.shared, other._now, other._named, other._damaged = None, None, set(), {}
            with explained(folder):
                other._kinds = {kind: Folder(folder)}
            yield other

    @contextlib.contextmanager
    def _placed(self, folder: Folder, name: Callable[[], str]) -> Iterator[BinaryIO]:
        begin = unique()
        with begun(self._scratch, begin, place=self.root) as file:
            yield file
            with explained(self.root):
                file.flush()
                # For whoever may enter the cache; no umask has a say in what others may write.
                machine.give_mode(file.fileno(), 0o644)
                try:
                    self._scratch.rename(begin, folder, name())
                except IsADirectoryError:
                    # A file takes a file's place in one step, and a folder's never: somebody has made one in our cache.
                    folder.discard(name())
                    self._scratch.rename(begin, folder, name())

    def _use(self, path: Path) -> None:
        if self._now is not None:
            # Another's cache may be readable and no more.
            with contextlib.suppress(OSError):
                os.utime(path, ns=(self._now * 10**9, path.lstat().st_mtime_ns), follow_symlinks=False)

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
        name = f"{key}.json"
        data = self._unsealed(kind, name)
        if data is not None:
            self._use(self._kind(kind).path / name)
        return data

    def _unsealed(self, kind: str, name: str) -> bytes | None:
        """The record in a file, or None; one that is not as it was written is dropped."""
        try:
            path = self._kind(kind, make=False).path / name
        except OSError:
            return None
        try:
            with open_regular(path) as stream:
                seal = stream.read(_SEAL_SIZE)
                # Not all of it at once: cutting the brace off would be a copy, and some records are megabytes.
                data = stream.read(max(os.fstat(stream.fileno()).st_size - _SEAL_SIZE - 1, 0))
                end = stream.read(2)
        except FileNotFoundError:
            return None
        except OSError as error:
            if (ran_out := exhaustion(error)) is not None:
                raise ran_out from error
            seal = data = end = b""  # another's, or on a failing disk: as good as damaged
        if seal == _SEAL % Digest.of(data).hex.encode() and end == b"}":
            return data
        self._kind(kind).forget(name)
        self._damaged[f"cached record {kind}/{path.stem[:12]}"] = None
        return None

    def _kind(self, kind: str, *, make: bool = True) -> Folder:
        """The folder of a kind of records. Raises OSError, FileProblem."""
        folder = self._kinds.get(kind)
        if folder is None:
            folder = _inner(self._records, kind) if make else _ours(Folder(self._records.path / kind, at=self._records))
            self._kinds[kind] = folder
        return folder


def _opened(root: Path, now: int | None, scratch: Path, kinds: Mapping[str, Path]) -> Store:
    """A store that another process uses: with its scratch folder, and its folders of some kinds of records."""
    store = Store(root, now=now)
    with explained(root):
        store._scratch = Folder(scratch)
        store._kinds = {kind: Folder(path) for kind, path in kinds.items()}
    return store


def _inner(folder: Folder, name: str) -> Folder:
    """A folder of the store, made if need be. Raises OSError; FileProblem where it is a link, or open to others."""
    try:
        return _ours(folder.inner(name, mode=_MODE))
    except NotADirectoryError as error:
        if not stat.S_ISLNK(folder.stat(name).st_mode):
            raise
        why = "a symbolic link, and what is in a cache is written and removed through none"
        hint = "remove it; the whole cache may be one, or be elsewhere by --cache-dir"
        raise FileProblem(str(folder.path / name), why, hint=hint) from error


def _ours(folder: Folder) -> Folder:
    folder.expect_ours(hint=_OWN)
    return folder


def _write_sealed(sink: BinaryIO, pieces: Iterable[bytes]) -> None:
    """Write a record whose digest is known when all of it has been written: before it, there was no room for it."""
    sink.write(_SEAL % bytes(64))
    body = HashingWriter(sink)
    for piece in pieces:
        body.write(piece)
    sink.write(b"}")
    sink.seek(0)
    sink.write(_SEAL % body.digest().hex.encode())
