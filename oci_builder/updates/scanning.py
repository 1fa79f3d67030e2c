"""One layer read for what its files are, and for where its gzip members begin; nothing of it is unpacked or kept.

Where the content of a file fills members of its own, as in every layer that ocibuild writes, it can be copied into
another layer as it is packed.
"""

from __future__ import annotations

import contextlib
import tarfile
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from oci_builder.compression import PIECE, NotGzip
from oci_builder.digest import CHUNK, Digest
from oci_builder.errors import DigestMismatch, UnsupportedImage
from oci_builder.imported.names import layer_path
from oci_builder.imported.parts import LayerBlob
from oci_builder.imported.unpacked import HEAD, Hashed, Inflated, Packing, packing_of, unpacked
from oci_builder.imported.walking import Filling, LayerWalk
from oci_builder.layer import Entries, IndexEntry, Layer
from oci_builder.layer.entries import MANY
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.mediatypes import LAYER_GZIP, LAYER_TAR, LAYER_ZSTD
from oci_builder.store import Store
from oci_builder.tree.entry import Kind
from oci_builder.tree.limits import Budget, ByteReader, Damaged, Spent, Unfit
from oci_builder.tree.tarstream import TarMember, TarStream

NOWHERE = -1
"""Where the content of a file begins that shares its gzip member with something else."""

_MOST_MEMBERS = 2_000_000
"""Gzip members of which is remembered where they begin: an image of as many files as are read has less."""

