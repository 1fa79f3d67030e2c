"""What ocibuild installs against what ``pip install`` itself installs into the same base.

Intended differences: INSTALLER names ocibuild; RECORD is compared by its rows; ``.pyc`` files are made by another rule
(unchecked hashes, none for test packages), so their content is not compared; what lies in ``tests`` has none. Headers
go below the prefix wheels are installed to, /usr/local, as in docker.io's python image; Debian's Python puts them below
its own, /usr. A script of a wheel's ``.data`` without the x bit stays without it with pip, and has it here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pip
import pytest

from oci_builder.cli.request import CommandRequest
from oci_builder.cli.settings import make_settings
from oci_builder.store import Store
from oci_builder.wheels import lock
from tests.real.conftest import ROOT, build
from tests.support.engines import DockerLike
from tests.support.targets import TARGET
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.real

PACKAGES = ("numpy", "fonttools", "tabulate", "requests", "urllib3", "idna", "certifi", "charset-normalizer", "pyyaml")

HEADER = "/usr/local/include/python3.11/schemes/schemes.h"

LIST = r"""
import csv, hashlib, json, os, sys
found = {}
for folder, names, files in os.walk("/usr/local"):
    names[:] = sorted(n for n in names if not os.path.islink(os.path.join(folder, n)))
    for name in files:
        path = os.path.join(folder, name)
        data = b"" if os.path.islink(path) else open(path, "rb").read()
        digest = os.readlink(path) if os.path.islink(path) else hashlib.sha256(data).hexdigest()
        if name == "RECORD":
            rows = sorted(csv.reader(data.decode().splitlines()))
            digest = [row for row in rows if not row[0].endswith((".pyc", "/INSTALLER", ".h"))]
        if name == "INSTALLER" or name.endswith(".pyc"):
            digest = ""
        found[path] = [oct(os.lstat(path).st_mode & 0o7777), digest]
json.dump(found, open("/out/" + sys.argv[1], "w"))
"""

INSTALL = """
import os, subprocess, sys
os.umask(0o022)
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--find-links=/wheels",
                "--no-cache-dir", "--root-user-action=ignore", "--disable-pip-version-check",
                "--no-warn-script-location", *sys.argv[2:]], check=True, env={**os.environ, "PYTHONPATH": "/pip"})
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, mypy_tar: Path) -> Path:
    """A recipe with an offline folder of wheels: real ones, and one with a file for every scheme."""
    folder = tmp_path_factory.mktemp("parity") / "build" / "parity"
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    store = Store(make_settings(CommandRequest()).cache)
    for pin in lock.read(ROOT / "build" / "mypy" / "pylock.toml").select(TARGET):
        if pin.name in PACKAGES:
            os.link(store.path(pin.sha256), wheels / pin.filename)
    make_wheel(
        wheels,
        "schemes",
        files={
            "schemes/__init__.py": "main = print\n",
            "schemes/gui.py": "class app:\n    run = print\n",
            "schemes/run": b"#!x",
            "schemes/tests/test_it.py": "x = 1\n",
        },
        data={
            "data/share/schemes/d.txt": b"d",
            "headers/schemes.h": b"h",
            "scripts/s-python": b"#!python\nprint(1)\n",
            "scripts/s-shell": b"#!/bin/sh\n",
            "platlib/plat.py": b"p = 1\n",
        },
        entry_points={"console_scripts": {"s-con": "schemes:main"}, "gui_scripts": {"s-gui": "schemes.gui:app.run"}},
        executable=["schemes/run", "schemes-1.0.data/scripts/s-python", "schemes-1.0.data/scripts/s-shell"],
    )
    (folder / "requirements.txt").write_text(
        "\n".join(("numpy", "fonttools", "tabulate", "requests", "pyyaml", "schemes"))
    )
    (folder / "image.toml").write_text('[user]\nname = "root"\n')
    (folder.parent / "bare").mkdir()
    (folder.parent / "bare" / "image.toml").write_text('[user]\nname = "root"\n')
    return folder.parent.parent


def listed(
    docker: DockerLike, image: str, out: Path, *, before: tuple[str, ...] = (), mounts: tuple[str, ...] = ()
) -> dict[str, list[object]]:
    (out / "list.py").write_text(LIST)
    (out / "install.py").write_text(INSTALL)
    script = f"python3.11 /out/install.py x {' '.join(before)} && " if before else ""
    docker.run(
        image,
        "sh",
        "-c",
        f"{script}python /out/list.py found.json",
        read_only=False,
        cap_drop=None,
        volumes=[f"{out}:/out", *mounts],
    )
    return dict(json.loads((out / "found.json").read_text()))


def test_the_result_is_what_pip_install_makes_in_the_same_base(
    project: Path, docker: DockerLike, tmp_path: Path, cache: list[str]
) -> None:
    for name in ("parity", "bare"):
        build(name, "--out", str(tmp_path / f"{name}.tar"), *cache, project=project)
        docker.load(tmp_path / f"{name}.tar")
    folder = project / "build" / "parity"
    requirements = (folder / "requirements.txt").read_text().split()
    ours = listed(docker, "parity:latest", tmp_path)
    pips = listed(
        docker,
        "bare:latest",
        tmp_path,
        before=tuple(requirements),
        mounts=(f"{folder / 'wheels'}:/wheels:ro", f"{Path(pip.__file__).parent}:/pip/pip:ro"),
    )
    only_pips = {path for path in set(pips) - set(ours) if not _is_test_bytecode(path)}
    assert only_pips == set()
    assert set(ours) - set(pips) == {HEADER}
    differing = {path: (ours[path], pips[path]) for path in set(ours) & set(pips) if ours[path] != pips[path]}
    assert differing == {}


def _is_test_bytecode(path: str) -> bool:
    return path.endswith(".pyc") and ("/tests/" in path or "/test/" in path)
