"""Layers laid on each other: what is seen afterwards, by any holder."""

from __future__ import annotations

import random
from functools import partial
from typing import NamedTuple

from oci_builder.overlay import Hidden, Overlay, without
from oci_builder.tree.entry import Entry, EntryPath, Kind
from oci_builder.tree.tree import Tree


class Item(NamedTuple):
    path: str
    kind: str = "file"


def _of(held: list[str], row: int, item: Item) -> str:
    return held[row]


def laid(*layers: list[Item]) -> tuple[dict[EntryPath, str], list[str]]:
    """What is held after ``layers``, as "layer number: kind", and what was lost, in order."""
    lost: list[str] = []
    overlay: Overlay[str] = Overlay(lambda held: held.endswith("directory"), lost=lost.append)
    for number, items in enumerate(layers):
        held = [f"{number}: {item.kind}" for item in items]
        overlay.lay(items, [EntryPath(item.path) for item in items], partial(_of, held))
    return overlay.seen, lost


def test_a_whiteout_takes_a_path_and_all_below_it() -> None:
    seen, lost = laid([Item("a", "directory"), Item("a/b"), Item("ab")], [Item("a", "whiteout")])
    assert (seen, sorted(lost)) == ({"ab": "0: file"}, ["a", "a/b"])


def test_an_opaque_folder_stays_and_loses_what_it_held_below() -> None:
    seen, lost = laid([Item("a", "directory"), Item("a/b"), Item("a/c/d")], [Item("a", "opaque"), Item("a/b")])
    assert seen == {"a": "0: directory", "a/b": "1: file"}
    assert sorted(lost) == ["a/b", "a/c/d"]


def test_a_file_in_the_place_of_a_folder_takes_all_that_the_folder_held() -> None:
    seen, _ = laid([Item("a/b/c")], [Item("a", "symlink")])
    assert seen == {"a": "1: symlink"}


def test_what_lies_below_a_file_or_link_hides_it_even_if_no_folder_is_listed() -> None:
    seen, lost = laid([Item("a", "symlink"), Item("b")], [Item("a/x/y"), Item("b/z", "whiteout")])
    assert (seen, sorted(lost)) == ({"a/x/y": "1: file"}, ["a", "b"])


def test_a_folder_beside_its_own_whiteout_lets_show_through_what_lies_below() -> None:
    seen, _ = laid([Item("a", "directory"), Item("a/b")], [Item("a", "whiteout"), Item("a", "directory")])
    assert seen == {"a": "1: directory", "a/b": "0: file"}


def test_what_is_replaced_is_lost_and_a_first_entry_is_not() -> None:
    assert laid([Item("a")], [Item("a")], [Item("b")]) == ({"a": "1: file", "b": "2: file"}, ["a"])


def test_hidden_says_of_every_path_what_walking_its_parents_says() -> None:
    chance = random.Random(5)
    names = ["a", "b", "c"]
    for _ in range(200):
        some = ["/".join(chance.choices(names, k=chance.randint(1, 4))) for _ in range(12)]
        gone, emptied = set(chance.sample(some, 2)), set(chance.sample(some, 2))
        hidden = Hidden(gone, emptied)
        for path in some:
            parts = path.split("/")
            above = {"/".join(parts[:count]) for count in range(1, len(parts))}
            assert hidden.hides(path) == (path in gone or bool(above & (gone | emptied)))


def test_a_tree_without_a_folder_is_without_what_it_holds() -> None:
    paths = [EntryPath(path) for path in ("a/b", "a/b/c", "a/bc")]
    tree = Tree([Entry(path=path, kind=Kind.SYMLINK, mode=0o777, target="x", origin="it") for path in paths])
    assert [entry.path for entry in without(tree, ["a/b"])] == ["a/bc"]
