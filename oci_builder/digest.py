"""Content digests, and the streams that compute and check them on the way through."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from oci_builder.errors import DigestMismatch, InvalidValue
from oci_builder.files import open_regular

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")
CHUNK = 1 << 20
"""Bytes moved at a time wherever something is streamed."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A sha256 content digest (OCI image-spec, descriptor.md): the only algorithm ocibuild writes."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``sha256:<64 hex digits>``. Raises InvalidValue."""
        if not _SHA256.match(text):
            raise InvalidValue("sha256 digest", text, "expected 'sha256:' and 64 hex digits")
        return cls(text[7:])

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The digest of ``data``."""
        return cls(hashlib.sha256(data).hexdigest())

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end."""


class HashingWriter:
    """Passes writes on to ``sink``, counting and hashing them."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Write, hash and count ``data``."""
        self._hash.update(data)
        self.size += len(data)
        self._sink.write(data)
        return len(data)

    def flush(self) -> None:
        """Flush the sink below."""
        self._sink.flush()

    def digest(self) -> Digest:
        """The digest of what was written so far."""
        return Digest(self._hash.hexdigest())


def verified_chunks(stream: Readable, *, digest: Digest, size: int, what: str) -> Iterator[bytes]:
    """Yield the bytes of ``stream`` and raise DigestMismatch at its end unless they are exactly the ones named.

    A stream longer than ``size`` is noticed at the first byte too many, so nothing endless is read.
    """
    seen, count = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        count += len(chunk)
        if count > size:
            raise DigestMismatch(what, expected=f"{size} bytes", actual="more")
        seen.update(chunk)
        yield chunk
    if count != size:
        raise DigestMismatch(what, expected=f"{size} bytes", actual=f"{count}")
    if seen.hexdigest() != digest.hex:
        raise DigestMismatch(what, expected=str(digest), actual=f"sha256:{seen.hexdigest()}")


def digest_file(path: str) -> tuple[Digest, int]:
    """The digest and size of a file, streamed. Raises OSError."""
    seen, size = hashlib.sha256(), 0
    with open_regular(path) as stream:
        while chunk := stream.read(CHUNK):
            seen.update(chunk)
            size += len(chunk)
    return Digest(seen.hexdigest()), size
