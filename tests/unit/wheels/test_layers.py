"""Groups of wheels as layers."""

from __future__ import annotations

import gzip
import importlib.util
import io
import marshal
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from oci_builder.errors import CacheEmptied, DigestMismatch, PathConflict
from oci_builder.gate.facts import FactsCollector
from oci_builder.layer import Layer
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.tree import Tree
from oci_builder.wheels.conflicts import Policy, lost_by, resolve_conflicts
from oci_builder.wheels.installed_wheels import InstalledWheels
from oci_builder.wheels.layering import Group, Wheel
from oci_builder.wheels.layers import LayerMaker
from oci_builder.wheels.listing import Listing
from oci_builder.wheels.steps import NO_BYTECODE, Anchors, BytecodeChoice, LayerStep, layer_steps
from tests.support.readers import read_back
from tests.support.targets import (
    BYTECODE,
    SITE,
    TARGET,
    base_tree,
    folder,
    lend_host_python,
    make_layers,
    shelve,
    wheel_of,
)
from tests.support.wheels import make_wheel, record_line

TAG = f"cpython-{sys.version_info[0]}{sys.version_info[1]}"


def layers_of(
    *groups: tuple[Wheel, ...],
    store: Store,
    base: Tree | None = None,
    bytecode: BytecodeChoice = NO_BYTECODE,
    jobs: int = 2,
    policy: Policy = "error",
) -> tuple[Layer, ...]:
    wheels = shelve((wheel for group in groups for wheel in group), store)
    listing = Listing(opened=InstalledWheels(TARGET), store=store, jobs=jobs)
    lost = lost_by(resolve_conflicts(wheels, listing, policy=policy))
    made = [Group(wheels=group) for group in groups]
    layers = make_layers(made, store, base or base_tree(), bytecode=bytecode, lost=lost, jobs=jobs)
    for layer in layers:
        read_back(layer, store)
    return layers


