"""Bytecode of a wheel that shares its layer: kept apart, so that its neighbours' changes do not compile it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from oci_builder.digest import Digest
from oci_builder.errors import CorruptBlob
from oci_builder.layer import LayerKey
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, EntryPath, Kind, Packed
from oci_builder.wheels.install import RULES
from oci_builder.wheels.layering import Wheel

_KIND = "compiled"


class _Module(msgspec.Struct, frozen=True, array_like=True):
    path: str
    length: int
    size: int
    sha256: str


class _Record(msgspec.Struct, frozen=True):
    """The gzip members of a wheel's .pyc files, one after the other in a blob."""

    digest: str
    size: int
    modules: tuple[_Module, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BytecodeCache:
    """What was compiled for a wheel before, by the same ``compiler`` for the same places (``schemes``)."""

    store: Store
    compiler: str
    mode: str
    schemes: Mapping[str, str]

    def recall(self, wheel: Wheel, *, origin: str) -> tuple[Entry, ...] | None:
        """The .pyc files of ``wheel``, or None when nobody has made them here, or they are damaged."""
        key = self._key(wheel)
        data = self.store.record(_KIND, key)
        if data is None:
            return None
        try:
            record = msgspec.json.decode(data, type=_Record)
            packed = self.store.read(Digest.parse(record.digest), record.size)
        except (msgspec.MsgspecError, ValueError, CorruptBlob):
            self.store.drop_record(_KIND, key)
            return None
        found, at = [], 0
        for module in record.modules:
            content = Packed(packed[at : at + module.length], module.size, module.sha256, None)
            found.append(_entry(EntryPath(module.path), content, origin))
            at += module.length
        return tuple(found)

    def keep(self, wheel: Wheel, made: Sequence[Entry]) -> None:
        """Remember the .pyc files that were ``made`` for ``wheel``."""
        contents = [(entry.path, entry.content) for entry in made if isinstance(entry.content, Packed)]
        packed = b"".join(content.member for _, content in contents)
        modules = tuple(_Module(path, len(each.member), each.size, each.sha256) for path, each in contents)
        record = _Record(str(self.store.put_bytes(packed)), len(packed), modules)
        self.store.put_record(_KIND, self._key(wheel), msgspec.json.encode(record))

    def _key(self, wheel: Wheel) -> str:
        where = dict(sorted(self.schemes.items()))
        of = {"wheel": wheel.pin.sha256.hex, "schemes": where, "compiler": self.compiler, "mode": self.mode}
        return LayerKey.of(kind=_KIND, rules=RULES, **of).hex


def _entry(path: EntryPath, content: Packed, origin: str) -> Entry:
    return Entry(
        path=path,
        kind=Kind.FILE,
        mode=0o644,
        size=content.size,
        content=content,
        origin=origin,
        sha256=content.sha256,
    )
