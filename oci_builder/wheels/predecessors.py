"""Bytecode of modules that a wheel has as its predecessor had them, out of the layer that was made of that.

A .pyc depends on its source, its path and the compiler, and on nothing else of a wheel. The next version of a large one
shares most modules with the last: those are taken as the gzip members they are, and only the rest is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from oci_builder.bytecode import pyc_path
from oci_builder.compression import Gunzip, NotGzip
from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch
from oci_builder.layer import Layer, LayerKey, find
from oci_builder.layer.entries import IndexEntry
from oci_builder.oci.jsonio import encode_key
from oci_builder.store import Store
from oci_builder.tree.content import LARGE, MappedFiles
from oci_builder.tree.entry import Entry, EntryPath, Kind, Packed, promised_sha256
from oci_builder.wheels.install import RULES
from oci_builder.wheels.steps import LayerStep

_KIND = "compiled-last"


class _Last(msgspec.Struct, frozen=True):
    layer: str


class Predecessors:
    """The layers in ``store`` that were last made of what ``step`` has newer or older versions of."""

    def __init__(self, store: Store, step: LayerStep) -> None:
        self._store, self._step = store, step
        # With the links of the base: where they lead elsewhere, a path of a layer is not what its module was called.
        self._ground = LayerKey.of(kind=_KIND, rules=RULES, compiler=step.bytecode.key[1], anchors=step.anchors.key).hex

    def recall(self, name: str, modules: Sequence[Entry], tag: str, sources: MappedFiles) -> Mapping[EntryPath, Entry]:
        """The bytecode of those ``modules`` that the last layer of the wheel ``name`` has alike, by their paths.

        That they are what their wheel promised is proved when they are written, as for all others.
        """
        layer = self._last(name)
        if layer is None:
            return {}
        files = {item.path: item for item in layer.entries if item.kind == Kind.FILE.value}
        place, found = self._store.path(layer.descriptor.digest), dict[EntryPath, Entry]()
        for module in modules:
            was, made = files.get(module.path), files.get(pyc_path(module.path, tag))
            promised = promised_sha256(module.content)
            if was is None or made is None or not promised or was.sha256 != promised or not 0 < made.size <= LARGE:
                continue
            try:
                packed = sources.slice(place, made.offset, _room(layer, made))
            except (OSError, DigestMismatch):
                return found  # it is being taken away
            content = _member(packed, made)
            if content is not None:
                found[module.path] = _entry(made, content, module.origin)
        return found

    def keep(self, names: Sequence[str]) -> None:
        """Note that the layer of the step is the last one made of the wheels ``names``."""
        for name in names:
            self._store.put_record(_KIND, self._key(name), msgspec.json.encode(_Last(self._step.key.hex)))

    def _last(self, name: str) -> Layer | None:
        data = self._store.record(_KIND, self._key(name))
        if data is None:
            return None
        try:
            return find(LayerKey(msgspec.json.decode(data, type=_Last).layer), self._store)
        except msgspec.MsgspecError:
            self._store.drop_record(_KIND, self._key(name))
            return None

    def _key(self, name: str) -> str:
        where = sorted(self._step.target.schemes(name).items())
        return Digest.of(encode_key([self._ground, name, where])).hex


def _room(layer: Layer, made: IndexEntry) -> int:
    """Bytes in which the member of a file ends: as much as deflate can make of it, or what is left of the blob."""
    return min(made.size + made.size // 16 + (4 << 10), layer.descriptor.size - made.offset)


def _member(packed: memoryview, made: IndexEntry) -> Packed | None:
    """The one gzip member that ``packed`` begins with, if that is the file ``made``."""
    inflater = Gunzip()
    try:
        data, length = inflater.feed(packed, made.size + 1)
    except NotGzip:
        return None
    if not inflater.between or len(data) != made.size or Digest.of(data).hex != made.sha256:
        return None
    return Packed(bytes(packed[:length]), made.size, made.sha256, None)


def _entry(made: IndexEntry, content: Packed, origin: str) -> Entry:
    return Entry(
        path=EntryPath(made.path),
        kind=Kind.FILE,
        mode=0o644,
        size=content.size,
        content=content,
        origin=origin,
        sha256=content.sha256,
    )
