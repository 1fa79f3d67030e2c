"""``images.lock.json``: the digests of a recipe's images, where no ``pylock.toml`` of its own can say them.

That is where another tool's lock decides about wheels, or where there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, StaleLock
from oci_builder.files import open_regular

_LIMIT = 1 << 20
"""Bytes that are read; an image takes some 150."""


class _ImageLock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    images: dict[str, str]


def read_image_lock(path: Path) -> dict[str, Digest]:
    """The digest of each image by its name. Raises StaleLock for a file that does not read."""
    try:
        with open_regular(path) as stream:
            lock = msgspec.json.decode(stream.read(_LIMIT), type=_ImageLock)
        return {name: Digest.parse(digest) for name, digest in lock.images.items()}
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidValue) as error:
        hint = "remove it, and make it again: ocibuild lock NAME"
        raise StaleLock(str(path), f"it does not read: {error}", hint=hint) from error


def image_lock_text(images: Mapping[str, Digest]) -> bytes:
    """What such a file holds."""
    lock = _ImageLock(1, {name: str(images[name]) for name in sorted(images)})
    return msgspec.json.format(msgspec.json.encode(lock), indent=2) + b"\n"


def as_images(pins: Iterable[str]) -> dict[str, Digest]:
    """Names and digests of ``pins``, each ``NAME:TAG@DIGEST``; one that is known by its digest alone needs no lock."""
    parts = (pin.rpartition("@") for pin in pins if pin)
    return {name: Digest.parse(digest) for name, _, digest in parts if ":" in name.rpartition("/")[2]}


def moves(old: Mapping[str, Digest], new: Mapping[str, Digest]) -> tuple[str, ...]:
    """What differs, in words."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was != now:
            found.append(f"{name} {was} → {now}" if was and now else f"+ {name} {now}" if now else f"- {name} {was}")
    return tuple(found)
