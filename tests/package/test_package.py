"""The project as it is published: what its archives hold, and that they work where no checkout is."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from oci_builder.version import __version__
from tests.support.installs import build_wheel, checkout_wheel, install
from tests.support.tiny import CHECKOUT, built, make_tiny, run_ocibuild
from tests.support.wheels import sha256

ELSEWHERE = {"PATH": "/usr/bin:/bin"}


@pytest.fixture(scope="module")
def wheel(shared: Path) -> Path:
    """The checkout's wheel."""
    return checkout_wheel(shared)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's source archive."""
    folder = tmp_path_factory.mktemp("sdist")
    script = "import sys, hatchling.build; hatchling.build.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, folder], cwd=CHECKOUT, check=True, capture_output=True)
    (archive,) = folder.glob("*.tar.gz")
    return archive


def checkout_files(folder: str) -> set[str]:
    """What git knows, or would take, below ``folder``; skips the test where this is no checkout."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("not in a checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name for name in listed if (CHECKOUT / name).is_file()}


def test_the_wheel_holds_the_program_and_the_layers_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    layers = {name.replace("layers/", "oci_builder/_layers/", 1) for name in checkout_files("layers")}
    assert names == checkout_files("oci_builder") | layers


def test_the_sdist_holds_all_that_a_user_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("oci_builder", "layers", "build/mypy", "tests", "docs"):
        assert checkout_files(folder) <= names
    assert {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml"} <= names
    assert not any("__pycache__" in name or name.endswith((".whl", ".deb", ".tar")) for name in names)


def test_the_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    assert sha256(build_wheel(sdist, tmp_path)) == sha256(wheel)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has ocibuild from its wheel, and its dependencies from here."""
    return install(wheel, Path(sys.executable), tmp_path_factory.mktemp("installed") / "venv", borrowing=True)


def test_the_command_is_installed_and_knows_its_version(installed: Path, tmp_path: Path) -> None:
    said = subprocess.run(
        [installed.with_name("ocibuild"), "--version"], cwd=tmp_path, env=ELSEWHERE, capture_output=True, text=True
    )
    assert (said.returncode, said.stdout) == (0, f"ocibuild {__version__}\n")


def test_the_packaged_layers_are_found_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    script = """
import json, pathlib, oci_builder
from oci_builder.catalog import find_layer, known_layers
here = pathlib.Path()
print(json.dumps({
    "package": oci_builder.__file__,
    "known": known_layers(project_dir=here, extra=()),
    "found": [str(find_layer(name, recipe_folder=here, project_dir=here, extra=())) for name in ("python-3.11",)],
}))
"""
    done = subprocess.run([installed, "-c", script], cwd=tmp_path, env=ELSEWHERE, capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert not Path(found["package"]).is_relative_to(CHECKOUT)
    assert {"python-3.11", "python-3.11-slim"} <= set(found["known"])
    (folder,) = map(Path, found["found"])
    assert folder.is_relative_to(Path(found["package"]).parent)
    assert {path.name for path in folder.iterdir()} == {
        path.name for path in (CHECKOUT / "layers/python-3.11").iterdir()
    }


def test_the_schema_is_there(installed: Path, tmp_path: Path) -> None:
    done = run_ocibuild("schema", "layer", python=installed, environ=ELSEWHERE, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, (CHECKOUT / "docs" / "layer.schema.json").read_text())


def test_an_image_is_built_outside_the_checkout_the_same_as_inside(installed: Path, tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    expected = built(tiny)
    tiny.forget()
    done = run_ocibuild("app", "--cache-dir", "cache", python=installed, environ=ELSEWHERE, cwd=tiny.root)
    assert done.returncode == 0, done.stderr
    assert tiny.out.read_bytes() == expected
