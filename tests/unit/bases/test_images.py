"""Images made elsewhere as bases: what they promise, what is said of those that promise nothing, who compiles."""

from __future__ import annotations

import gzip
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from oci_builder.bases import Supply, compiling, open_base
from oci_builder.bases.base import Base
from oci_builder.bases.compiling import Wish
from oci_builder.bases.host import find_interpreter, find_python
from oci_builder.bases.images import without_replaced
from oci_builder.errors import DigestMismatch, NoPython, NotFound, UnsupportedImage
from oci_builder.platforms import AMD64, ARM64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.wheels.target import PythonEnvironment, Target
from tests.support.archives import make_tar
from tests.support.imported import (
    Member,
    alpine_python,
    config_of,
    debian_python,
    docker_python,
    files,
    save_layout,
    save_like_old_docker,
)

HERE = platform.python_version()


@dataclass
class Notes(Quiet):
    """A reporter that keeps what is said."""

    lines: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        self.lines.append(line)


def based(members: Sequence[Member], tmp_path: Path, store: Store) -> Base:
    layer = make_tar(*members)
    path = save_like_old_docker(tmp_path / "image.tar", [layer], config_of([layer], run={"Env": ["A=1"]}))
    return open_base(path, AMD64, store=store, reporter=Quiet())


def test_a_base_made_elsewhere_promises_what_is_in_it(tmp_path: Path, store: Store) -> None:
    base = based(docker_python(), tmp_path, store)
    assert base.target == Target(
        platform=AMD64,
        promise=PythonEnvironment(
            version="3.11.9",
            interpreter="/usr/local/bin/python3.11",
            prefix="/usr/local",
            purelib="/usr/local/lib/python3.11/site-packages",
            scripts="/usr/local/bin",
            glibc=(2, 36),
        ),
    )
    assert base.env == {"A": "1"} and base.name == "image.tar" and base.created == 1_714_979_289


def test_a_musl_base_takes_musllinux_wheels_and_no_manylinux(tmp_path: Path, store: Store) -> None:
    target = based(alpine_python(), tmp_path, store).target
    assert target.platform_tags() == [
        "musllinux_1_2_x86_64",
        "musllinux_1_1_x86_64",
        "musllinux_1_0_x86_64",
        "linux_x86_64",
    ]
    assert str(target) == "Python 3.12.8, musl 1.2, linux/amd64"
    assert "cp312-cp312-musllinux_1_2_x86_64" in map(str, target.tags())


def test_a_base_without_python_is_opened_and_refused_when_it_is_asked_for(tmp_path: Path, store: Store) -> None:
    base = based(files(("bin/sh", b"")), tmp_path, store)
    assert len(base.tree) == 2
    with pytest.raises(NoPython, match=r"image\.tar: there is no Python in it") as caught:
        _ = base.target
    assert "python:3.11-slim" in (caught.value.hint or "")


def test_scratch_is_nothing(store: Store) -> None:
    base = open_base(None, AMD64, store=store, reporter=Quiet())
    assert base.layers == () and len(base.tree) == 0
    with pytest.raises(NoPython, match="scratch: it is empty"):
        _ = base.target


def test_a_file_that_is_not_there_is_named(tmp_path: Path, store: Store) -> None:
    with pytest.raises(NotFound, match=r"gone\.tar"):
        open_base(tmp_path / "gone.tar", AMD64, store=store, reporter=Quiet())


def saved(path: Path) -> tuple[Path, bytes]:
    """An image's file, and its one layer."""
    layer = make_tar(*docker_python())
    return save_like_old_docker(path, [layer], config_of([layer])), layer


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut in its first half": lambda data: data[: len(data) // 3],
    "cut before manifest.json": lambda data: data[: data.rindex(b"manifest.json")],
    "cut where it is packed": lambda data: gzip.compress(data, mtime=0)[:-100],
    "changed in a layer": lambda data: data.replace(b"import sys", b"import os "),
    "changed in its configuration": lambda data: data.replace(b'"diff_ids": ["sha256:', b'"diff_ids": ["sha256:0', 1),
    "nothing": lambda data: b"",
    "text": lambda data: b"no image\n" * 100,
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_file_is_one_error_that_names_it(
    damage: Callable[[bytes], bytes], tmp_path: Path, store: Store
) -> None:
    path, _ = saved(tmp_path / "image.tar")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises((UnsupportedImage, DigestMismatch), match=r"image\.tar"):
        open_base(path, AMD64, store=store, reporter=Quiet())


def test_a_file_for_another_machine_is_refused(tmp_path: Path, store: Store) -> None:
    path, _ = saved(tmp_path / "image.tar")
    with pytest.raises(UnsupportedImage, match=r"image\.tar: it is an image for linux/amd64, not for linux/arm64"):
        open_base(path, ARM64, store=store, reporter=Quiet())


