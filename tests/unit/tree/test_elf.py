"""ELF files, read as the loader reads them; pyelftools reads the same of this machine's."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection

from oci_builder.errors import DamagedElf
from oci_builder.tree import elf
from tests.support.elves import ElfSpec, make_elf

FOLDERS = [Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/lib/aarch64-linux-gnu"), Path("/usr/bin")]
SPEC = ElfSpec(
    needed=["libm.so.6", "libc.so.6"],
    soname="libdemo.so.1",
    runpath="$ORIGIN/../x:/opt",
    interpreter="/lib64/ld-linux-x86-64.so.2",
    wanted={"libc.so.6": ["GLIBC_2.38", "GLIBC_2.2.5"], "libm.so.6": ["GLIBC_2.29"]},
    weak=["GLIBC_2.2.5"],
    versions=["libdemo.so.1", "DEMO_1"],
)


def test_a_file_says_what_it_was_made_with() -> None:
    assert elf.parse(make_elf(SPEC), what="x") == elf.Elf(
        machine="x86_64",
        bits=64,
        kind="ET_DYN",
        interpreter="/lib64/ld-linux-x86-64.so.2",
        soname="libdemo.so.1",
        needed=("libm.so.6", "libc.so.6"),
        runpath=("$ORIGIN/../x", "/opt"),
        wanted=(("libc.so.6", "GLIBC_2.38"), ("libm.so.6", "GLIBC_2.29")),
        versions=("libdemo.so.1", "DEMO_1"),
    )


def test_an_rpath_counts_only_without_a_runpath_and_is_handed_on() -> None:
    alone = elf.parse(make_elf(ElfSpec(rpath="/a")), what="x")
    both = elf.parse(make_elf(ElfSpec(rpath="/a", runpath="/b")), what="x")
    assert alone is not None and both is not None
    assert (alone.runpath, alone.handed_on) == (("/a",), True)
    assert (both.runpath, both.handed_on) == (("/b",), False)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "i386"])
def test_the_machine_is_called_as_uname_calls_it(machine: str) -> None:
    parsed = elf.parse(make_elf(ElfSpec(machine=machine)), what="x")
    assert parsed is not None and parsed.machine == machine


def test_what_is_no_elf_file_is_none() -> None:
    assert elf.parse(b"#!/bin/sh\n", what="x") is None


@pytest.mark.parametrize("length", [4, 5, 20, 63, 70, 150, 300])
def test_a_file_that_is_cut_off_is_damaged(length: int) -> None:
    with pytest.raises(DamagedElf, match="demo"):
        elf.parse(make_elf(SPEC)[:length], what="demo")


def test_headers_that_lie_beyond_any_file_are_damage() -> None:
    data = bytearray(make_elf(SPEC))
    struct.pack_into("<Q", data, 32, 2**64 - 1)
    with pytest.raises(DamagedElf, match="demo"):
        elf.parse(bytes(data), what="demo")


def test_an_address_outside_the_file_is_damage() -> None:
    data = bytearray(make_elf(SPEC))
    # The size of the only segment that is loaded.
    struct.pack_into("<Q", data, 64 + 32, 1)
    with pytest.raises(DamagedElf, match="not in the file"):
        elf.parse(bytes(data), what="demo")


def test_pyelftools_reads_the_same_of_this_machines_files() -> None:
    seen = 0
    for folder in FOLDERS:
        for path in sorted(folder.glob("[a-dl]*"))[:12] if folder.is_dir() else ():
            data = path.read_bytes() if path.is_file() else b""
            parsed = elf.parse(data, what=str(path))
            if parsed is not None:
                assert _facts(data) == (
                    (parsed.needed, parsed.soname, parsed.interpreter, parsed.wanted, parsed.versions)
                ), path
                seen += 1
    assert seen > 10


def _facts(data: bytes) -> tuple[Any, ...]:
    file = ELFFile(io.BytesIO(data))
    tags, interpreter = [], ""
    segments: Iterable[Any] = file.iter_segments()
    for segment in segments:
        if segment.header.p_type == "PT_DYNAMIC":
            tags = list(segment.iter_tags())
        elif segment.header.p_type == "PT_INTERP":
            interpreter = segment.get_interp_name()
    wanted, versions = [], []
    for section in file.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for library, each in section.iter_versions():
                wanted += [(library.name, one.name) for one in each if not one["vna_flags"] & 2]
        elif isinstance(section, GNUVerDefSection):
            versions += [next(iter(each)).name for _, each in section.iter_versions()]
    needed = tuple(tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED")
    soname = next((tag.soname for tag in tags if tag.entry.d_tag == "DT_SONAME"), "")
    return needed, soname, interpreter, tuple(wanted), tuple(versions)
