"""The gate on real wheels: what it refuses does not import, and what it lets through does."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.real.conftest import ROOT
from tests.support.engines import DockerLike
from tests.support.real import need, skip
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.real

C_SOURCE = """
#include <stddef.h>
struct module; extern struct module *PyModule_Create2(void *, int);
int far_away(void);
static long definition[16] = {1, 0, 0, 0, 0, (long)"_ext", 0, -1};
void *PyInit__ext(void) { far_away(); return PyModule_Create2(definition, 1013); }
"""
TAG = "cp311-cp311-linux_x86_64"
EXTENSION = "ext/_ext.cpython-311-x86_64-linux-gnu.so"
PACKAGE = {"ext/__init__.py": "from ext import _ext\n"}


@dataclass
class Project:
    """A folder with one image, built on the checkout's base from the wheels put into it."""

    root: Path

    @property
    def wheels(self) -> Path:
        return self.root / "build" / "app" / "wheels"

    @property
    def out(self) -> Path:
        return self.root / "app.tar"

    def build(self, *requirements: str, toml: str = "", online: bool = False) -> int:
        folder = self.root / "build" / "app"
        (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements))
        (folder / "image.toml").write_text(f'name = "app"\nplatforms = ["linux/amd64"]\n{toml}')
        flags = ["--project-dir", str(self.root), "--layers", str(ROOT / "layers"), "--progress", "none"]
        return main(["build", "app", *flags, "--out", str(self.out), *(["--online"] if online else [])])


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    made.wheels.mkdir(parents=True)
    yield made


def compiled(folder: Path) -> tuple[bytes, bytes]:
    """A C extension of this machine, and the library it needs."""
    need("gcc", root=False)
    (folder / "far.c").write_text("int far_away(void) { return 1; }\n")
    (folder / "ext.c").write_text(C_SOURCE)
    library, extension = folder / "libfar.so.1", folder / "ext.so"
    shared = ["gcc", "-shared", "-fPIC", "-w"]
    subprocess.run([*shared, "-Wl,-soname,libfar.so.1", "-o", library, folder / "far.c"], check=True)
    subprocess.run(
        [
            *shared,
            "-o",
            extension,
            folder / "ext.c",
            library,
            "-Wl,-rpath,$ORIGIN/../ext.libs",
            "-Wl,--enable-new-dtags",
        ],
        check=True,
    )
    return extension.read_bytes(), library.read_bytes()


