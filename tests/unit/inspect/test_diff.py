from __future__ import annotations

from pathlib import Path

from oci_builder.inspect.diff import Difference, difference
from tests.support.installed import SITE, distribution, found, layer

BASE = layer({"etc/x": b"1", "etc/y": b"1"})


def changes(path: Path, *upper: bytes, before: dict[str, object], after: dict[str, object]) -> Difference:
    first = found(path / "a.tar", BASE, upper[0], run=before)
    return difference(first, found(path / "b.tar", BASE, upper[1], run=after))


def test_an_image_does_not_differ_from_itself(tmp_path: Path) -> None:
    top = layer(distribution("demo"))
    same = changes(tmp_path, top, top, before={}, after={})
    assert same.is_empty and same.transfer == 0 and same.shared > 0 and same.new_layers == ()


def test_packages_are_added_removed_and_changed(tmp_path: Path) -> None:
    old = layer(distribution("stays"), distribution("goes"), distribution("moves", "1"))
    new = layer(distribution("stays"), distribution("comes"), distribution("moves", "2"))
    found_changes = changes(tmp_path, old, new, before={}, after={})
    assert [(each.name, each.before, each.after) for each in found_changes.packages] == [
        ("comes", "", "1.0"),
        ("goes", "1.0", ""),
        ("moves", "1", "2"),
    ]
    paths = {each.path: (each.change, each.owner) for each in found_changes.files}
    assert paths[f"{SITE}/comes.py"] == ("added", "comes 1.0")
    assert paths[f"{SITE}/goes.py"] == ("removed", "goes 1.0")
    assert f"{SITE}/stays.py" not in paths


def test_a_file_differs_by_its_bytes_or_its_mode_and_not_by_its_layer(tmp_path: Path) -> None:
    first = found(tmp_path / "a.tar", BASE)
    moved = found(tmp_path / "b.tar", layer({"etc/x": b"1"}), layer({"etc/y": b"1"}))
    assert difference(first, moved).is_empty
    modes = found(tmp_path / "c.tar", layer({"etc/x": b"1", "etc/y": b"2"}, modes=0o600))
    assert [(each.path, each.change) for each in difference(first, modes).files] == [
        ("etc/x", "changed"),
        ("etc/y", "changed"),
    ]


def test_configuration_is_compared_key_by_key(tmp_path: Path) -> None:
    top = layer({"x": b""})
    before: dict[str, object] = {"Env": ["A=1", "B=2"], "Cmd": ["x"], "Labels": {"a.b": "c"}}
    after: dict[str, object] = {"Env": ["B=3", "A=1"], "User": "1:1", "Labels": {"a.b": "c"}}
    found_changes = changes(tmp_path, top, top, before=before, after=after)
    assert [(each.key, each.before, each.after) for each in found_changes.config] == [
        ("config.Cmd", '["x"]', ""),
        ("config.Env.B", '"2"', '"3"'),
        ("config.User", "", '"1:1"'),
    ]
    assert not found_changes.is_empty


def test_only_the_layers_that_are_missing_are_transferred(tmp_path: Path) -> None:
    new = layer(distribution("demo"))
    second = found(tmp_path / "b.tar", BASE, new, new)
    found_changes = difference(found(tmp_path / "a.tar", BASE), second)
    assert found_changes.new_layers == (2, 3)
    assert found_changes.transfer == second.contents.layers[1].size
    assert found_changes.shared == second.contents.layers[0].size


def test_the_document_has_all_of_it(tmp_path: Path) -> None:
    document = changes(tmp_path, layer({"x": b""}), layer(distribution("demo")), before={}, after={}).to_json()
    assert document["equal"] is False
    assert document.keys() >= {"before", "after", "packages", "files", "config", "transfer", "shared", "new_layers"}
