"""What layers hold, remembered by the digest of their bytes: those of one digest are unpacked once.

Who asks holds the bytes to that digest again, so that a record tells what unpacking them would tell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from oci_builder.digest import Digest
from oci_builder.errors import FileProblem
from oci_builder.inspect.contents import FileRecord
from oci_builder.store import Store
from oci_builder.tree.limits import Spent

_RECORDS = "contents-1"
"""The number is raised when a reading finds other things than before, or refuses what it did not."""

_PIECE = 1000
"""Files that are written and read at once: all of a large layer would be as much again as what they become."""

_LENGTH = 8


class _Head(msgspec.Struct, frozen=True, array_like=True):
    diff_id: str
    hidden: list[str]
    opaque: list[str]
    kept: dict[str, bytes]
    spent: Spent


_encode, _head, _files = (
    msgspec.msgpack.Encoder().encode,
    msgspec.msgpack.Decoder(_Head).decode,
    msgspec.msgpack.Decoder(list[FileRecord]).decode,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSeen:
    """What one pass over a layer saw: its files, what it deletes, the small files that are kept, what reading took.

    ``diff_id`` is that of what it unpacks to, or nothing where that was not hashed.
    """

    diff_id: str
    files: Iterable[FileRecord]
    hidden: Sequence[str]
    opaque: Sequence[str]
    kept: dict[str, bytes]
    spent: Spent


class LayerMemory:
    """The layers that were read before, in ``store``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, digest: Digest) -> LayerSeen | None:
        """What was seen in the blob, or None; its files are read as they are asked for. A bad record is forgotten."""
        data = self._store.record(_RECORDS, digest.hex)
        if data is None:
            return None
        try:
            pieces = list(_pieces(data))
            head, files = _head(pieces[0]), [_files(piece) for piece in pieces[1:]]
        except (msgspec.MsgspecError, ValueError, IndexError):
            self._store.drop_record(_RECORDS, digest.hex)
            return None
        return LayerSeen(
            diff_id=head.diff_id,
            files=(record for some in files for record in some),
            hidden=head.hidden,
            opaque=head.opaque,
            kept=head.kept,
            spent=head.spent,
        )

    def keep(self, digest: Digest, seen: LayerSeen) -> None:
        """Remember what was seen; where the cache takes nothing, it is seen again the next time."""
        with contextlib.suppress(FileProblem):
            self._store.put_record(_RECORDS, digest.hex, _written(seen))


def _written(seen: LayerSeen) -> Iterator[bytes]:
    head = _Head(seen.diff_id, list(seen.hidden), list(seen.opaque), seen.kept, seen.spent)
    yield from _framed(_encode(head))
    files = list(seen.files)
    for start in range(0, len(files), _PIECE):
        yield from _framed(_encode(files[start : start + _PIECE]))


def _framed(data: bytes) -> tuple[bytes, bytes]:
    return len(data).to_bytes(_LENGTH, "big"), data


def _pieces(data: bytes) -> Iterator[memoryview]:
    """The pieces of a record. Raises ValueError where one is cut off."""
    rest = memoryview(data)
    while rest:
        end = _LENGTH + int.from_bytes(rest[:_LENGTH], "big")
        if len(rest) < end:
            raise ValueError("a record that is cut off")
        yield rest[_LENGTH:end]
        rest = rest[end:]