def test_the_reference_image_gives_neither_error_nor_warning(
    mypy_tar: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--project-dir", str(ROOT), "--platform", "linux/amd64", "--progress", "none", "--json"]
    assert main(["check", "mypy", *flags]) == 0
    found = json.loads(capsys.readouterr().out)["linux/amd64"]
    assert found["errors"] == []
    assert {warning["kind"] for warning in found["warnings"]} <= {"import"}


def test_a_compiled_module_without_its_library_is_refused_and_with_it_imports(
    project: Project, tmp_path: Path, docker: DockerLike, capsys: pytest.CaptureFixture[str]
) -> None:
    extension, library = compiled(tmp_path)
    make_wheel(project.wheels, "ext", "1.0", tag=TAG, files={**PACKAGE, EXTENSION: extension})
    assert project.build("ext==1.0") == 3
    assert f"ext 1.0: {EXTENSION} needs libfar.so.1, which is not in the image" in capsys.readouterr().err
    assert not project.out.exists()
    whole: dict[str, bytes | str] = {**PACKAGE, EXTENSION: extension, "ext.libs/libfar.so.1": library}
    make_wheel(project.wheels, "ext", "2.0", tag=TAG, files=whole)
    assert project.build("ext==2.0") == 0
    image = docker.load(project.out)
    assert docker.run(image, "python3", "-c", "import ext; print(ext._ext.__name__)").stdout.endswith("_ext\n")


def test_what_the_gate_refuses_does_not_import(project: Project, tmp_path: Path, docker: DockerLike) -> None:
    extension, _ = compiled(tmp_path)
    make_wheel(project.wheels, "ext", "1.0", tag=TAG, files={**PACKAGE, EXTENSION: extension})
    allow = '[checks]\nallow = [{ library = "libfar.so.1", reason = "to see what happens" }]\n'
    assert project.build("ext==1.0", toml=allow) == 0
    image = docker.load(project.out)
    program = "try:\n import ext\nexcept ImportError as error:\n print(error)"
    assert "libfar.so.1: cannot open shared object file" in docker.run(image, "python3", "-c", program).stdout


def test_a_module_made_for_a_newer_glibc_is_refused(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("gcc", root=False)
    (tmp_path / "ext.c").write_text(C_SOURCE.replace("far_away", "getpid"))
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", tmp_path / "ext.so", tmp_path / "ext.c"], check=True)
    data = (tmp_path / "ext.so").read_bytes()
    # As if the compiler had found a newer C library: the name of the version is what the loader compares.
    # Its first place in the file is the dynamic string table; the others are for debuggers.
    assert b"GLIBC_2.2.5\0" in data
    newer = data.replace(b"GLIBC_2.2.5\0", b"GLIBC_2.99\0\0", 1)
    make_wheel(project.wheels, "ext", "1.0", tag=TAG, files={**PACKAGE, EXTENSION: newer})
    assert project.build("ext==1.0") == 3
    assert "needs GLIBC_2.99 of libc.so.6" in capsys.readouterr().err


def test_a_wheel_of_another_machine_under_this_ones_name_is_refused(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = downloaded("kiwisolver", tmp_path, "manylinux2014_aarch64", "manylinux_2_17_aarch64")
    renamed(wheel, project.wheels)
    assert project.build("kiwisolver") == 3
    said = capsys.readouterr().err
    assert "for aarch64, and the image is for x86_64" in said


def test_opencv_is_refused_without_its_libraries_and_imports_with_them(
    project: Project, docker: DockerLike, capsys: pytest.CaptureFixture[str]
) -> None:
    platforms = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64")
    downloaded("opencv-python", project.wheels, *platforms)
    downloaded("numpy", project.wheels, *platforms)
    assert project.build("opencv-python") == 3
    said = capsys.readouterr().err
    assert "cv2.abi3.so and 1 other need libGL.so.1, which is not in the image" in said
    (line,) = [line for line in said.splitlines() if "base-packages" in line]
    packages = line.partition("base-packages = ")[2].partition("]")[0] + "]"
    assert "libgl1" in json.loads(packages)
    assert project.build("opencv-python", toml=f"base-packages = {packages}\n", online=True) == 0
    said = capsys.readouterr().err
    assert "warning: opencv-python" in said
    image = docker.load(project.out)
    program = "import cv2, numpy; print(cv2.resize(numpy.zeros((4, 4), 'uint8'), (2, 2)).shape)"
    assert docker.run(image, "python3", "-c", program).stdout == "(2, 2)\n"


def downloaded(requirement: str, folder: Path, *platforms: str) -> Path:
    """A wheel of ``requirement`` from the index this machine's pip is configured for; skips the test without one."""
    asked = [flag for platform in platforms for flag in ("--platform", platform)]
    fixed: list[str | Path] = [
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--python-version",
        "3.11.2",
        "--dest",
        folder,
    ]
    before = set(folder.glob("*.whl"))
    said = subprocess.run(
        [sys.executable, "-m", "pip", *fixed, *asked, requirement], capture_output=True, text=True, check=False
    )
    if said.returncode:
        skip(f"no index has {requirement}: {said.stderr.strip().splitlines()[-1:]}")
    (wheel,) = set(folder.glob("*.whl")) - before
    return wheel


def renamed(wheel: Path, folder: Path) -> Path:
    """The wheel as one for x86_64, inside and out, with a RECORD that holds."""
    name, version = wheel.name.split("-")[:2]
    target = folder / f"{name}-{version}-cp311-cp311-manylinux_2_17_x86_64.whl"
    record = f"{name}-{version}.dist-info/RECORD"
    lines = []
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            data = old.read(member)
            place = member.replace("aarch64-linux-gnu", "x86_64-linux-gnu")
            if member != record and not member.endswith("/"):
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
                lines.append(f"{place},sha256={digest},{len(data)}")
                new.writestr(place, data)
        new.writestr(record, "\n".join([*lines, f"{record},,", ""]))
    return target
