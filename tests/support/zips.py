"""Zip files written by hand, so that every field of them can say something else than it should."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.wheels import record_line

STORED, DEFLATED = 0, 8


def deflated(data: bytes) -> bytes:
    """``data`` as a raw deflate stream."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@dataclass(frozen=True, kw_only=True)
class Part:
    """A member of a zip: what it holds, and what is said of it where that is something else.

    ``stream`` are its bytes as they are stored; ``said_*`` stand in both headers, ``local_*`` in its own alone.
    """

    name: bytes
    data: bytes = b""
    method: int = DEFLATED
    stream: bytes | None = None
    said_crc: int | None = None
    said_size: int | None = None
    said_packed: int | None = None
    flags: int = 0
    extra: bytes = b""
    local_name: bytes | None = None
    local_method: int | None = None
    local_flags: int | None = None
    local_sizes: tuple[int, int, int] | None = None
    behind: bytes = b""

    @property
    def packed(self) -> bytes:
        """Its bytes as they are stored."""
        if self.stream is not None:
            return self.stream
        return deflated(self.data) if self.method == DEFLATED else self.data

    @property
    def said(self) -> tuple[int, int, int]:
        """CRC-32, and both sizes."""
        crc = zlib.crc32(self.data) if self.said_crc is None else self.said_crc
        packed = len(self.packed) if self.said_packed is None else self.said_packed
        return crc, packed, len(self.data) if self.said_size is None else self.said_size

    def local(self) -> bytes:
        """Its own header and its bytes."""
        name = self.name if self.local_name is None else self.local_name
        method = self.method if self.local_method is None else self.local_method
        flags = self.flags if self.local_flags is None else self.local_flags
        fields = (20, flags, method, 0, 33, *(self.local_sizes or self.said), len(name), 0)
        return struct.pack("<4s5H3I2H", b"PK\x03\x04", *fields) + name + self.packed + self.behind

    def central(self, offset: int) -> bytes:
        """Its line in the directory."""
        fields = (0x0314, 20, self.flags, self.method, 0, 33, *self.said, len(self.name), len(self.extra), 0, 0, 0)
        header = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *fields, 0o100644 << 16, offset)
        return header + self.name + self.extra


def write_zip(path: Path, parts: Sequence[Part], *, before: bytes = b"", comment: bytes = b"") -> Path:
    """Write a zip of ``parts`` behind the bytes ``before``."""
    body, directory = bytearray(), bytearray()
    for part in parts:
        directory += part.central(len(body))
        body += part.local()
    count = min(len(parts), 0xFFFF)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), len(comment))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(before + bytes(body) + directory + end + comment)
    return path


def wheel_parts(*parts: Part, name: str = "demo", version: str = "1.0", sizes: bool = True) -> list[Part]:
    """``parts`` with the metadata that makes a wheel of them, and a RECORD of what they hold, by digest and size."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    known = [Part(name=f"{info}/METADATA".encode(), data=metadata), Part(name=f"{info}/WHEEL".encode(), data=wheel)]
    lines = [record_line(part.name.decode("utf-8", "replace"), part.data) for part in (*parts, *known)]
    lines = lines if sizes else [f"{line.rpartition(',')[0]}," for line in lines]
    record = "".join(f"{line}\n" for line in [*lines, f"{info}/RECORD,,"]).encode()
    return [*parts, *known, Part(name=f"{info}/RECORD".encode(), data=record)]


def write_wheel(folder: Path, *parts: Part, before: bytes = b"", comment: bytes = b"", sizes: bool = True) -> Path:
    """A wheel ``demo 1.0`` of ``parts``."""
    return write_zip(
        folder / "demo-1.0-py3-none-any.whl", wheel_parts(*parts, sizes=sizes), before=before, comment=comment
    )
