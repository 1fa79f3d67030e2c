"""The loader's cache and the closure of libraries, over the ELF files of this machine."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oci_builder.debian.libraries import Libraries, folders
from oci_builder.errors import DamagedElf, MissingLibrary
from oci_builder.tree import elf
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, directory, file, symlink
from oci_builder.tree.tree import Tree
from tests.support.elves import ElfSpec, make_elf

MACHINE = platform.machine()
LIBC = next(iter(sorted(Path("/").glob(f"usr/lib/{MACHINE}-linux-gnu/libc.so.6"))), None)
needs_libc = pytest.mark.skipif(LIBC is None, reason="needs a Debian-like host")
LIBRARY = f"usr/lib/{MACHINE}-linux-gnu"


def libraries(*entries: Entry) -> Libraries:
    return Libraries.of(Tree([*entries, symlink("lib", "usr/lib", origin="x")]), MACHINE, MappedFiles())


def real(name: str) -> bytes:
    assert LIBC is not None
    return (LIBC.parent / name).read_bytes()


@needs_libc
def test_a_program_says_what_it_needs() -> None:
    program = elf.parse(Path(sys.executable).resolve().read_bytes(), what="python")
    assert program is not None and "libc.so.6" in program.needed
    assert program.machine == MACHINE and program.bits == 64 and "ld-linux" in program.interpreter


def test_the_loader_looks_where_the_configuration_says_and_then_where_it_always_does() -> None:
    main = file("etc/ld.so.conf", b"# first\n/opt/first\ninclude /etc/ld.so.conf.d/*.conf\n", origin="x")
    parts = [
        file("etc/ld.so.conf.d/b.conf", b"/opt/b # the second\n/lib\n", origin="x"),
        file("etc/ld.so.conf.d/a.conf", b"/opt/a\ninclude /etc/ld.so.conf\n", origin="x"),
        file("etc/ld.so.conf.d/a.off", b"/opt/off\n", origin="x"),
    ]
    found = list(libraries(main, *parts).searched)
    assert found[:4] == ["opt/first", "opt/a", "opt/b", "lib"]
    assert sorted(found[3:]) == sorted(folders(MACHINE))
    library = make_elf(ElfSpec(machine=MACHINE, soname="libown.so.1"))
    needing = make_elf(ElfSpec(machine=MACHINE, needed=("libown.so.1",)))
    own = [file("opt/first/libown.so.1", library, origin="x"), file("usr/bin/needing", needing, origin="x")]
    libraries(main, *own).check()
    with pytest.raises(MissingLibrary, match=r"libown\.so\.1"):
        libraries(*own).check()
    libraries(*own).check(among=["usr/bin/another"])


@needs_libc
def test_a_library_says_its_name() -> None:
    library = elf.parse(memoryview(real("libm.so.6")), what="libm")
    assert library is not None and (library.soname, library.kind) == ("libm.so.6", "ET_DYN")


def test_a_text_is_no_elf_file() -> None:
    assert elf.parse(b"#!/bin/sh\n", what="x") is None
    assert elf.parse(b"", what="x") is None


def test_a_damaged_elf_file_is_named() -> None:
    with pytest.raises(DamagedElf, match=r"^lib/x\.so: "):
        elf.parse(b"\x7fELF\2\1\1" + bytes(40), what="lib/x.so")


@needs_libc
def test_a_missing_library_is_named_with_the_file_that_needs_it() -> None:
    with pytest.raises(MissingLibrary) as raised:
        libraries(file(f"{LIBRARY}/libm.so.6", real("libm.so.6"), origin="x")).check()
    assert (raised.value.library, raised.value.needed_by) == ("libc.so.6", f"/{LIBRARY}/libm.so.6")


@needs_libc
def test_libraries_found_through_links_are_no_findings() -> None:
    names = ["libm.so.6", "libc.so.6", Path(next(iter(sorted(LIBC.parent.glob("ld-linux*"))))).name] if LIBC else []
    found = libraries(
        *(file(f"{LIBRARY}/real-{name}", real(name), origin="x") for name in names),
        *(symlink(f"{LIBRARY}/{name}", f"real-{name}", origin="x") for name in names),
    )
    found.check()


@needs_libc
@pytest.mark.skipif(shutil.which("/sbin/ldconfig") is None, reason="needs ldconfig")
def test_ldconfig_reads_the_cache_as_its_own(tmp_path: Path) -> None:
    names = ["libm.so.6", "libc.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1"]
    found = libraries(
        directory("etc", origin="x"), *(file(f"{LIBRARY}/{name}", real(name), origin="x") for name in names)
    )
    (tmp_path / "cache").write_bytes(found.cache())
    said = subprocess.run(
        ["/sbin/ldconfig", "-p", "-C", str(tmp_path / "cache")], capture_output=True, text=True, check=True
    ).stdout
    shown = [line.split()[0] for line in said.splitlines() if "=>" in line]
    assert shown == sorted(names, reverse=True)
    assert f"=> /lib/{MACHINE}-linux-gnu/libc.so.6" in said


def test_the_loader_looks_in_debians_folders() -> None:
    assert folders("x86_64")[3] == "usr/lib/x86_64-linux-gnu"
