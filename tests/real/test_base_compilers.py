"""The Python of an image as base, which compiles where the recipe says so: as the same Python anywhere does, alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.bases import open_base
from oci_builder.bases.image_python import image_python, why_not_image_python
from oci_builder.cli import main
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.verify.verify import verify_file
from tests.real.test_other_machines import diff_ids
from tests.support.tiny import CHECKOUT
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.real

MODULES: dict[str, bytes | str] = {
    "odd/__init__.py": "x = [1, 2, 3][0:2]\n",
    "odd/coded.py": b"# -*- coding: latin-1 -*-\ns = '\xe9'\n",
    "odd/broken.py": "def (:\n",
    **{
        f"odd/many{number}.py": f"def f(x, y={number}):\n    return x if y else {{y: f'{{x!r:>{number}}}'}}\n"
        for number in range(40)
    },
}
PROBE = """
import os
import sys

def refused(act):
    try:
        act()
    except OSError:
        return True
    return False

print(
    refused(lambda: open("/etc/passwd")),
    refused(lambda: os.listdir("/")),
    refused(lambda: open({folder!r} + "/new", "w")),
    refused(lambda: open({cache!r} + "/new", "w")),
    refused(lambda: os.mkdir({folder!r} + "/new")),
    "SECRET" in os.environ,
    sys.version_info[:2],
)
"""


@pytest.fixture(scope="module", params=["3.13", "3.11"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A minor version, and a base of layers/ of it as the file of an image."""
    folder = tmp_path_factory.mktemp("base") / "py"
    folder.mkdir()
    (folder / "image.toml").write_text(f'base = "python-{request.param}"\n')
    assert build(folder, "base.tar") == 0
    return request.param, folder / "base.tar"


def build(folder: Path, out: str, *words: str) -> int:
    """With the user's cache, which has the bases."""
    places = ("--layers", str(CHECKOUT / "layers"), "--progress", "none")
    return main(["build", str(folder), "--out", str(folder / out), *places, *words])


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    make_wheel(folder / "shelf", "odd", "1.0", files=MODULES)
    (folder / "requirements.txt").write_text("odd\n")
    return folder


def recipe(folder: Path, base: str | Path, compiler: str = "auto") -> None:
    lines = f'[python]\nfind-links = ["shelf"]\nbytecode = "all"\ncompiler = "{compiler}"\n'
    (folder / "image.toml").write_text(f'name = "app"\nbase = "{base}"\n[user]\nname = "root"\n{lines}')


def test_it_compiles_to_the_same_bytes_as_the_same_python_elsewhere(
    base: tuple[str, Path], app: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minor, image = base
    # No Python of the machine is to be found, but the one that runs this.
    monkeypatch.setenv("PATH", "/nonexistent")
    recipe(app, image, "base")
    assert build(app, "image.tar", "--cache-dir", str(app / "cache")) == 0
    assert "the image's own compiles" in capsys.readouterr().err
    assert verify_file(app / "image.tar").findings == ()
    recipe(app, f"python-{minor}")
    assert build(app, "layers.tar") == 0
    assert set(diff_ids(app / "layers.tar")) <= set(diff_ids(app / "image.tar"))


@pytest.fixture
def probe(base: tuple[str, Path], tmp_path: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    store = Store(tmp_path / "store")
    found = open_base(base[1], AMD64, store=store, reporter=Quiet())
    assert why_not_image_python(found, store) == ""
    with image_python(found, store) as python:
        folder = Path(python.argv[5])
        program = tmp_path / "probe.py"
        program.write_text(PROBE.format(folder=str(folder), cache=str(tmp_path)))
        yield (*python.argv, str(program)), folder


def test_it_sees_nothing_and_writes_nothing(probe: tuple[tuple[str, ...], Path]) -> None:
    command, folder = probe
    before = {path for path in folder.rglob("*") if path.is_file()}
    done = subprocess.run(command, capture_output=True, text=True, env={}, check=False, timeout=60)
    assert done.stdout.startswith("True True True True True False (3, "), done.stderr
    assert {path for path in folder.rglob("*") if path.is_file()} == before


def test_it_asks_for_no_more_memory_than_it_may(probe: tuple[tuple[str, ...], Path], tmp_path: Path) -> None:
    command, _ = probe
    (tmp_path / "probe.py").write_text("try:\n    bytearray(8 << 30)\nexcept MemoryError:\n    print('enough')\n")
    done = subprocess.run(command, capture_output=True, text=True, env={}, check=False, timeout=60)
    assert done.stdout == "enough\n", done.stderr
