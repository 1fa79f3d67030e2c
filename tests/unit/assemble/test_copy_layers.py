"""A layer for each [[copy]]: what moves with an edit, and that nothing else is otherwise than in one layer."""

from __future__ import annotations

import io
import json
import os
import py_compile
import sys
import tarfile
import time
from pathlib import Path

import pytest

from oci_builder.assemble.copy_bytecode import CopyBytecode, module_folders
from oci_builder.bases import Compiling
from oci_builder.oci.documents import RunConfig
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, Packed, file
from oci_builder.wheels.compiling import Mode
from oci_builder.wheels.steps import CompilerRef
from tests.support.readers import gunzipped
from tests.support.targets import SITE, TARGET, host_python
from tests.support.tiny import IMAGE, Tiny, built, make_tiny

THREE = (
    '[[copy]]\nsrc = "one"\ndest = "/srv/app"\nowner = "7:8"\n'
    '[[copy]]\nsrc = "two"\ndest = "/srv/app"\nLAYER[[copy]]\nsrc = "two/b"\ndest = "/srv/"\nmode = "0600"\nLAYER'
    '[[folder]]\npath = "/srv/app/deep"\nmode = "0700"\n[[link]]\npath = "/srv/link"\ntarget = "app"\n'
)


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    made = make_tiny(tmp_path / "project")
    for name, files in {"one": ("a", "both", "deep/x"), "two": ("b", "both")}.items():
        for each in files:
            path = made.image / name / each
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name} {each}\n")
    return made


def layers(tiny: Tiny, text: str) -> list[tuple[str, dict[str, tuple[object, ...]]]]:
    """Build with ``text`` in the recipe; the digest of each layer, and what tarfile finds in it."""
    (tiny.image / "image.toml").write_text(IMAGE + text)
    built(tiny)
    with tarfile.open(tiny.out) as archive:

        def read(name: str) -> bytes:
            stream = archive.extractfile(name)
            assert stream is not None
            return stream.read()

        (manifest,) = json.loads(read("manifest.json"))
        return [(name.rpartition("/")[2], _members(gunzipped(read(name)))) for name in manifest["Layers"]]


