"""Symbols of shared objects, held to what pyelftools reads of the very files."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from oci_builder.errors import DamagedElf
from oci_builder.tree.elfsymbols import ElfSymbols, parse_symbols


def _theirs(path: Path) -> ElfSymbols:
    with path.open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".dynsym")
        assert isinstance(section, SymbolTableSection)
        offered, wanted = set(), set()
        for symbol in section.iter_symbols():
            binding = symbol["st_info"]["bind"]
            if not symbol.name or binding == "STB_LOCAL":
                continue
            if symbol["st_shndx"] != "SHN_UNDEF":
                offered.add(symbol.name.encode())
            elif binding != "STB_WEAK":
                wanted.add(symbol.name.encode())
        return ElfSymbols(frozenset(offered), frozenset(wanted))


def _some() -> list[Path]:
    import _ctypes
    import _ssl

    return [Path(_ssl.__file__), Path(_ctypes.__file__), Path(sys.executable).resolve()]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other files")
@pytest.mark.parametrize("path", _some() if sys.platform == "linux" else [], ids=lambda path: path.name)
def test_symbols_are_those_that_another_reader_finds(path: Path) -> None:
    found = parse_symbols(path.read_bytes(), what=path.name)
    assert found == _theirs(path)
    assert found.wanted and found.offered


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other files")
def test_damage_is_said_and_never_more_than_that() -> None:
    whole = _some()[0].read_bytes()
    chance = random.Random(1)
    for _ in range(300):
        data = bytearray(whole[: chance.choice([len(whole), chance.randrange(len(whole))])])
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(min(len(data), chance.choice([64, 1000, len(whole)])) or 1)
            if at < len(data):
                data[at] = chance.randrange(256)
        try:
            parse_symbols(bytes(data), what="it")
        except DamagedElf as error:
            assert "it" in str(error)


def test_what_is_no_elf_file_has_none() -> None:
    assert parse_symbols(b"#!/bin/sh\n", what="script") == ElfSymbols()
