"""The dynamic loader on paper: what graphs of libraries cost that nobody honest makes."""

from __future__ import annotations

from oci_builder.gate.facts import ElfFile
from oci_builder.gate.loader import Loader, Missing
from oci_builder.tree.elf import Elf
from oci_builder.tree.entry import file
from oci_builder.tree.tree import Tree

PROGRAMS, LIBRARIES = 200, 300


def loader(elves: dict[str, Elf], *, patience: int) -> Loader:
    """The loader of an image with these files."""
    tree = Tree(file(path, b"", origin="tangle") for path in elves)
    files = {path: ElfFile(path=path, sha256="", elf=elf) for path, elf in elves.items()}
    return Loader(tree, files, "x86_64", patience=patience)


def elf(*needed: str, runpath: tuple[str, ...] = ()) -> Elf:
    return Elf(machine="x86_64", bits=64, kind="ET_DYN", needed=needed, runpath=runpath, handed_on=bool(runpath))


def tangle(*, paths: bool = False) -> dict[str, Elf]:
    """Programs that all need the first of many libraries, each of which needs the next; the last is not there."""
    programs = {f"bin/p{number}": elf("l0.so") for number in range(PROGRAMS)}
    return programs | {
        f"lib/l{number}.so": elf(f"l{number + 1}.so", runpath=(f"/opt/{number}",) if paths else ())
        for number in range(LIBRARIES)
    }


def test_programs_that_share_many_libraries_are_each_loaded_wholly() -> None:
    loads = loader(tangle(), patience=10_000_000)
    last = Missing(f"l{LIBRARIES}.so", f"lib/l{LIBRARIES - 1}.so")
    for number in range(PROGRAMS):
        loaded = loads.load(f"bin/p{number}")
        assert (len(loaded.paths), loaded.problems) == (LIBRARIES + 1, [last])
    assert loads.steps > PROGRAMS * LIBRARIES


def test_of_a_graph_made_to_be_slow_each_library_is_walked_and_what_is_missing_is_found() -> None:
    loads = loader(tangle(), patience=5_000)
    found = [loads.load(f"bin/p{number}").problems for number in range(PROGRAMS)]
    assert [problem.library for problem in found[0]] == [f"l{LIBRARIES}.so"]
    assert loads.steps < 5_000 + 20 * (PROGRAMS + LIBRARIES)


def test_search_paths_that_grow_from_library_to_library_are_not_handed_on_for_ever() -> None:
    loads = loader(tangle(paths=True), patience=5_000)
    assert [problem.library for problem in loads.load("bin/p0").problems] == [f"l{LIBRARIES}.so"]
    assert loads.steps < 5_000 + 20 * LIBRARIES