def test_a_layout_without_the_platform_says_which_it_has(tmp_path: Path, store: Store) -> None:
    layer = make_tar(*docker_python())
    path = save_layout(tmp_path / "layout", [layer], config_of([layer]))
    with pytest.raises(UnsupportedImage, match="holds no image for linux/arm64/v8, but for linux/amd64"):
        open_base(path, ARM64, store=store, reporter=Quiet())


def test_distributions_that_wheels_replace_are_deleted_by_a_layer_more(tmp_path: Path, store: Store) -> None:
    site = "usr/local/lib/python3.11/site-packages"
    installed = files((f"{site}/demo.py", b""), (f"{site}/demo-1.0.dist-info/RECORD", b"demo.py,,\n"))
    base = based(files(*docker_python(), *installed), tmp_path, store)
    assert without_replaced(base, ["another"], store) is base
    after = without_replaced(base, ["another", "demo"], store)
    assert len(after.layers) == 2 and f"{site}/demo.py" not in after.tree


def compiler(base: Base, notes: Notes, store: Store, path: str = "", wish: Wish = "auto") -> str | None:
    supply = Supply(now=0, host_python=partial(find_python, environ={"PATH": path}))
    found = compiling(base, wish=wish, layers=lambda name: None, supply=supply, store=store, reporter=notes)
    return found.ref.name if found else None


def test_a_python_of_exactly_its_version_compiles_for_it(tmp_path: Path, store: Store) -> None:
    notes = Notes()
    assert compiler(based(docker_python(HERE), tmp_path, store), notes, store) == f"CPython {HERE}"
    assert notes.lines == []


def test_without_one_there_is_no_bytecode_and_that_is_said(tmp_path: Path, store: Store) -> None:
    notes = Notes()
    assert compiler(based(docker_python("3.9.1"), tmp_path, store), notes, store) is None
    assert "no Python 3.9.1 on this machine and no python-3.9 in layers/" in notes.lines[0]
    assert 'or `[python] compiler = "base"` lets the image\'s own Python compile' in notes.lines[0]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([], "/usr/local/bin/python3.9 is no program"),
        ([("usr/local/bin/python3.9", b"#!/bin/sh\n")], "/usr/local/bin/python3.9 is no program"),
        ([("usr/local/bin/python3.9", b"\x7fELF" + b"\xff" * 60)], "usr/local/bin/python3.9"),
    ],
)
def test_a_python_that_cannot_be_started_is_said_and_does_not_compile(
    members: list[tuple[str, bytes]], why: str, tmp_path: Path, store: Store
) -> None:
    notes = Notes()
    replaced = {path for path, _ in members}
    kept = [each for each in docker_python("3.9.1") if each[0].name not in replaced]
    base = based([*kept, *(each for each in files(*members) if each[0].name in replaced)], tmp_path, store)
    assert compiler(base, notes, store, wish="base") is None
    assert "its own Python does not compile here" in notes.lines[0] and why in notes.lines[0]
    assert "no bytecode" in notes.lines[1] and "compiler" not in notes.lines[1]


def test_a_python_of_another_platform_does_not_compile_and_is_not_offered(tmp_path: Path, store: Store) -> None:
    layer = make_tar(*docker_python("3.9.1", machine="aarch64"))
    config = config_of([layer], run={"Env": ["A=1"]}, architecture="arm64", variant="v8")
    path = save_like_old_docker(tmp_path / "arm.tar", [layer], config)
    base = open_base(path, ARM64, store=store, reporter=Quiet())
    notes = Notes()
    assert compiler(base, notes, store, wish="base") is None
    assert compiler(base, notes, store) is None
    assert "it is for linux/arm64/v8, whose programs" in notes.lines[0]
    assert all("lets the image's own Python compile" not in line for line in notes.lines)


def test_a_python_on_the_path_counts_if_it_is_the_one_it_is_called(tmp_path: Path) -> None:
    link = tmp_path / f"python{sys.version_info.major}.{sys.version_info.minor}"
    link.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    link.chmod(0o755)
    assert find_interpreter(HERE, {"PATH": str(tmp_path)}) is not None
    assert find_interpreter(f"{HERE}9", {"PATH": str(tmp_path)}) is None
    assert find_interpreter(HERE, {"PATH": ".:relative:/nowhere"}) is not None


def test_debians_dist_packages_are_the_ones_beside_local(tmp_path: Path, store: Store) -> None:
    assert based(debian_python(), tmp_path, store).target.promise.purelib == "/usr/local/lib/python3.11/dist-packages"
