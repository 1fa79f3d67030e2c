"""JSON as bytes: one spelling out, bounded and strict in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from oci_builder.bounded import load_json
from oci_builder.errors import UnsupportedImage

JSON = dict[str, object]
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
