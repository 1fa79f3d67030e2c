from __future__ import annotations

import pytest

from oci_builder.errors import PathConflict
from oci_builder.tree.entry import Entry, directory, file, symlink
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree
from tests.support.images import base_tree

BASE = base_tree("n")


def test_every_folder_above_is_listed_as_the_base_has_it() -> None:
    tree = place([file("tmp/x", b"", origin="t"), file("home/user/a/b", b"", origin="t")], BASE)
    assert [(e.path, oct(e.mode), e.uid) for e in tree] == [
        ("home", "0o755", 0),
        ("home/user", "0o750", 1000),
        ("home/user/a", "0o755", 0),
        ("home/user/a/b", "0o644", 0),
        ("tmp", "0o1777", 0),
        ("tmp/x", "0o644", 0),
    ]


def test_a_path_below_a_linked_folder_goes_where_the_link_leads() -> None:
    tree = place([file("lib/x", b"", origin="t")], BASE)
    assert [entry.path for entry in tree] == ["usr", "usr/lib", "usr/lib/x"]


def test_a_folder_named_by_a_link_is_the_folder_it_leads_to() -> None:
    tree = place([directory("lib", mode=0o700, origin="t")], BASE)
    assert [(entry.path, entry.mode) for entry in tree] == [("usr", 0o755), ("usr/lib", 0o755)]


def test_a_folder_the_base_has_keeps_its_mode_and_owner() -> None:
    tree = place([directory("tmp", mode=0o755, origin="t")], BASE)
    assert [(entry.path, entry.mode) for entry in tree] == [("tmp", 0o1777)]


@pytest.mark.parametrize(
    "entries",
    [
        [file("tmp", b"", origin="t")],
        [directory("etc/passwd", origin="t")],
        [file("etc/passwd/x", b"", origin="t")],
        [file("new", b"", origin="t"), file("new/x", b"", origin="t")],
        [symlink("new", "tmp", origin="t"), file("new/x", b"", origin="t")],
        [file("new/x", b"", origin="t"), file("new", b"", origin="t")],
    ],
)
def test_a_file_takes_no_folders_place_and_holds_nothing(entries: list[Entry]) -> None:
    with pytest.raises(PathConflict):
        place(entries, BASE)


def test_nothing_placed_is_an_empty_layer() -> None:
    assert len(place([], BASE)) == 0
    assert [entry.path for entry in place([file("a", b"", origin="t")], Tree())] == ["a"]
