"""What is built here twice is the same wheel: days, umasks and owners leave no trace, and RECORD holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from oci_builder.digest import digest_file
from oci_builder.errors import WheelError
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.normalise import normalise
from tests.support.wheels import make_wheel

BACKENDS = {"setuptools": "setuptools.build_meta", "hatchling": "hatchling.build"}
DAY = 86_400


def project(folder: Path, backend: str) -> Path:
    """A project whose name backends spell in more than one way, with a script that runs and a folder of data."""
    files = {
        "pyproject.toml": f'[build-system]\nrequires = ["{backend}"]\nbuild-backend = "{BACKENDS[backend]}"\n'
        '[project]\nname = "Odd.Name"\nversion = "1.0"\nscripts = {odd = "odd_name:main"}\n',
        "odd_name/__init__.py": "def main():\n    print('here')\n",
        "odd_name/b.py": "B = 1\n",
        "odd_name/a/__init__.py": "",
        "odd_name/run": "#!/bin/sh\n",
        "MANIFEST.in": "include odd_name/run\n",
        "setup.cfg": "[options]\npackages = odd_name, odd_name.a\n[options.package_data]\nodd_name = run\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "odd_name/run").chmod(0o755)
    return folder


def built(folder: Path, backend: str, dest: Path, *, umask: int, day: int) -> Path:
    """Build ``folder`` with a backend of this environment, on that day, from files that its umask left as they are."""
    before = os.umask(umask)
    try:
        copy = shutil.copytree(folder, dest / "copy", copy_function=shutil.copyfile)
        (copy / "odd_name/run").chmod(0o777 & ~umask)
        for path in [*copy.rglob("*"), copy]:
            os.utime(path, (day * DAY, day * DAY))
        code = f"import {BACKENDS[backend]} as backend, sys; backend.build_wheel(sys.argv[1])"
        environ = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
        words = [sys.executable, "-c", code, str(dest)]
        subprocess.run(words, cwd=copy, check=True, capture_output=True, env=environ)
    finally:
        os.umask(before)
    (wheel,) = dest.glob("*.whl")
    return wheel


def sums(wheel: Path) -> str:
    return str(digest_file(str(wheel))[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_days_and_two_umasks_give_one_wheel(tmp_path: Path, backend: str) -> None:
    source = project(tmp_path / "source", backend)
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = built(source, backend, tmp_path / "first", umask=0o022, day=20_000)
    second = built(source, backend, tmp_path / "second", umask=0o077, day=20_321)
    assert first.name == second.name
    raw = sums(first), sums(second)
    for wheel in (first, second):
        normalise(wheel, "source")
    assert sums(first) == sums(second)
    assert sums(first) not in raw
    if backend == "setuptools":
        assert raw[0] != raw[1], "there was nothing to make equal"
    # Ours and pip's own reader hold it to its RECORD.
    opened = open_wheel(first, first.name)
    assert b"Name: Odd.Name" in opened.read(f"{opened.dist_info}/METADATA")
    with zipfile.ZipFile(first) as archive:
        modes = {info.filename: oct(info.external_attr >> 16) for info in archive.infolist()}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert modes["odd_name/run"] == "0o100755" and set(modes.values()) == {"0o100755", "0o100644"}
    assert list(modes)[:-1] == sorted(list(modes)[:-1], key=lambda name: (".dist-info/" in name, name))
    assert list(modes)[-1].endswith(".dist-info/RECORD")
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", target, first]
    subprocess.run([str(word) for word in install], check=True)
    assert (target / "odd_name/run").stat().st_mode & 0o111


def test_a_wheel_made_normal_twice_is_the_same(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "one", "old", "1.0")
    normalise(wheel, "source")
    before = sums(wheel)
    shutil.rmtree(tmp_path / "one/read")
    shutil.rmtree(tmp_path / "one/written")
    normalise(wheel, "source")
    assert sums(wheel) == before


def rewrite(wheel: Path, change: dict[str, bytes], *, twice: str = "") -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | change
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        if twice:
            archive.writestr(twice, b"")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"stray.py": b"1"}, "No hash found"),
        ({"old-1.0.dist-info/METADATA": b"another"}, "Hash mismatch"),
        ({"old-1.0.dist-info/RECORD": b"\xff"}, "it is not a wheel"),
        ({"old-1.0.dist-info/RECORD": b"a\n"}, "it is not a wheel"),
        ({"old-1.0.dist-info/RECORD": b"a,sha256,1\n"}, "it is not a wheel"),
        ({"old-1.0.dist-info/RECORD": b"a,md5=x,1\n"}, "Weak hash"),
        ({"new-1.0.dist-info/RECORD": b""}, "2 files RECORD"),
    ],
)
def test_what_a_backend_wrote_that_is_no_wheel_is_named(tmp_path: Path, change: dict[str, bytes], why: str) -> None:
    wheel = make_wheel(tmp_path / "one", "old", "1.0")
    rewrite(wheel, change)
    with pytest.raises(WheelError, match=why) as caught:
        normalise(wheel, "old-1.0.tar.gz")
    assert "built from old-1.0.tar.gz" in str(caught.value)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "one", "old", "1.0")
    with pytest.warns(UserWarning, match="Duplicate name"):
        rewrite(wheel, {}, twice="old-1.0.dist-info/METADATA")
    with pytest.raises(WheelError, match="two files of one name"):
        normalise(wheel, "source")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip"])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    wheel = tmp_path / "old-1.0-py3-none-any.whl"
    wheel.write_bytes(content)
    with pytest.raises(WheelError, match="it is not a wheel that can be read"):
        normalise(wheel, "source")
