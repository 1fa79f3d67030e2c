"""How much memory a file takes on its way: no more for one of any size. No clock is asked, the kernel counts."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest

from oci_builder.digest import CHUNK
from oci_builder.tree.content import LARGE
from tests.support.imported import config_of, save_layout
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


STEP = """
import sys
from pathlib import Path
from oci_builder.gate.facts import FactsCollector
from oci_builder.layer import LayerKey, find, keep, write_layer
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree
from oci_builder.wheels.installed_wheels import InstalledWheels
from tests.support.targets import TARGET, wheel_of

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

def make(path, store):
    key, facts = LayerKey.of(wheel=path.name), FactsCollector(store)
    with MappedFiles() as sources:
        installed = InstalledWheels(TARGET).installed(wheel_of(path), sources)
        tree = place([*installed.entries, installed.record(())], Tree())
        layer = write_layer(tree, store, created_by="test", holds=(), sources=sources, watch=facts.watch)
    keep(layer, key, store)
    facts.finish(layer)
    assert find(key, store) == layer

folder, store = Path(sys.argv[1]), Store(Path(sys.argv[1]) / "cache")
make(folder / "small-1.0-py3-none-any.whl", store)
before = peak()
make(folder / "large-1.0-py3-none-any.whl", store)
print(peak() - before)
"""


def test_a_wheel_of_many_files_becomes_a_layer_in_two_kilobytes_and_a_half_a_file(tmp_path: Path) -> None:
    many = 30_000
    make_wheel(tmp_path, "small", "1.0")
    files = {f"large/part{number // 200}/with/a/name/module_{number}.py": b"" for number in range(many)}
    make_wheel(tmp_path, "large", "1.0", files=files)
    # It was three kilobytes a file when each was held as zipfile, RECORD, entries, index and JSON at once.
    assert grown(STEP, str(tmp_path)) < 2500 * many


LOOK = """
import sys
from pathlib import Path
from oci_builder.cli import main

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

folder = Path(sys.argv[1])
def look(words):
    assert main([*words, "--quiet", "--cache-dir", str(folder / "cache")]) == 0

look(["report", str(folder / "small"), "--out", str(folder / "report.html")])
look(["diff", str(folder / "small"), str(folder / "small"), "--json"])
before = peak()
if sys.argv[2] == "report":
    look(["report", str(folder / "one"), "--out", str(folder / "report.html")])
else:
    look(["diff", str(folder / "one"), str(folder / "two"), "--json"])
print(peak() - before)
"""


def image(folder: Path, *, files: int, changed: bytes = b"") -> Path:
    """An image of one layer with so many files, a hundredth of them ``changed``."""
    with io.BytesIO() as sink:
        with tarfile.open(fileobj=sink, mode="w") as tar:
            for number in range(files):
                header = tarfile.TarInfo(f"srv/part{number // 200}/with/a/name/module_{number}.py")
                data = b"VALUE = %d\n" % number + (b"" if number % 100 else changed)
                header.size, header.mode = len(data), 0o644
                tar.addfile(header, io.BytesIO(data))
        layer = sink.getvalue()
    return save_layout(folder, [layer], config_of([layer]))


@pytest.mark.parametrize(("look", "most"), [("report", 950), ("diff", 900)])
def test_an_image_of_many_files_is_looked_at_in_less_than_a_kilobyte_a_file(
    tmp_path: Path, look: str, most: int
) -> None:
    many = 25_000
    image(tmp_path / "small", files=1)
    image(tmp_path / "one", files=many)
    image(tmp_path / "two", files=many, changed=b"OTHER = 1\n")
    assert grown(LOOK, str(tmp_path), look) < most * many


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
    return int(done.stdout.splitlines()[-1])
