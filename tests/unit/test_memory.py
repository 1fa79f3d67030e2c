"""How much memory a file takes on its way: no more for one of any size. No clock is asked, the kernel counts."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from oci_builder.digest import CHUNK
from oci_builder.tree.content import LARGE
from tests.support.wheels import make_wheel

ROOT = Path(__file__).parents[2]
SIZE = 5 * LARGE
MOST = 3 * LARGE
"""Bytes: what is gathered, what it is packed into, and what was mapped before it is let go."""

HEAD = b"\x7fELF\x02\x01\x01" + bytes(100)
"""A library that needs nothing."""

PROGRAM = """
import sys
from pathlib import Path
from oci_builder.gate.facts import layer_facts
from oci_builder.layer import write_layer
from oci_builder.store import Store
from oci_builder.tree.entry import DeflateSlice, Entry, EntryPath, FileSlice, Kind
from oci_builder.tree.tree import Tree

file, offset, length, size, crc = Path(sys.argv[1]), *map(int, sys.argv[2:6])
content = DeflateSlice(file, offset, length, size, crc, None) if crc else FileSlice(file, offset, size)

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

store, before = Store(file.parent / "cache"), peak()
entry = Entry(path=EntryPath("x.so"), kind=Kind.FILE, mode=0o644, size=size, origin="test", content=content)
layer = write_layer(Tree([entry]), store, created_by="test", holds=())
for _ in store.chunks(layer.descriptor.digest, layer.descriptor.size):
    pass
assert [file.path for file in layer_facts(layer, store).files] == ["x.so"]
print(peak() - before)
"""


def test_a_large_plain_file_is_compressed_and_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as sink:
        sink.write(HEAD)
        sink.truncate(SIZE)
    assert peak(path, size=SIZE) < MOST


def test_a_large_member_of_a_wheel_is_copied_and_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "large"
    crc, packer, noise = 0, zlib.compressobj(0, zlib.DEFLATED, -15), os.urandom(CHUNK)
    with path.open("wb") as sink:
        for number in range(SIZE // CHUNK):
            data = HEAD + noise[len(HEAD) :] if number == 0 else noise
            crc = zlib.crc32(data, crc)
            sink.write(packer.compress(data))
        sink.write(packer.flush())
    assert peak(path, size=SIZE, crc=crc) < MOST


MANY = """
import sys
from pathlib import Path
from oci_builder.store import Store
from oci_builder.wheels.conflicts import resolve_conflicts
from oci_builder.wheels.listing import Listing
from oci_builder.wheels.installed_wheels import InstalledWheels
from tests.support.targets import TARGET, wheel_of

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

folder = Path(sys.argv[1])
wheels = [wheel_of(path) for path in sorted(folder.glob("*.whl"))]
listing = Listing(opened=InstalledWheels(TARGET), store=Store(folder / "cache"), jobs=2)
resolve_conflicts(wheels[:1], listing, policy="error")
before = peak()
resolve_conflicts(wheels, listing, policy="error")
assert sum(len(listing.claims(wheel)) for wheel in wheels) > 8 * 2500
print(peak() - before)
"""


def test_what_many_wheels_claim_is_held_a_number_a_file(tmp_path: Path) -> None:
    for number in range(8):
        files = {f"made{number}/folder/with/a/name/module_{each}.py": b"" for each in range(2500)}
        make_wheel(tmp_path, f"made{number}", "1.0", files=files)
    # Opened here, they would be two kilobytes a file.
    assert grown(MANY, str(tmp_path)) < 300 * 8 * 2500


def peak(path: Path, *, size: int, crc: int = 0) -> int:
    """By how many bytes a process grows that makes a layer of a file, and looks into it."""
    numbers = (0, path.stat().st_size, size, crc)
    return grown(PROGRAM, str(path), *map(str, numbers))


def grown(program: str, *words: str) -> int:
    """What a program prints."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stderr)
    return int(done.stdout)