_ATTRIBUTE = "SCHILY.xattr."
_DEVICES = {tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b", tarfile.FIFOTYPE: "p"}
_MEDIA_TYPES = {Packing.GZIP: LAYER_GZIP, Packing.ZSTD: LAYER_ZSTD, Packing.NONE: LAYER_TAR}
_FILE, _HARDLINK = Kind.FILE.value, Kind.HARDLINK.value

_NOTHING = Spent()

Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerScan:
    """What a layer lists. Its hard links stand for the file that they repeat; ``links`` numbers, by their paths, all
    names of a file that has several.

    ``members`` says of each entry where in the blob the gzip members begin that hold its content and nothing else.
    ``devices`` are paths whose entries are whiteouts, and that are devices or FIFOs. ``spent`` is what reading took.
    """

    descriptor: Descriptor
    diff_id: Digest
    entries: Sequence[IndexEntry]
    members: Sequence[int]
    attributes: Mapping[str, Attributes] = field(default_factory=dict)
    devices: frozenset[str] = frozenset()
    links: Mapping[str, int] = field(default_factory=dict)
    spent: Spent = _NOTHING

    def __repr__(self) -> str:
        return f"LayerScan({self.diff_id}, {len(self.entries)} entries)"


def scan_blob(blob: LayerBlob, *, diff_id: Digest, label: str, budget: Budget, scratch: Store) -> LayerScan:
    """Read all of a layer. ``scratch`` takes what has holes there, and is the caller's to throw away.

    Raises DigestMismatch where it is not the one that was promised, UnsupportedImage where docker would not load it.
    """
    with _explained(label), Filling(scratch) as filled:
        before = budget.spent
        packing = packing_of(blob.open().read(HEAD))
        packed = Hashed(blob.open())
        members = _Members(packed, what=label) if packing is Packing.GZIP else None
        plain = members or unpacked(packed, packing, what=label)
        source = Hashed(budget.unpacking(plain, key=diff_id, packed=blob.size, what=label))
        walk = _Walk(TarStream(source, what=label, budget=budget), label, filled)
        entries = quick(walk.read())
        source.drain()
        packed.drain()
        for promised, actual in ((diff_id, source.digest()), (blob.digest, packed.digest())):
            if promised is not None and promised != actual:
                hint = "the image was changed or cut off on its way; get it again"
                raise DigestMismatch(label, expected=str(promised), actual=str(actual), hint=hint)
        spent = Spent(*(after - earlier for after, earlier in zip(budget.spent, before, strict=True)))
    return LayerScan(
        descriptor=Descriptor(
            media_type=_MEDIA_TYPES.get(packing, LAYER_TAR), digest=packed.digest(), size=packed.size
        ),
        diff_id=diff_id,
        entries=entries,
        members=members.places(entries) if members else array("q", [NOWHERE]) * len(entries),
        attributes={path: found for path, found in walk.attributes.items() if found},
        devices=frozenset(walk.devices),
        links=walk.links,
        spent=spent,
    )


def scan_of(layer: Layer) -> LayerScan | None:
    """The same of a layer that was made here, whose index says it all; None for one that was made elsewhere."""
    if layer.imported:
        return None
    entries: Sequence[IndexEntry] = layer.entries
    links: dict[str, int] = {}
    if any(entry.kind == _HARDLINK for entry in entries):
        entries, links = _resolved(entries)
    return LayerScan(
        descriptor=layer.descriptor,
        diff_id=layer.diff_id,
        entries=entries,
        members=array("q", (entry.offset if entry.sha256 else NOWHERE for entry in entries)),
        links=links,
        spent=Spent(plain=layer.unpacked, entries=len(entries), headers=len(entries)),
    )


def _resolved(entries: Sequence[IndexEntry]) -> tuple[tuple[IndexEntry, ...], dict[str, int]]:
    """Entries whose hard links are the files that they repeat, and the number of each name's first."""
    numbers = {entry.path: number for number, entry in enumerate(entries)}
    links: dict[str, int] = {}
    found = []
    for entry in entries:
        if entry.kind == _HARDLINK and (first := numbers.get(entry.target)) is not None:
            links[entry.path] = links[entry.target] = links.get(entry.target, first)
            file = entries[links[entry.target]]
            entry = replace(file, path=entry.path, origin=entry.origin)
        found.append(entry)
    return tuple(found), links


def quick(entries: Entries) -> Sequence[IndexEntry]:
    """The same as values, unless they are so many that these would be too large: each is looked at several times."""
    return entries if len(entries) > MANY else tuple(entries)


class _Members(Inflated):
    """The content of a gzip file, and where its members begin, packed and plain."""

    def __init__(self, source: ByteReader, *, what: str) -> None:
        super().__init__(source, what=what)
        self._plain_at = self._packed_at = 0
        self._starts: tuple[array[int], array[int]] = (array("Q"), array("Q"))

    def _more(self) -> bool:
        self._packed = self._packed or memoryview(self._source.read(CHUNK))
        between = self._gunzip.between
        if self._packed and between and len(self._starts[0]) < _MOST_MEMBERS:
            self._starts[0].append(self._plain_at)
            self._starts[1].append(self._packed_at)
        if not self._packed:
            return super()._more()
        try:
            data, used = self._gunzip.feed(self._packed[:PIECE], CHUNK)
        except NotGzip as error:
            raise Damaged(f"{self._what}: not valid gzip: {error}") from error
        self._plain += data
        self._packed = self._packed[used:]
        self._plain_at += len(data)
        self._packed_at += used
        return True

    def places(self, entries: Sequence[IndexEntry]) -> array[int]:
        """Where the members begin that hold the content of each entry and nothing else."""
        # Of empty members in a row, the last is where something begins.
        begins = dict(zip(*self._starts, strict=True))
        return array("q", (_place(entry, begins) for entry in entries))


def _place(entry: IndexEntry, begins: Mapping[int, int]) -> int:
    # The next member begins where the content ends: a tar has closing blocks, or padding at least.
    if not entry.size or not entry.sha256 or entry.offset + entry.size not in begins:
        return NOWHERE
    return begins.get(entry.offset, NOWHERE)


class _Walk(LayerWalk):
    """A walk that sees what builds have no use for: extended attributes, devices, and which names one file has."""

    def __init__(self, stream: TarStream, label: str, filled: Filling) -> None:
        super().__init__(stream, label, filled)
        self.attributes: dict[str, Attributes] = {}
        self.devices: set[str] = set()

    def _entry(self, member: TarMember, path: str, repeated: int | None) -> IndexEntry | None:
        entry = super()._entry(member, path, repeated)
        if entry is None:
            return None
        self.devices.discard(entry.path)
        if member.type in _DEVICES and entry.path == layer_path(member.name):
            self.devices.add(entry.path)
        if repeated is not None:
            # The file's own, whatever this header says of it.
            entry_of = self._entries[self._repeats.get(repeated, repeated)]
            self._attribute(entry.path, self.attributes.get(entry_of.path, ()))
        elif entry.kind not in ("whiteout", "opaque"):
            self._attribute(entry.path, _attributes(member.pax))
        return entry

    def _attribute(self, path: str, found: Attributes) -> None:
        if found or path in self.attributes:
            self.attributes[path] = found

    @property
    def links(self) -> dict[str, int]:
        """The paths of files that have several names in the layer, each with the number of the first."""
        numbers = {**self._repeats, **{first: first for first in self._repeats.values()}}
        named = ((self._entries[number], first) for number, first in numbers.items() if number not in self._gone)
        return {entry.path: first for entry, first in named if entry.kind in (_FILE, _HARDLINK)}


def _attributes(pax: Mapping[str, str]) -> Attributes:
    # An empty record takes back what another said.
    return tuple(
        sorted(
            (key.removeprefix(_ATTRIBUTE), value) for key, value in pax.items() if key.startswith(_ATTRIBUTE) and value
        )
    )


@contextlib.contextmanager
def _explained(label: str) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        hint = "`ocibuild verify FILE` says all that is wrong" if isinstance(error, Unfit) else None
        hint = hint or "the image was changed or cut off on its way; get it again"
        raise UnsupportedImage(label, str(error).removeprefix(f"{label}: "), hint=hint) from error
