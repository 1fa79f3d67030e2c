"""Made-up wheels, as many and as large as wanted: files of real wheels again and again, each a little different."""

from __future__ import annotations

import itertools
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO

from benchmarks.inputs import record_row

_DEFLATED, _EPOCH = zipfile.ZIP_DEFLATED, 0x21
_SMALL = 64 << 10
"""Bytes of a file that always has room."""


@dataclass(frozen=True)
class _File:
    name: str
    plain: bytes
    deflated: bytes


def synthetic(models: Path, into: Path, *, count: int, size: int, least: int = 0) -> Path:
    """``count`` wheels of ``size`` bytes of content in all; the mix of files is that of the wheels in ``models``, those
    of fewer than ``least`` bytes left out.

    Each file begins with a mark of its own, a comment, so no two are alike; the rest is the model's own deflate stream.
    """
    rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    files = [file for wheel in sorted(models.glob("*.whl")) for file in _read(wheel) if len(file.plain) >= least]
    random.Random(0).shuffle(files)
    chosen = list(_chosen(files, size))
    for number in range(count):
        _write(into / f"made_{number}-1.0-py3-none-any.whl", number, chosen[number::count])
    return into


def _chosen(files: Sequence[_File], size: int) -> Iterator[_File]:
    # What is more than half of what is still wanted is left out, unless it is small, or there is nothing smaller.
    small = max(_SMALL, min(len(file.plain) for file in files))
    for file in itertools.cycle(files):
        if size <= 0:
            return
        if len(file.plain) <= max(size // 2, small):
            size -= len(file.plain)
            yield file


def _read(wheel: Path) -> Iterator[_File]:
    # Every third: enough for a fair mix, and little enough to hold.
    whole = wheel.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist()[::3]:
            if info.compress_type == _DEFLATED and ".dist-info/" not in info.filename:
                at = info.header_offset
                start = at + 30 + sum(struct.unpack("<HH", whole[at + 26 : at + 30]))
                yield _File(_name(info.filename), archive.read(info), whole[start : start + info.compress_size])


def _name(path: str) -> str:
    # What decides whether a file is compiled is kept of its name.
    folder = "tests/" if {"test", "tests"} & set(path.split("/")[:-1]) else ""
    return f"{folder}file_{{}}{'.py' if path.endswith('.py') else '.bin'}"


def _write(path: Path, number: int, files: Sequence[_File]) -> None:
    name = f"made_{number}"
    with path.open("wb") as sink:
        archive = _Archive(sink)
        archive.add(f"{name}/__init__.py", b"")
        for part, file in enumerate(files):
            archive.add_marked(f"{name}/part_{part // 100}/{file.name.format(part)}", f"{number}.{part}", file)
        archive.close(f"{name}-1.0.dist-info", name)


class _Archive:
    """A wheel being written, of members that are deflated already."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink, self._directory, self._record = sink, b"", ""
        self._count = 0

    def add(self, name: str, plain: bytes, deflated: bytes | None = None) -> None:
        """Write a member and note it for RECORD."""
        data = zlib.compress(plain, 1, wbits=-15) if deflated is None else deflated
        path, at = name.encode(), self._sink.tell()
        common = struct.pack("<HHHHIIIHH", 0, _DEFLATED, 0, _EPOCH, zlib.crc32(plain), len(data), len(plain),
                             len(path), 0)  # fmt: skip
        self._sink.write(b"PK\3\4" + struct.pack("<H", 20) + common + path)
        self._sink.write(data)
        self._directory += b"PK\1\2" + struct.pack("<HH", 20, 20) + common
        self._directory += struct.pack("<HHHII", 0, 0, 0, 0o644 << 16, at) + path
        self._record += record_row(name, plain)
        self._count += 1

    def add_marked(self, name: str, mark: str, file: _File) -> None:
        """The same with a first line of its own: a stored block, then the stream, which refers to nothing outside."""
        line = f"#{mark}\n".encode()
        stored = b"\0" + struct.pack("<HH", len(line), 0xFFFF ^ len(line)) + line
        self.add(name, line + file.plain, stored + file.deflated)

    def close(self, info: str, name: str) -> None:
        """Write what makes it a wheel."""
        self.add(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode())
        self.add(f"{info}/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        self.add(f"{info}/RECORD", f"{self._record}{info}/RECORD,,\n".encode())
        at = self._sink.tell()
        self._sink.write(self._directory)
        end = struct.pack("<HHHHIIH", 0, 0, self._count, self._count, len(self._directory), at, 0)
        self._sink.write(b"PK\5\6" + end)
