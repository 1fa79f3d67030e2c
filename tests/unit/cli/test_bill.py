"""``--sbom``: the bill of materials that comes with a build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.tiny import Tiny, build, make_tiny
from tests.support.wheels import sha256


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project that builds."""
    return make_tiny(tmp_path / "project")


def test_a_build_writes_its_bill_with_the_digest_of_each_wheel(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "x-amd64.cdx.json"
    assert build(tiny, "--sbom", str(tmp_path / "x-{arch}.cdx.json")).code == 0
    document = json.loads(path.read_bytes())
    wheels = {each["name"]: each for each in document["components"] if each["purl"].startswith("pkg:pypi/")}
    assert {name: each["hashes"][0]["content"] for name, each in wheels.items()} == {
        wheel.name.partition("-")[0]: sha256(wheel) for wheel in tiny.wheels.iterdir()
    }
    assert {each["name"] for each in document["components"]} > wheels.keys()


def test_the_bill_of_the_build_is_that_of_the_file_but_for_digests_of_wheels(tiny: Tiny, tmp_path: Path) -> None:
    built, read = tmp_path / "built.spdx.json", tmp_path / "read.spdx.json"
    assert build(tiny, "--sbom", str(built)).code == 0
    assert main(["sbom", str(tiny.out), "--out", str(read)]) == 0
    first, second = json.loads(built.read_bytes()), json.loads(read.read_bytes())
    for package in first["packages"]:
        if package["SPDXID"].startswith("SPDXRef-python-"):
            del package["checksums"]
    assert first == second


def test_with_the_lock_the_bill_of_the_file_is_that_of_the_build(tiny: Tiny, tmp_path: Path) -> None:
    built, read = tmp_path / "built.spdx.json", tmp_path / "read.spdx.json"
    assert build(tiny, "--sbom", str(built)).code == 0
    assert main(["sbom", str(tiny.out), "--out", str(read), "--lock", str(tiny.image / "pylock.toml")]) == 0
    assert read.read_bytes() == built.read_bytes()


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("x.json", (), "must end in .cdx.json or .spdx.json"),
        ("nowhere/x.cdx.json", (), "there is no folder"),
        ("x.cdx.json", ("--platform", "amd64", "--platform", "arm64"), "2 platforms need {arch} in the file name"),
    ],
)
def test_a_name_that_can_only_fail_is_refused_before_the_build(
    tiny: Tiny, tmp_path: Path, name: str, more: tuple[str, ...], said: str
) -> None:
    out = ("--out", str(tmp_path / "x-{arch}.tar"))
    ending = build(tiny, *out, "--sbom", str(tmp_path / name), *more)
    assert ending.code == 2 and said in ending.said
    assert not list(tmp_path.glob("x*"))
