from __future__ import annotations

import pytest
from msgspec.structs import replace

from oci_builder.errors import PathConflict, UnsafePath
from oci_builder.tree.entry import Entry, Kind, directory, file, symlink
from oci_builder.tree.tree import Tree, order, parents


def known(path: str, data: bytes = b"x", *, origin: str = "one 1") -> Entry:
    return replace(file(path, data, origin=origin), sha256=data.hex())


def test_a_tree_lists_a_folder_and_then_all_it_holds() -> None:
    names = ["b", "a/b", "a", "a.b", "a/b/c", "ä", "a-b", "B"]
    tree = Tree(directory(name, origin="t") for name in names)
    assert [entry.path for entry in tree] == ["B", "a", "a/b", "a/b/c", "a-b", "a.b", "b", "ä"]


def test_two_origins_may_share_a_folder_and_equal_bytes() -> None:
    tree = Tree(
        [directory("d", origin="one 1"), directory("d", origin="two 2"), known("f"), known("f", origin="two 2")]
    )
    assert len(tree) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (known("p"), known("p", b"y", origin="two 2")),
        (file("p", b"x", origin="one 1"), file("p", b"x", origin="two 2")),
        (known("p"), directory("p", origin="two 2")),
        (symlink("p", "a", origin="one 1"), symlink("p", "b", origin="two 2")),
    ],
)
def test_two_origins_that_differ_are_both_named(first: Entry, second: Entry) -> None:
    with pytest.raises(PathConflict) as caught:
        Tree([first, second])
    assert (caught.value.path, {caught.value.first, caught.value.second}) == ("p", {first.origin, second.origin})


LINKED = Tree(
    [
        directory("usr", origin="t"),
        directory("usr/lib", origin="t"),
        symlink("lib", "usr/lib", origin="t"),
        symlink("usr/local", "../srv/./x", origin="t"),
        symlink("abs", "/usr", origin="t"),
        symlink("up", "../../../usr", origin="t"),
        symlink("loop", "pool", origin="t"),
        symlink("pool", "loop", origin="t"),
    ]
)


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("lib", "usr/lib"),
        ("lib/x/y", "usr/lib/x/y"),
        ("usr/local/bin", "srv/x/bin"),
        ("abs/lib", "usr/lib"),
        ("up/lib", "usr/lib"),
        ("nowhere/at/all", "nowhere/at/all"),
        ("lib/../x", "usr/x"),
    ],
)
def test_a_path_is_resolved_through_every_link(path: str, resolved: str) -> None:
    assert LINKED.resolve(path) == resolved


def test_placing_keeps_the_last_name() -> None:
    assert LINKED.place("lib") == "lib"
    assert LINKED.place("abs/local") == "usr/local"


def test_links_that_go_round_are_noticed() -> None:
    with pytest.raises(UnsafePath, match="circle"):
        LINKED.resolve("loop/x")


def test_an_upper_layer_wins() -> None:
    upper = [file("usr/lib", b"", origin="upper"), directory("zzz", origin="upper")]
    merged = LINKED.overlaid(upper)
    found = merged.get("usr/lib")
    assert found is not None and found.kind is Kind.FILE
    assert [entry.path for entry in merged] == sorted((entry.path for entry in merged), key=order)
    assert "zzz" in merged and "zzz" not in LINKED


def test_the_folders_above_come_outermost_first() -> None:
    assert list(parents("a/b/c")) == ["a", "a/b"]
    assert list(parents("a")) == []