def _members(data: bytes) -> dict[str, tuple[object, ...]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as layer:
        return {each.name: _face(layer, each) for each in layer}


def _face(layer: tarfile.TarFile, each: tarfile.TarInfo) -> tuple[object, ...]:
    stream = layer.extractfile(each) if each.isfile() else None
    return each.type, each.mode, each.uid, each.gid, each.mtime, each.linkname, stream.read() if stream else b""


def merged(found: list[tuple[str, dict[str, tuple[object, ...]]]]) -> dict[str, tuple[object, ...]]:
    return {name: face for _, members in found for name, face in members.items()}


def test_several_layers_come_to_what_one_would_be(tiny: Tiny) -> None:
    several = layers(tiny, THREE.replace("LAYER", ""))
    one = layers(tiny, THREE.replace("LAYER", 'layer = "same"\n'))
    assert len(several) == len(one) + 2
    assert merged(several) == merged(one)
    assert merged(one)["srv/app/both"][-1] == b"two both\n"


def test_every_layer_lists_the_folders_above_its_files_as_they_are_in_the_image(tiny: Tiny) -> None:
    several = layers(tiny, THREE.replace("LAYER", ""))
    whole = merged(several)
    for _, members in several[-3:]:
        for name in members:
            while "/" in name:
                name = name.rpartition("/")[0]
                assert members[name] == whole[name]


def test_an_edit_moves_the_layer_of_its_table_alone(tiny: Tiny) -> None:
    text = THREE.replace("LAYER", "")
    before = [digest for digest, _ in layers(tiny, text)]
    (tiny.image / "one" / "a").write_text("edited\n")
    after = [digest for digest, _ in layers(tiny, text)]
    assert [old == new for old, new in zip(before, after, strict=True)][-3:] == [False, True, True]


def test_a_file_that_was_only_touched_moves_nothing_and_one_changed_behind_its_times_does(tiny: Tiny) -> None:
    text = THREE.replace("LAYER", "")
    edited = tiny.image / "two" / "b"
    before = layers(tiny, text)
    os.utime(edited, (1, 1))
    time.sleep(0.2)
    assert layers(tiny, text) == before
    edited.write_text("TWO b\n")
    os.utime(edited, (1, 1))
    found = merged(layers(tiny, text))
    assert found["srv/app/b"][-1] == b"TWO b\n"


def test_one_table_shares_its_layer_with_the_user_as_ever(tiny: Tiny) -> None:
    found = layers(tiny, '[[copy]]\nsrc = "one"\ndest = "/srv/app"\n')
    assert {"etc/passwd", "srv/app/a"} <= found[-1][1].keys()


def test_there_are_no_more_layers_of_copies_than_half_the_budget(tiny: Tiny) -> None:
    many = "".join(f'[[copy]]\nsrc = "one/a"\ndest = "/srv/{number}"\n' for number in range(9))
    few = layers(tiny, f"[layering]\nbudget = 6\n{many}")
    assert len(few) - len(layers(tiny, "")) == 2
    assert {f"srv/{number}" for number in range(9)} <= merged(few).keys()
    together = layers(tiny, f'[layering]\nstrategy = "one"\n{many}')
    assert len(together) == len(layers(tiny, ""))


def _bytecode(*folders: str, mode: Mode = "default") -> CopyBytecode:
    compiling = Compiling(ref=CompilerRef(name="this test's", version="0"), start=host_python)
    return CopyBytecode(mode=mode, target=TARGET, compiling=compiling, folders=frozenset(folders))


def _source(path: str, text: str = "X = 1\n", mode: int = 0o644) -> Entry:
    return file(path, text.encode(), mode=mode, uid=7, gid=8, origin="copy")


def test_modules_on_the_path_and_in_packages_are_compiled_and_no_others() -> None:
    entries = [
        _source(path)
        for path in (
            *(f"{SITE}/alone.py", f"{SITE}/tests/t.py", "srv/app/main.py", "srv/app/pkg/__init__.py"),
            *("srv/app/pkg/inner.py", "srv/app/pkg/tests/__init__.py", "srv/app/notes/x.py", "srv/app/pkg/data.txt"),
        )
    ]
    found = [each.path for each in _bytecode("srv/app").modules(entries, ())]
    assert found == [f"{SITE}/alone.py", "srv/app/main.py", "srv/app/pkg/__init__.py", "srv/app/pkg/inner.py"]
    assert len(_bytecode("srv/app", mode="all").modules(entries, ())) == 6
    own = "srv/app/__pycache__/main.cpython-311.pyc"
    assert "srv/app/main.py" not in [each.path for each in _bytecode("srv/app").modules(entries, (own,))]


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="bytecode is compared with that of this Python")
def test_bytecode_is_that_of_pythons_own_compiler_and_held_to_its_source(tmp_path: Path, store: Store) -> None:
    sources = [_source("srv/a.py", mode=0o600), _source("srv/bad.py", "x = = 1\n")]
    (pyc,) = _bytecode("srv").compile(sources)
    assert (pyc.path, pyc.mode, pyc.uid) == ("srv/__pycache__/a.cpython-311.pyc", 0o600, 7)
    assert isinstance(pyc.content, Packed) and pyc.content.raw is not None
    (tmp_path / "a.py").write_text("X = 1\n")
    made = tmp_path / "a.pyc"
    how = py_compile.PycInvalidationMode.CHECKED_HASH
    py_compile.compile(str(tmp_path / "a.py"), cfile=str(made), dfile="/srv/a.py", invalidation_mode=how)
    assert made.read_bytes()[:16] == pyc.content.raw[:16]


def test_python_looks_where_it_is_told_where_its_script_is_and_where_it_starts() -> None:
    run = RunConfig(env={"PYTHONPATH": "/opt/lib:rel:/x/"}, entrypoint=("python3", "/srv/main.py"), workdir="/w")
    assert module_folders(run) == {"opt/lib", "x", "srv"}
    assert module_folders(RunConfig(cmd=("python3", "-m", "app"), workdir="/w")) == {"w"}
    assert module_folders(RunConfig(cmd=("python3", "bin/app.py"), workdir="/w")) == {"w/bin"}
    assert module_folders(RunConfig(cmd=("nginx",), workdir="/w")) == frozenset()
