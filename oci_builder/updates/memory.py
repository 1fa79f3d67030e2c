"""Layers that were read before, or made here: found by the digest of their bytes, or of what they unpack to."""

from __future__ import annotations

import contextlib
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator

import msgspec

from oci_builder.digest import Digest
from oci_builder.errors import FileProblem, InvalidValue
from oci_builder.files import open_regular
from oci_builder.layer import RECORDS, Entries, Layer, parse_record
from oci_builder.oci.documents import Descriptor
from oci_builder.store import Store
from oci_builder.tree.limits import Spent
from oci_builder.updates.scanning import Attributes, LayerScan, quick, scan_of

_SCANS, _PACKED = "scan-1", "scan-of-1"
"""The number is raised when a reading finds other things than before, or refuses what it did not."""

_HEAD = 1000
"""Bytes of a layer's record that name its digests, behind its seal."""

_DIFF_ID = re.compile(rb'"diff_id":"(sha256:[0-9a-f]{64})"')


class _Record(msgspec.Struct, frozen=True, array_like=True):
    media_type: str
    digest: str
    size: int
    diff_id: str
    entries: bytes
    members: bytes
    attributes: dict[bytes, list[tuple[bytes, bytes]]]
    devices: list[bytes]
    links: dict[bytes, int]
    spent: Spent


_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(_Record).decode


class ScanMemory:
    """The layers that were read before, in ``store``, and those that were made there."""

    def __init__(self, store: Store, wanted: Iterable[Digest]) -> None:
        """``wanted`` are the diff IDs of all layers that will be asked for: of those made here, no others are read."""
        self._store = store
        self._wanted = frozenset(str(each).encode() for each in wanted)
        self._made: dict[Digest, LayerScan] | None = None

    def find(self, packed: Digest) -> LayerScan | None:
        """The layer whose bytes have this digest, if it was read before; a bad record is forgotten."""
        data = self._store.record(_SCANS, packed.hex)
        if data is None:
            return None
        try:
            found = _read(_decode(data))
        except (msgspec.MsgspecError, InvalidValue, ValueError, zlib.error):
            found = None
        if found is None or found.descriptor.digest != packed:
            self._store.drop_record(_SCANS, packed.hex)
            return None
        return found

    def find_unpacked(self, diff_id: Digest) -> LayerScan | None:
        """A layer that unpacks to this, if one was read before or made here."""
        packed = self._store.record(_PACKED, diff_id.hex)
        with contextlib.suppress(InvalidValue, UnicodeDecodeError):
            found = self.find(Digest.parse(packed.decode())) if packed is not None else None
            if found is not None and found.diff_id == diff_id:
                return found
        return self.find_made(diff_id)

    def find_made(self, diff_id: Digest) -> LayerScan | None:
        """A layer that unpacks to this, if one was made here. All that were are looked at once."""
        if self._made is None:
            self._made = {}
            for layer in self._layers():
                if (scan := scan_of(layer)) is not None:
                    self._made.setdefault(layer.diff_id, scan)
        return self._made.get(diff_id)

    def _layers(self) -> Iterator[Layer]:
        for path, _ in self._store.kept():
            if path.parent.name != RECORDS:
                continue
            with contextlib.suppress(OSError), open_regular(path) as stream:
                named = _DIFF_ID.search(stream.read(_HEAD))
                if named is None or named[1] not in self._wanted:
                    continue
            data = self._store.record(RECORDS, path.name.removesuffix(".json"))
            layer = parse_record(data) if data is not None else None
            if layer is not None:
                yield layer

    def keep(self, scan: LayerScan) -> None:
        """Remember a layer; where the cache takes nothing, it is read again the next time."""
        with contextlib.suppress(FileProblem):
            self._store.put_record(_SCANS, scan.descriptor.digest.hex, _encode(_written(scan)))
            self._store.put_record(_PACKED, scan.diff_id.hex, str(scan.descriptor.digest).encode())


def _written(scan: LayerScan) -> _Record:
    entries = scan.entries if isinstance(scan.entries, Entries) else Entries(scan.entries)
    return _Record(
        media_type=scan.descriptor.media_type,
        digest=str(scan.descriptor.digest),
        size=scan.descriptor.size,
        diff_id=str(scan.diff_id),
        entries=entries.dump(),
        members=zlib.compress(array("q", scan.members).tobytes(), 1),
        attributes={
            _bytes(path): [(_bytes(name), _bytes(value)) for name, value in found]
            for path, found in scan.attributes.items()
        },
        devices=sorted(map(_bytes, scan.devices)),
        links={_bytes(path): number for path, number in scan.links.items()},
        spent=scan.spent,
    )


def _read(record: _Record) -> LayerScan:
    entries = Entries.load(record.entries)
    members = array("q")
    members.frombytes(zlib.decompress(record.members))
    if len(members) != len(entries):
        raise ValueError("members and entries do not fit")
    attributes: dict[str, Attributes] = {
        _text(path): tuple((_text(name), _text(value)) for name, value in found)
        for path, found in record.attributes.items()
    }
    return LayerScan(
        descriptor=Descriptor(media_type=record.media_type, digest=Digest.parse(record.digest), size=record.size),
        diff_id=Digest.parse(record.diff_id),
        entries=quick(entries),
        members=members,
        attributes=attributes,
        devices=frozenset(map(_text, record.devices)),
        links={_text(path): number for path, number in record.links.items()},
        spent=record.spent,
    )


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