def members(layer: Layer, store: Store) -> dict[str, tarfile.TarInfo]:
    data = gzip.decompress(store.path(layer.descriptor.digest).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


def content(layer: Layer, store: Store, path: str) -> bytes:
    data = gzip.decompress(store.path(layer.descriptor.digest).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        stream = archive.extractfile(path)
        assert stream is not None
        return stream.read()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_a_layer_lists_every_folder_above_with_the_bases_own_metadata(tmp_path: Path, store: Store) -> None:
    odd = [folder("usr", mode=0o711, uid=5, mtime=99)]
    base = base_tree().overlaid(odd)
    (layer,) = layers_of((wheel_of(make_wheel(tmp_path)),), store=store, base=base)
    listed = members(layer, store)
    assert (listed["usr"].mode, listed["usr"].uid, listed["usr"].mtime) == (0o711, 5, 99)
    assert list(listed)[:5] == ["usr", "usr/local", "usr/local/lib", "usr/local/lib/python3.11", SITE]


def test_a_layer_found_again_is_not_made_again(tmp_path: Path, store: Store) -> None:
    wheel = wheel_of(make_wheel(tmp_path))
    (first,) = layers_of((wheel,), store=store)
    wheel.path.unlink()
    (second,) = layers_of((wheel,), store=store)
    assert first == second


def test_a_layer_whose_blob_is_gone_is_made_again(tmp_path: Path, store: Store) -> None:
    wheel = wheel_of(make_wheel(tmp_path))
    (first,) = layers_of((wheel,), store=store)
    store.drop(first.descriptor.digest)
    (second,) = layers_of((wheel,), store=store)
    assert second == first and store.has(first.descriptor.digest)


def test_the_bytes_do_not_depend_on_the_number_of_jobs(tmp_path: Path) -> None:
    wheels = [(wheel_of(make_wheel(tmp_path, f"demo{n}", files={f"d{n}.py": "x = 1\n" * n})),) for n in range(1, 6)]
    one = layers_of(*wheels, store=Store(tmp_path / "one"), jobs=1, bytecode=BYTECODE)
    four = layers_of(*wheels, store=Store(tmp_path / "four"), jobs=4, bytecode=BYTECODE)
    assert [layer.descriptor for layer in one] == [layer.descriptor for layer in four]


def test_bytecode_is_what_the_interpreter_would_import(tmp_path: Path, store: Store) -> None:
    source = b"def f():\n    return 41 + 1\n"
    wheel = wheel_of(make_wheel(tmp_path, files={"demo/__init__.py": source, "demo/tests/test_x.py": source}))
    (layer,) = layers_of((wheel,), store=store, bytecode=BYTECODE)
    listed = members(layer, store)
    # The tag is the target's; the bytes here come from the interpreter of this test.
    pyc = content(layer, store, f"{SITE}/demo/__pycache__/__init__.cpython-311.pyc")
    assert pyc[:4] == importlib.util.MAGIC_NUMBER
    assert pyc[4:8] == (1).to_bytes(4, "little")
    assert pyc[8:16] == importlib.util.source_hash(source)
    code = marshal.loads(pyc[16:])
    assert code.co_filename == f"/{SITE}/demo/__init__.py"
    assert not [path for path in listed if "tests/__pycache__" in path]
    record = content(layer, store, f"{SITE}/demo-1.0.dist-info/RECORD").decode()
    assert "demo/__pycache__/__init__.cpython-311.pyc,,\n" in record


def test_a_module_that_does_not_compile_comes_without_bytecode(tmp_path: Path, store: Store) -> None:
    wheel = wheel_of(make_wheel(tmp_path, files={"good.py": b"1\n", "template.py": b"{{ not python }\n"}))
    (layer,) = layers_of((wheel,), store=store, bytecode=BYTECODE)
    listed = {path for path in members(layer, store) if path.endswith(".pyc")}
    assert listed == {f"{SITE}/__pycache__/good.cpython-311.pyc"}


def test_a_damaged_file_stops_the_build_and_leaves_nothing(tmp_path: Path, store: Store) -> None:
    lie = record_line("demo.py", b"other")
    wheel = wheel_of(make_wheel(tmp_path, files={"demo.py": b"12345"}, record_lies={"demo.py": lie}))
    with pytest.raises(DigestMismatch, match=r"demo 1\.0: .*demo\.py"):
        layers_of((wheel,), store=store)
    assert list((store.root / "v1" / "blobs" / "sha256").iterdir()) == [store.path(wheel.pin.sha256)]


def test_two_distributions_with_other_bytes_at_one_path_are_named(tmp_path: Path, store: Store) -> None:
    first = wheel_of(make_wheel(tmp_path, "one", files={"shared.py": b"1", "one.py": b""}))
    second = wheel_of(make_wheel(tmp_path, "two", files={"shared.py": b"2", "two.py": b""}))
    with pytest.raises(PathConflict, match=r"/shared\.py comes from both one 1\.0 and two 1\.0") as caught:
        resolve_conflicts([first, second], Listing(opened=InstalledWheels(TARGET), store=store), policy="error")
    assert caught.value.hint and 'conflicts = "last"' in caught.value.hint


def test_the_same_bytes_at_one_path_are_fine(tmp_path: Path, store: Store) -> None:
    wheels = [wheel_of(make_wheel(tmp_path, name, files={"shared.py": b"1"})) for name in ("one", "two")]
    assert resolve_conflicts(wheels, Listing(opened=InstalledWheels(TARGET), store=store), policy="error") == ()
    (layer,) = layers_of(tuple(wheels), store=store, bytecode=BYTECODE)
    assert f"{SITE}/shared.py" in members(layer, store)


def test_last_lets_the_one_win_that_pip_installs_last(tmp_path: Path, store: Store) -> None:
    # "app" needs "lib": pip installs lib first, so app's file is the one that stays.
    library = wheel_of(make_wheel(tmp_path, "lib", files={"shared.py": b"library"}))
    app = wheel_of(make_wheel(tmp_path, "app", files={"shared.py": b"app"}, requires=["lib"]))
    made = layers_of((app,), (library,), store=store, bytecode=BYTECODE, policy="last")
    assert content(made[0], store, f"{SITE}/shared.py") == b"app"
    assert not [path for path in members(made[1], store) if "shared" in path]


def test_a_wheel_lands_behind_the_bases_links(tmp_path: Path, store: Store) -> None:
    linked = base_tree().overlaid([])
    base = Tree(
        [*(entry for entry in linked if not entry.path.startswith(SITE)), folder("opt"), folder("opt/site", mtime=3)]
    )
    from oci_builder.tree.entry import symlink

    base = base.overlaid([symlink(SITE, "/opt/site", origin="base")])
    (layer,) = layers_of((wheel_of(make_wheel(tmp_path)),), store=store, base=base)
    assert f"{SITE}/demo.py" not in members(layer, store)
    assert "opt/site/demo.py" in members(layer, store)


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_layer_that_somebody_else_takes_out_of_the_cache_is_named(
    tmp_path: Path, store: Store, keep_going: bool
) -> None:
    wheels = shelve([wheel_of(make_wheel(tmp_path, "alpha"))], store)
    steps = layer_steps(
        [Group(wheels=tuple(wheels))], TARGET, Anchors.of(TARGET, base_tree()), bytecode=NO_BYTECODE, lost={}
    )

    def empty(step: LayerStep, seconds: float) -> None:
        shutil.rmtree(store.root / "v1" / "records")

    maker = LayerMaker(
        store=store,
        reporter=Quiet(),
        jobs=1,
        lend=lend_host_python,
        observe=FactsCollector,
        keep_going=keep_going,
        timed=empty,
    )
    if keep_going:
        assert [type(found) for _, found in maker.run(steps)] == [CacheEmptied]
    else:
        with pytest.raises(CacheEmptied, match=r"^alpha.* in the cache: expected what was just put there"):
            list(maker.run(steps))
