from __future__ import annotations

from pathlib import Path

from oci_builder.inspect.packages import Inventory
from oci_builder.inspect.sizes import OTHER, as_json, largest_files, size_tree, walk
from tests.support.installed import SITE, distribution, found, layer


def image(path: Path) -> Inventory:
    demo = distribution("demo", files={"demo/sub/a.py": b"1" * 1000, "demo/sub/b.py": b"1" * 500})
    return found(path / "x.tar", layer(demo, {"srv/data": b"1" * 3000}), layer({"srv/data": b"1" * 100}))


def test_every_byte_of_a_file_is_counted_once_at_every_level(tmp_path: Path) -> None:
    root = size_tree(image(tmp_path))
    assert root.size == sum(node.size for node in root.below.values())
    for _, node in walk(root, depth=9, at_least=0):
        assert not node.below or node.size == sum(each.size for each in node.below.values())


def test_layers_hold_packages_and_packages_hold_folders(tmp_path: Path) -> None:
    root = size_tree(image(tmp_path))
    names = [(depth, node.name) for depth, node in walk(root, depth=3, at_least=400)][1:]
    assert names[:3] == [(1, "layer 1"), (2, OTHER), (3, "srv")]
    assert (2, "demo 1.0") in names and (3, "demo/sub") in names


def test_what_a_later_layer_replaces_is_counted_as_shipped_and_not_seen(tmp_path: Path) -> None:
    root = size_tree(image(tmp_path))
    assert root.below["layer 1"].shadowed == root.shadowed == 3000
    assert root.below["layer 2"].size == 100


def test_the_document_leaves_out_what_is_small(tmp_path: Path) -> None:
    document = as_json(size_tree(image(tmp_path)), depth=2, at_least=3000)
    assert document["below"] == [
        {
            "name": "layer 1",
            "kind": "layer",
            "size": size_tree(image(tmp_path)).below["layer 1"].size,
            "files": 7,
            "shadowed": 3000,
            "below": [{"name": OTHER, "kind": "package", "size": 3000, "files": 1, "shadowed": 3000}],
        }
    ]


def test_the_largest_files_are_those_a_container_sees(tmp_path: Path) -> None:
    assert [record.path for record in largest_files(image(tmp_path), 2)] == [
        f"{SITE}/demo/sub/a.py",
        f"{SITE}/demo/sub/b.py",
    ]
