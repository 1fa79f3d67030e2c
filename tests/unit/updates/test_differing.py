"""What a patch lists, path by path."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec
import pytest

from oci_builder.errors import UnsupportedImage
from oci_builder.layer import write_layer
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, Kind, directory, file, symlink
from oci_builder.tree.tree import Tree
from oci_builder.updates.differing import TreeDifference, differing, in_patch_order
from oci_builder.updates.faces import MergedTree
from oci_builder.updates.scanning import LayerScan, scan_of
from tests.support.updates import linked

ORIGIN = "a test"


def scan(store: Store, *entries: Entry) -> LayerScan:
    layer = write_layer(Tree(entries), store, created_by="a test", holds=())
    found = scan_of(layer)
    assert found is not None
    return found


def difference(store: Store, old: Sequence[Entry], new: Sequence[Entry]) -> TreeDifference:
    return differing(MergedTree([scan(store, *old)]), MergedTree([scan(store, *new)]))


def folder(path: str, **face: int) -> Entry:
    return directory(path, origin=ORIGIN, **face)


def text(path: str, data: bytes = b"x", **face: int) -> Entry:
    return file(path, data, origin=ORIGIN, **face)


def test_two_images_with_the_same_files_in_other_layers_do_not_differ(store: Store) -> None:
    old = MergedTree([scan(store, folder("a"), text("a/b")), scan(store, folder("a"), text("a/c"))])
    new = MergedTree([scan(store, folder("a"), text("a/b"), text("a/c"))])
    assert differing(old, new).is_empty
    assert old.digest() == new.digest()


def test_a_changed_file_comes_with_the_folders_above_it_and_nothing_else(store: Store) -> None:
    same = [folder("a", mode=0o700), folder("a/b", uid=7, gid=7), text("a/same"), folder("z")]
    found = difference(store, [*same, text("a/b/c", b"1")], [*same, text("a/b/c", b"2")])
    assert found.listed == ("a", "a/b", "a/b/c")
    assert found.changed == {"a/b/c"}
    assert found.deleted == found.emptied == ()


@pytest.mark.parametrize(
    "after",
    [
        text("f", b"other"),
        text("f", mode=0o600),
        text("f", uid=1),
        text("f", gid=1),
        msgspec.structs.replace(text("f"), mtime=5),
        symlink("f", "x", origin=ORIGIN),
        folder("f"),
    ],
    ids=["bytes", "mode", "owner", "group", "time", "link", "folder"],
)
def test_whatever_a_container_could_tell_makes_a_file_differ(store: Store, after: Entry) -> None:
    assert difference(store, [text("f")], [after]).changed == {"f"}
    assert difference(store, [after], [text("f")]).changed == {"f"}
    assert difference(store, [after], [after]).is_empty


def test_a_folder_that_goes_is_deleted_once(store: Store) -> None:
    old = [folder("a"), folder("a/b"), folder("a/b/c"), text("a/b/c/d"), text("a/e")]
    found = difference(store, old, [folder("a"), text("a/e")])
    assert (found.deleted, found.emptied, found.gone) == (("a/b",), (), 3)
    assert found.listed == ("a",)


def test_a_folder_in_which_nothing_stays_is_begun_anew(store: Store) -> None:
    old = [folder("a"), text("a/1"), text("a/2"), folder("a/b"), text("a/b/3")]
    found = difference(store, old, [folder("a"), text("a/4")])
    assert (found.deleted, found.emptied) == ((), ("a",))
    assert list(in_patch_order(found)) == [("path", "a"), ("opaque", "a"), ("path", "a/4")]


def test_what_stays_keeps_its_folder_from_being_begun_anew(store: Store) -> None:
    old = [folder("a"), text("a/1"), text("a/2"), text("a/3"), text("top")]
    found = difference(store, old, [folder("a"), text("a/3")])
    assert (found.deleted, found.emptied) == (("a/1", "a/2", "top"), ())
    order = [("whiteout", "top"), ("path", "a"), ("whiteout", "a/1"), ("whiteout", "a/2")]
    assert list(in_patch_order(found)) == order


def test_a_name_that_no_whiteout_can_have_goes_with_its_whole_folder(store: Store) -> None:
    long = "ö" * 126
    old = [folder("a"), folder("a/b"), text(f"a/b/{long}"), text("a/b/same"), text("a/same")]
    found = difference(store, old, [folder("a"), folder("a/b"), text("a/b/same"), text("a/same")])
    assert (found.deleted, found.emptied) == ((), ("a/b",))
    assert found.changed == {"a/b/same"}
    with pytest.raises(UnsupportedImage, match="too long to be deleted"):
        difference(store, [text(long)], [folder("a")])
    short = "o" * 251
    assert difference(store, [folder("a"), text(f"a/{short}")], [folder("a")]).deleted == (f"a/{short}",)


def test_what_takes_a_folders_place_takes_all_it_held_along(store: Store) -> None:
    found = difference(store, [folder("a"), text("a/1"), text("a/2")], [text("a")])
    assert (found.deleted, found.emptied, found.listed) == ((), (), ("a",))


def test_all_names_of_a_file_are_listed_together(store: Store) -> None:
    first = text("a/1", b"one file")
    old = [folder("a"), first, linked("a/2", "a/1", first)]
    new = [*old, linked("a/3", "a/1", first)]
    assert difference(store, old, old).is_empty
    assert difference(store, old, new).changed == {"a/1", "a/2", "a/3"}
    apart = [folder("a"), first, text("a/2", b"one file")]
    assert difference(store, old, apart).changed == {"a/1", "a/2"}


def test_a_folder_that_no_layer_lists_is_roots_in_both(store: Store) -> None:
    assert difference(store, [text("a/b")], [text("a/b")]).is_empty
    found = difference(store, [folder("a", mode=0o700), text("a/b")], [text("a/b")])
    assert found.changed == {"a"}


def test_faces_make_the_digest_of_a_tree(store: Store) -> None:
    trees = [[text("f")], [text("f", mode=0o600)], [text("g")], [symlink("f", "x", origin=ORIGIN)], [folder("f")]]
    digests = [MergedTree([scan(store, *entries)]).digest() for entries in trees]
    assert all(one != other for one, other in itertools.combinations(digests, 2))


def test_a_device_of_a_layer_hides_what_was_there_and_is_not_gone(store: Store) -> None:
    below = scan(store, folder("dev"), text("dev/null"))
    upper = scan(store, folder("dev"), msgspec.structs.replace(text("dev/null", b""), kind=Kind.WHITEOUT, content=None))
    made = LayerScan(
        descriptor=upper.descriptor,
        diff_id=upper.diff_id,
        entries=upper.entries,
        members=upper.members,
        devices=frozenset({"dev/null"}),
    )
    assert MergedTree([below, made]).face(next(iter(sorted(["dev/null"])))).kind == "device"  # type: ignore[arg-type]
    assert "dev/null" not in MergedTree([below, upper])
