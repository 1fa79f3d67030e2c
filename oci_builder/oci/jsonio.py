"""JSON as bytes: one spelling out, bounded and strict in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import cast

from oci_builder.bounded import load_json
from oci_builder.errors import UnsupportedImage

JSON = dict[str, object]
_ESCAPED = re.compile("[\udc80-\udcff]")
_HEX = re.compile(rb"\0([0-9a-f]{2})")
MAX_DOCUMENT = 4 << 20
"""Bytes; distribution-spec lets a registry refuse a larger manifest."""


def encode(document: Mapping[str, object] | Sequence[object]) -> bytes:
    """The one spelling ocibuild writes: sorted keys, no spaces, UTF-8.

    Raises UnsupportedImage for what came from elsewhere and has no spelling: NaN, half a surrogate pair.
    """
    spaces = (",", ":")
    try:
        return json.dumps(document, sort_keys=True, separators=spaces, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise UnsupportedImage("a document of the image", f"cannot be written as JSON: {error}") from error


def encode_key(document: Mapping[str, object] | Sequence[object]) -> bytes:
    """As ``encode``, for what is hashed and not read again: names of files in it may be any bytes, which stay.

    Raises UnsupportedImage.
    """
    spaces = (",", ":")
    try:
        text = json.dumps(document, sort_keys=True, separators=spaces, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "surrogateescape")
    except ValueError as error:
        raise UnsupportedImage("a name of the image", f"cannot be written: {error}") from error


def text_of(name: str) -> str:
    """The name of a file as text that JSON can hold: NUL and two hex digits for each byte that is no UTF-8.

    No name holds a NUL, so ``name_of`` gives every name back; a name that is UTF-8 is its own text.
    """
    return name if name.isascii() else _ESCAPED.sub(lambda match: f"\0{ord(match[0]) - 0xDC00:02x}", name)


def name_of(text: str) -> str:
    """The name that ``text_of`` gave as text. Raises ValueError for what it gives for no name."""
    if "\0" not in text:
        return text
    data = _HEX.sub(lambda match: bytes([int(match[1], 16)]), text.encode())
    name = data.decode("utf-8", "surrogateescape")
    if text_of(name) != text:
        raise ValueError("a text that stands for no name")
    return name


def decode(data: bytes, *, what: str) -> JSON:
    """Read a JSON object received from outside. Raises UnsupportedImage if it is too large, not one, or says one key
    twice (readers disagree about which of two counts)."""
    if len(data) > MAX_DOCUMENT:
        raise UnsupportedImage(what, f"a JSON document of {len(data)} bytes, more than {MAX_DOCUMENT}")
    try:
        document = load_json(data, unique=True)
    except ValueError as error:
        raise UnsupportedImage(what, f"not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise UnsupportedImage(what, "expected a JSON object")
    return cast("JSON", document)
