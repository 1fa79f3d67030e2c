"""The gate on images that are there already, made by whomever."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from tests.support.archives import make_tar, member
from tests.support.elves import ElfSpec, make_elf
from tests.support.imported import Member, config_of, debian_python, docker_python, save_like_new_docker
from tests.support.installed import distribution, layer, unpacked

NEEDS_GL = make_elf(ElfSpec(needed=["libGL.so.1"]))
DEBIANS = "usr/lib/python3/dist-packages"
LOCAL = "usr/local/lib/python3.11/dist-packages"


def saved(path: Path, system: Sequence[Member], *parts: Mapping[str, bytes], **config: Any) -> Path:
    """An image like those ``docker save`` writes: a system with Python, and a layer of packages."""
    layers = [make_tar(*system), layer(*parts)]
    return save_like_new_docker(
        path, layers, config_of(layers, run={"Env": ["PATH=/usr/local/bin:/usr/bin"]}, **config)
    )


def findings(image: Path, tmp_path: Path) -> list[tuple[str, str]]:
    """What the gate says of ``image``, by the report's page."""
    page = tmp_path / "report.html"
    where = ("--out", str(page), "--cache-dir", str(tmp_path / "cache"))
    assert main(["report", str(image), *where, "--quiet"]) == 0
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())
    assert match is not None
    remarks = json.loads(match[1])["remarks"]
    return [(each["severity"], each["text"]) for each in remarks if each["check"] == "gate"]


def test_a_sound_image_has_no_findings(tmp_path: Path) -> None:
    image = saved(
        tmp_path / "x.tar", docker_python(), distribution("draw", requires=["pen>=2"]), distribution("pen", "2")
    )
    assert findings(image, tmp_path) == []


@pytest.mark.parametrize("as_folder", [False, True])
def test_what_a_distribution_lacks_is_on_the_page(tmp_path: Path, as_folder: bool) -> None:
    draw = distribution("draw", files={"draw.py": b"", "_draw.abi3.so": NEEDS_GL}, requires=["pen>=2"])
    image = saved(tmp_path / "x.tar", docker_python(), draw)
    place = unpacked(image, tmp_path / "folder") if as_folder else image
    assert findings(place, tmp_path) == [
        ("error", "draw 1.0: _draw.abi3.so needs libGL.so.1, which is not in the image"),
        ("error", "draw 1.0 requires pen >=2, and it is not in the image: list it in the requirements, and lock again"),
    ]


def test_what_the_system_brings_was_decided_by_who_made_it(tmp_path: Path) -> None:
    own = member("usr/bin/su", data=NEEDS_GL, mode=0o4755)
    modules = member("usr/local/lib/python3.11/lib-dynload/_tkinter.abi3.so", data=NEEDS_GL)
    image = saved(tmp_path / "x.tar", [*docker_python(), own, modules], distribution("draw"))
    assert findings(image, tmp_path) == []


def test_what_debians_packages_bring_satisfies_what_pip_installed(tmp_path: Path) -> None:
    pen = distribution("pen", "2.0", site=DEBIANS, requires=["something-debian-cut"])
    draw = distribution("draw", site=LOCAL, requires=["pen"])
    assert findings(saved(tmp_path / "x.tar", debian_python(), pen, draw), tmp_path) == []
    newer = distribution("pen", "3.0", site=LOCAL)
    wanting = distribution("draw", site=LOCAL, requires=["pen>=3"])
    assert findings(saved(tmp_path / "y.tar", debian_python(), pen, newer, wanting), tmp_path) == []


def test_an_image_without_python_or_for_an_unknown_platform_has_no_findings(tmp_path: Path) -> None:
    bare = saved(tmp_path / "x.tar", [member("bin", data=b"x")], {"etc/x": b"x"})
    assert findings(bare, tmp_path) == []
    odd = saved(tmp_path / "y.tar", docker_python(), distribution("draw", requires=["pen"]), architecture="riscv64")
    assert findings(odd, tmp_path) == []


def test_an_image_that_was_judged_is_not_unpacked_again_and_a_changed_one_is(tmp_path: Path) -> None:
    draw = distribution("draw", files={"draw.py": b""}, requires=["pen>=2"])
    image = saved(tmp_path / "x.tar", docker_python(), draw)
    first = findings(image, tmp_path)
    records = sorted((tmp_path / "cache" / "v1" / "records").glob("made-gate-*/*.json"))
    assert len(records) == 1
    kept = records[0].stat().st_ino  # what is written anew has another
    assert findings(image, tmp_path) == first and len(first) == 1
    assert records[0].stat().st_ino == kept
    saved(image, docker_python(), draw, distribution("pen", "2"))
    assert findings(image, tmp_path) == []
    assert len(sorted(records[0].parent.iterdir())) == 2


@pytest.mark.parametrize(
    ("test", "found"),
    [
        (["CMD", "curl", "-f", "x"], "config.healthcheck.test: curl is not found on PATH, /usr/local/bin:/usr/bin"),
        (["CMD-SHELL", "curl -f x || exit 1"], "config.healthcheck.test: /bin/sh is not in the image"),
        (["CMD"], ""),
        (["NONE"], ""),
        ("CMD", ""),
    ],
)
def test_the_healthcheck_of_a_base_is_judged_like_what_it_starts(tmp_path: Path, test: object, found: str) -> None:
    layers = [make_tar(*docker_python())]
    run = {"Env": ["PATH=/usr/local/bin:/usr/bin"], "Healthcheck": {"Test": test, "StartInterval": 5}}
    image = save_like_new_docker(tmp_path / "x.tar", layers, config_of(layers, run=run))
    judged = [(severity, said.partition(": programs of Debian")[0]) for severity, said in findings(image, tmp_path)]
    assert judged == ([("error", found)] if found else [])
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "image.toml").write_text('base = "../x.tar"\n[python]\nrequirements = []\nbytecode = "none"\n')
    out = tmp_path / "out.tar"
    where = ("--cache-dir", str(tmp_path / "cache"), "--project-dir", str(tmp_path), "--progress", "none")
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert main(["build", str(folder), "--out", str(out), *where]) == 0
    assert ("warning: config.healthcheck" in said.getvalue()) is bool(found) and found in said.getvalue()
    assert b'"StartInterval":5' in out.read_bytes()
