"""A build with Debian packages and locales over its base: what the image says of them, and to whom."""

from __future__ import annotations

import hashlib
import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from oci_builder.debian.extralock import ExtraLock, LockedLocales, write_extra_lock
from oci_builder.debian.lock import Pin, SuitePin
from tests.support.debian import MTIME, Deb
from tests.support.tiny import IMAGE, Tiny, build, make_tiny
from tests.unit.bases.test_locales import LOCALES

ODD = Deb(name="odd", files={"usr/share/odd": b"x"}, scripts={"postinst": b"#!/bin/sh\nnobody-knows-this\n"})
WITH_ODD = 'base-packages = [{ name = "odd", scripts = "skip", reason = "it only makes a cache" }]\n'


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project that builds offline, with the packages of two more in debs/."""
    tiny = make_tiny(tmp_path / "project")
    for deb in (ODD, LOCALES):
        (tiny.debs / deb.filename).write_bytes(deb.build())
    return tiny


def write(tiny: Tiny, *, packages: str = "", config: str = "", locales: tuple[str, ...] = ()) -> None:
    """The recipe, and the lock that goes with it."""
    (tiny.image / "image.toml").write_text(f"{packages}{IMAGE}[config]\n{config}")
    suite = SuitePin(
        archive="debian", suite="bookworm", date=datetime.fromtimestamp(MTIME, UTC), inrelease="0" * 64, signers=()
    )
    lock = ExtraLock(
        schema=2,
        architecture="amd64",
        base="tiny",
        requested=("odd",) if packages else (),
        suites=(suite,),
        packages=(pin_of(ODD),) if packages else (),
        left_out={},
        skipped={"odd": "it only makes a cache"} if packages else {},
        locales=LockedLocales(names=locales, package=pin_of(LOCALES)) if locales else None,
    )
    write_extra_lock(lock, tiny.image / "base.lock.amd64.json")


def pin_of(deb: Deb) -> Pin:
    """What a lock says of a package."""
    data, path = deb.build(), f"pool/main/{deb.name}/{deb.filename}"
    where = {"archive": "debian", "suite": "bookworm", "path": path, "source": deb.name}
    digest = hashlib.sha256(data).hexdigest()
    return Pin(name=deb.name, version=deb.version, architecture="all", size=len(data), sha256=digest, **where)


def configuration(tiny: Tiny) -> Any:
    """How the image runs."""
    with tarfile.open(tiny.out) as image:
        read = {each.name: image.extractfile(each) for each in image.getmembers() if each.isfile()}
        manifest = read["manifest.json"]
        assert manifest is not None
        config = read[json.loads(manifest.read())[0]["Config"]]
        assert config is not None
        return json.loads(config.read())["config"]


def test_an_image_says_whose_scripts_were_passed_over(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tiny, packages=WITH_ODD)
    bill = tmp_path / "x.cdx.json"
    ending = build(tiny, "--offline", "--locked", "--sbom", str(bill))
    assert ending.code == 0, ending.said
    assert "odd is without what its maintainer scripts would do: it only makes a cache" in ending.said
    assert "warning" not in ending.said
    assert configuration(tiny)["Labels"]["dev.ocibuild.scripts-skipped"] == "odd 1.0-1"
    capsys.readouterr()
    assert main(["verify", str(tiny.out)]) == 0
    assert "odd 1.0-1: its maintainer scripts were passed over" in "".join(capsys.readouterr())
    words = ["check", "app", "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--offline"]
    assert main(words) == 0
    said = "".join(capsys.readouterr())
    assert "it only makes a cache" in said and "scripts-skipped" not in said.replace("scripts-skipped]", "")
    components = {each["name"]: each for each in json.loads(bill.read_bytes())["components"]}
    mark = {"name": "dev.ocibuild:scripts-skipped", "value": "true"}
    assert [name for name, each in components.items() if mark in each.get("properties", [])] == ["odd"]
    assert main(["sbom", str(tiny.out), "--out", str(tmp_path / "x.spdx.json")]) == 0
    packages = json.loads((tmp_path / "x.spdx.json").read_bytes())["packages"]
    assert [each["name"] for each in packages if "maintainer scripts" in each.get("comment", "")] == ["odd"]


def test_an_image_on_such_a_base_says_it_too(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tiny, packages=WITH_ODD)
    assert build(tiny, "--offline").code == 0
    (tiny.image / "image.toml").write_text(f'base = "{tiny.image / "below.tar"}"\n')
    (tiny.image / "requirements.txt").unlink()
    (tiny.image / "pylock.toml").unlink()
    tiny.out.rename(tiny.image / "below.tar")
    ending = build(tiny, "--offline")
    assert ending.code == 0, ending.said
    assert configuration(tiny)["Labels"]["dev.ocibuild.scripts-skipped"] == "odd 1.0-1"
    # Who made the base knew it.
    assert "maintainer scripts" not in ending.said


@pytest.mark.parametrize(
    ("config", "env"),
    [
        ('locale = "de_DE.UTF-8"', {"LANG": "de_DE.UTF-8"}),
        ('locale = ["de_DE.UTF-8"]\nenv = { LC_ALL = "${LANG}" }', {"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8"}),
        ('locale = ["de_DE.UTF-8"]\nenv = { LANG = "C.UTF-8" }', {"LANG": "C.UTF-8"}),
    ],
)
def test_the_locale_is_there_and_lang_names_it(tiny: Tiny, config: str, env: dict[str, str]) -> None:
    write(tiny, config=config, locales=("de_DE.UTF-8",))
    ending = build(tiny, "--offline", "--locked", "--verify")
    assert ending.code == 0, ending.said
    found = dict(each.split("=", 1) for each in configuration(tiny)["Env"])
    assert {name: found.get(name) for name in env} == env
    assert "LC_ALL" in env or "LC_ALL" not in found


def test_where_the_base_sets_lc_all_the_locale_is_that_too(tiny: Tiny) -> None:
    recipe = tiny.base / "layer.toml"
    recipe.write_text(recipe.read_text() + 'LC_ALL = "C.UTF-8"\n')
    write(tiny, config='locale = "de_DE.UTF-8"', locales=("de_DE.UTF-8",))
    assert build(tiny, "--offline").code == 0
    assert {"LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8"} <= set(configuration(tiny)["Env"])


def test_a_locale_that_is_built_in_sets_lang_and_needs_no_package(tiny: Tiny) -> None:
    (tiny.image / "image.toml").write_text(f'{IMAGE}[config]\nlocale = "C.UTF-8"\n')
    assert build(tiny, "--offline").code == 0
    assert "LANG=C.UTF-8" in configuration(tiny)["Env"]
    assert not (tiny.image / "base.lock.amd64.json").exists()


def test_without_network_and_package_a_locale_is_refused_with_the_ways(tiny: Tiny) -> None:
    (tiny.image / "image.toml").write_text(f'{IMAGE}[config]\nlocale = "de_DE.UTF-8"\n')
    ending = build(tiny, "--offline")
    assert ending.code == 1 and "cannot get the signed indexes" in ending.said and "has to be online" in ending.said
    write(tiny, config='locale = "de_DE.UTF-8"', locales=("de_DE.UTF-8",))
    (tiny.debs / LOCALES.filename).unlink()
    ending = build(tiny, "--offline")
    assert (
        ending.code == 1 and "cannot get locales-all 2.36-9+deb12u3" in ending.said and "debs: no such" in ending.said
    )


def test_download_carries_the_package_of_the_locales(tiny: Tiny, tmp_path: Path) -> None:
    write(tiny, packages=WITH_ODD, config='locale = "de_DE.UTF-8"', locales=("de_DE.UTF-8",))
    assert build(tiny, "--offline").code == 0
    dest = tmp_path / "there"
    words = ["download", "app", "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--dest", str(dest)]
    assert main([*words, "--frozen", "--find-links", str(tiny.wheels)]) == 0
    assert {ODD.filename, LOCALES.filename} <= {path.name for path in (dest / "debs").iterdir()}
