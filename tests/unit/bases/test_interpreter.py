"""Wheels beside the interpreter of their base, and none in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.bases.base import Base
from oci_builder.bases.interpreter import keep_interpreter
from oci_builder.errors import PathConflict
from oci_builder.layer import write_layer
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, directory, file, symlink
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree, parents
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.install import install
from tests.support.targets import TARGET
from tests.support.tiny import build, make_tiny
from tests.support.wheels import make_wheel

ORIGIN = "libpython3.11-stdlib 3.11.2"


def tree_of(*entries: Entry) -> Tree:
    above = {parent for entry in entries for parent in parents(entry.path)}
    return Tree([*entries, *(directory(path, origin=ORIGIN) for path in above)])


DOCKER = tree_of(
    file("usr/local/bin/python3.11", b"it", mode=0o755, origin=ORIGIN),
    symlink("usr/local/bin/python3", "python3.11", origin=ORIGIN),
    file("usr/local/bin/python3.11-config", b"it", origin=ORIGIN),
    file("usr/local/lib/libpython3.11.so.1.0", b"it", origin=ORIGIN),
    file("usr/local/lib/python3.11/os.py", b"it", origin=ORIGIN),
    file("usr/local/lib/python3.11/site-packages/pip/__init__.py", b"it", origin=ORIGIN),
    file("usr/local/bin/pip3", b"it", origin=ORIGIN),
)
DEBIAN = tree_of(
    file("usr/bin/python3.11", b"it", mode=0o755, origin=ORIGIN),
    symlink("usr/local/bin/python3.11", "/usr/bin/python3.11", origin=ORIGIN),
    file("usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", b"it", origin=ORIGIN),
    file("usr/lib/python3.11/os.py", b"it", origin=ORIGIN),
)


def put(tree: Tree, wheel: Path, store: Store) -> None:
    base = Base(name="a base", layers=(), tree=tree, platform=TARGET.platform, promise=TARGET.promise)
    entries = install(open_wheel(wheel, wheel.name), TARGET, requested=True).entries
    layer = write_layer(place(entries, tree), store, created_by="t", holds=())
    keep_interpreter(base, [layer])


@pytest.mark.parametrize("tree", [DOCKER, DEBIAN])
@pytest.mark.parametrize(
    "path",
    [
        "scripts/python3.11",
        "scripts/python3",
        "scripts/python",
        "data/bin/python3",
        "data/pyvenv.cfg",
        "data/bin/pyvenv.cfg",
    ],
)
def test_a_wheel_that_would_be_started_as_the_interpreter_is_refused(
    tmp_path: Path, store: Store, tree: Tree, path: str
) -> None:
    with pytest.raises(PathConflict) as caught:
        put(tree, make_wheel(tmp_path, data={path: "#!/bin/sh\n"}), store)
    assert "demo 1.0" in str(caught.value) and path.rpartition("/")[2] in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "lib/python3.11/os.py",
        "lib/python3.11/os/__init__.py",
        "lib/python3.11/sitecustomize.py",
        "lib/python311.zip",
        "lib/libpython3.11.so.1.0",
        "bin/python3.11-config",
    ],
)
def test_a_wheel_that_would_change_its_library_is_refused_with_the_names_of_both(
    tmp_path: Path, store: Store, path: str
) -> None:
    with pytest.raises(PathConflict) as caught:
        put(DOCKER, make_wheel(tmp_path, data={f"data/{path}": b"x"}), store)
    present = f"usr/local/{path}" in DOCKER
    assert caught.value.path == f"/usr/local/{path}"
    assert (caught.value.first, caught.value.second) == (
        ORIGIN if present else "the interpreter of a base",
        "demo 1.0",
    )


@pytest.mark.parametrize("tree", [DOCKER, DEBIAN])
@pytest.mark.parametrize(
    "path",
    [
        "scripts/python-argcomplete-tcsh",
        "scripts/pip3",
        "scripts/ipython3",
        "scripts/pythonise",
        "data/lib/libpython_helper.so",
        "data/lib/python3.10/os.py",
        "data/lib/python3.11/site-packages/other.py",
        "data/share/python3.11/os.py",
        "purelib/python3.11/os.py",
        "purelib/pip/__init__.py",
        "purelib/libpython3.11.so.1.0",
    ],
)
def test_what_lies_beside_it_is_let_be(tmp_path: Path, store: Store, tree: Tree, path: str) -> None:
    put(tree, make_wheel(tmp_path, data={path: "x"}), store)


def test_a_build_says_whose_the_file_is_and_writes_nothing(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    make_wheel(tiny.wheels, "tool", "2.0", data={"scripts/python3.11": "#!/bin/sh\n"})
    tiny.lock()
    for _ in range(2):
        ending = build(tiny)
        assert ending.code == 1 and "python3.11 comes from both" in ending.said and "tool 2.0" in ending.said
        assert not tiny.out.exists()
