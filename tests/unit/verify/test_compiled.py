"""Bytecode that is said to be of modules, against those modules."""

from __future__ import annotations

import _imp
from pathlib import Path

import pytest

from oci_builder.inspect.reading import read_image
from oci_builder.verify.compiled import BytecodeWatcher, bytecode_files
from tests.support.installed import SITE, image_file, layer

SOURCE = b"x = 1\n"
MAGIC = (3495).to_bytes(2, "little") + b"\r\n"


def pyc(source: bytes = SOURCE, *, flags: int = 1, magic: bytes = MAGIC, code: bytes = b"code") -> bytes:
    """A .pyc file of Python 3.11 as PEP 552 has it."""
    key = int.from_bytes(MAGIC, "little")
    return magic + flags.to_bytes(4, "little") + _imp.source_hash(key, source) + code


def judged(tmp_path: Path, *layers: dict[str, bytes]) -> list[str | None]:
    watch = BytecodeWatcher()
    path = image_file(
        tmp_path / "x.tar", *(layer({f"{SITE}/{name}": data for name, data in each.items()}) for each in layers)
    )
    tree = read_image(path, watch=watch).tree
    return [watch.judge(tree, path) for path in bytecode_files(tree)]


PYC = "pkg/__pycache__/a.cpython-311.pyc"


def test_the_bytecode_of_a_module_is_fine(tmp_path: Path) -> None:
    assert judged(tmp_path, {"pkg/a.py": SOURCE, PYC: pyc()}) == [None]
    assert judged(tmp_path, {"pkg/a.py": SOURCE}, {PYC: pyc()}) == [None]


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (pyc(b"x = 2\n"), f"/{SITE}/{PYC} is not the bytecode of /{SITE}/pkg/a.py"),
        (pyc(flags=0), f"/{SITE}/{PYC} is not bytecode as ocibuild writes it for cpython-311"),
        (pyc(flags=3), f"/{SITE}/{PYC} is not bytecode as ocibuild writes it for cpython-311"),
        (pyc(magic=b"\0\0\r\n"), f"/{SITE}/{PYC} is not bytecode as ocibuild writes it for cpython-311"),
        (b"", f"/{SITE}/{PYC} is not bytecode as ocibuild writes it for cpython-311"),
    ],
)
def test_bytecode_of_something_else_is_named(tmp_path: Path, data: bytes, wrong: str) -> None:
    assert judged(tmp_path, {"pkg/a.py": SOURCE, PYC: data}) == [wrong]


def test_bytecode_without_a_module_is_named(tmp_path: Path) -> None:
    assert judged(tmp_path, {"pkg/b.py": SOURCE, PYC: pyc()}) == [f"/{SITE}/{PYC} is bytecode of no module"]


def test_a_module_that_a_later_layer_changed_has_old_bytecode(tmp_path: Path) -> None:
    found = judged(tmp_path, {"pkg/a.py": SOURCE, PYC: pyc()}, {"pkg/a.py": b"x = 3\n"})
    assert found == [f"/{SITE}/{PYC} is not the bytecode of /{SITE}/pkg/a.py"]


def test_what_another_python_hashes_in_another_way_is_not_judged(tmp_path: Path) -> None:
    old = "pkg/__pycache__/a.cpython-310.pyc"
    assert judged(tmp_path, {"pkg/a.py": SOURCE, old: b"whatever"}) == [None]
