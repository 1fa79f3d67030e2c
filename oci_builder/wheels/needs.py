"""What a wheel says that it is and needs, remembered by its digest."""

from __future__ import annotations

from pathlib import Path

import msgspec
from packaging.metadata import parse_email

from oci_builder.digest import Digest
from oci_builder.store import Store
from oci_builder.wheels.archive import open_wheel

RECORDS = "needs"
"""The kind of the records in a store."""

_FIELDS = frozenset({"name", "version", "requires-dist", "requires-python", "provides-extra"})


class WheelNeeds(msgspec.Struct, frozen=True, array_like=True):
    """The fields of a wheel's METADATA that a resolver reads, as they stand there; "" for what does not."""

    name: str
    version: str
    python: str
    requires: tuple[str, ...]
    extras: tuple[str, ...]


def needs_of(path: Path, filename: str, digest: Digest, store: Store) -> WheelNeeds:
    """What the wheel at ``path``, whose bytes have ``digest``, says.

    Raises WheelError and UnsafePath for what is no wheel, ValueError for metadata that two readers may read otherwise.
    """
    known = store.record(RECORDS, digest.hex)
    if known is not None:
        try:
            return msgspec.json.decode(known, type=WheelNeeds)
        except msgspec.MsgspecError:
            store.drop_record(RECORDS, digest.hex)
    archive = open_wheel(path, filename)
    found = _parsed(archive.read(f"{archive.dist_info}/METADATA"))
    store.put_record(RECORDS, digest.hex, msgspec.json.encode(found))
    return found


def _parsed(data: bytes) -> WheelNeeds:
    raw, odd = parse_email(data)
    if strange := sorted(_FIELDS.intersection(name.lower() for name in odd)):
        raise ValueError(f"its {strange[0]} says more or other than one thing")
    return WheelNeeds(
        name=raw.get("name", ""),
        version=raw.get("version", ""),
        python=raw.get("requires_python", ""),
        requires=tuple(each.strip() for each in raw.get("requires_dist", ())),
        extras=tuple(raw.get("provides_extra", ())),
    )
