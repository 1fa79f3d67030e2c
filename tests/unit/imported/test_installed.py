"""What pip would uninstall of a base is deleted by a layer: all that RECORD names, and nothing else."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from oci_builder.imported.installed import find_installed, removal
from oci_builder.imported.merging import merged
from oci_builder.imported.opening import ForeignImage, open_file
from oci_builder.layer import Layer
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.archives import make_tar
from tests.support.imported import Member, config_of, files, save_like_old_docker

SITE = "usr/local/lib/python3.11/site-packages"
RECORD = b"""\
demo/__init__.py,sha256=x,1
demo/only.py,,
demo-1.0.dist-info/RECORD,,
demo-1.0.dist-info/METADATA,,
../../../bin/demo,,
../../../../../etc/passwd,,
"""
DEMO = files(
    (f"{SITE}/demo/__init__.py", b"1"),
    (f"{SITE}/demo/only.py", b"2"),
    (f"{SITE}/demo/__pycache__/only.cpython-311.pyc", b"3"),
    (f"{SITE}/demo/__pycache__/__init__.cpython-311.opt-1.pyc", b"4"),
    (f"{SITE}/demo-1.0.dist-info/RECORD", RECORD),
    (f"{SITE}/demo-1.0.dist-info/METADATA", b""),
    (f"{SITE}/demo-1.0.dist-info/left-by-somebody", b""),
    (f"{SITE}/other/__init__.py", b"5"),
    ("usr/local/bin/demo", b"6"),
    ("usr/local/bin/other", b"7"),
    ("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
)


def image_of(members: Sequence[Member], tmp_path: Path, store: Store) -> ForeignImage:
    layer = make_tar(*members)
    path = save_like_old_docker(tmp_path / "image.tar", [layer], config_of([layer]))
    return open_file(path, AMD64, store=store, reporter=Quiet())


def removed(image: ForeignImage, store: Store, *names: str) -> tuple[Layer, set[str]]:
    installed = find_installed(image.tree, f"/{SITE}")
    made = removal(image.tree, {name: installed[name] for name in names}, prefix="/usr/local", store=store)
    assert made is not None
    layer, tree = made
    # What the layer does, and what is said of it, are the same.
    assert set(merged([*image.layers, layer], store).paths) == set(tree.paths)
    return layer, {*map(str, set(image.tree.paths) - set(tree.paths))}


def test_what_record_names_goes_with_its_bytecode_and_its_empty_folders(tmp_path: Path, store: Store) -> None:
    image = image_of(DEMO, tmp_path, store)
    _, gone = removed(image, store, "demo")
    kept = set(image.tree.paths) - gone
    assert {f"{SITE}/other/__init__.py", "usr/local/bin/other", "etc/passwd", SITE, "usr/local/bin"} <= kept
    assert not any("demo" in path for path in kept)


def test_a_folder_that_is_empty_then_is_deleted_as_one(tmp_path: Path, store: Store) -> None:
    image = image_of(DEMO, tmp_path, store)
    layer, _ = removed(image, store, "demo")
    with tarfile.open(store.path(layer.descriptor.digest)) as archive:
        names = [member.name for member in archive if not member.isdir()]
    assert names == ["usr/local/bin/.wh.demo", f"{SITE}/.wh.demo", f"{SITE}/.wh.demo-1.0.dist-info"]


def test_a_folder_with_something_of_another_stays(tmp_path: Path, store: Store) -> None:
    image = image_of(files(*DEMO, (f"{SITE}/demo/plugin.py", b"")), tmp_path, store)
    _, gone = removed(image, store, "demo")
    assert f"{SITE}/demo/only.py" in gone and f"{SITE}/demo" not in gone and f"{SITE}/demo/plugin.py" not in gone


def test_names_are_compared_as_pip_compares_them(tmp_path: Path, store: Store) -> None:
    image = image_of(files((f"{SITE}/Foo_Bar.baz-2.0.dist-info/RECORD", b"foo.py,,\n")), tmp_path, store)
    assert find_installed(image.tree, f"/{SITE}")["foo-bar-baz"].label == "foo-bar-baz 2.0"


@pytest.mark.parametrize("record", [None, b""])
def test_a_distribution_without_record_is_left_alone_like_a_systems_package(
    record: bytes | None, tmp_path: Path, store: Store
) -> None:
    name = f"{SITE}/demo-1.0.dist-info/{'METADATA' if record is None else 'RECORD'}"
    image = image_of(files((name, record or b""), (f"{SITE}/demo.py", b"")), tmp_path, store)
    made = removal(image.tree, find_installed(image.tree, f"/{SITE}"), prefix="/usr/local", store=store)
    assert made is None or f"{SITE}/demo.py" in made[1]


def test_the_same_removal_is_the_same_layer(tmp_path: Path, store: Store) -> None:
    image = image_of(DEMO, tmp_path, store)
    first, _ = removed(image, store, "demo")
    again, _ = removed(image_of(DEMO, tmp_path, Store(tmp_path / "other")), Store(tmp_path / "other"), "demo")
    assert first.descriptor == again.descriptor
