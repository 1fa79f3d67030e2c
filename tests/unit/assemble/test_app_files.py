"""What the tables of a recipe put into an image, read out of the image by tarfile."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.readers import gunzipped
from tests.support.tiny import IMAGE, Tiny, build, built, make_tiny


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


def members(tiny: Tiny, text: str) -> dict[str, tarfile.TarInfo]:
    """Build with ``text`` in the recipe; what the last layer has."""
    (tiny.image / "image.toml").write_text(IMAGE + text)
    built(tiny)
    return top_layer(tiny)[1]


def top_layer(tiny: Tiny) -> tuple[dict[str, Any], dict[str, tarfile.TarInfo]]:
    """How the image runs, and the members of its last layer."""
    with tarfile.open(tiny.out) as archive:

        def read(name: str) -> bytes:
            stream = archive.extractfile(name)
            assert stream is not None
            return stream.read()

        (manifest,) = json.loads(read("manifest.json"))
        config = json.loads(read(manifest["Config"]))["config"]
        with tarfile.open(fileobj=io.BytesIO(gunzipped(read(manifest["Layers"][-1])))) as layer:
            return config, {member.name: member for member in layer}


def test_a_folder_has_its_owner_and_mode(tiny: Tiny) -> None:
    found = members(
        tiny,
        '[[folder]]\npath = "/data/logs"\nowner = "user"\nmode = "0770"\n'
        '[[folder]]\npath = "/cache"\nmode = "1777"\n[[folder]]\npath = "/empty/"\n',
    )
    said = {name: (each.mode, each.uid, each.gid) for name, each in found.items() if each.isdir()}
    assert said["data/logs"] == (0o770, 1000, 1000) and said["data"] == (0o755, 0, 0)
    assert said["cache"] == (0o1777, 0, 0) and said["empty"] == (0o755, 0, 0)


def test_a_folder_that_is_there_already_gets_them_too(tiny: Tiny) -> None:
    (tiny.image / "app").mkdir()
    (tiny.image / "app" / "a").write_text("a")
    found = members(
        tiny,
        '[[copy]]\nsrc = "app"\ndest = "/srv"\n[[folder]]\npath = "/srv"\nmode = "0700"\nowner = "user"\n'
        '[[folder]]\npath = "/usr/lib"\nmode = "0711"\nowner = "7:8"\n',
    )
    assert (found["srv"].mode, found["srv"].uid) == (0o700, 1000) and (found["srv/a"].mode, found["srv/a"].uid) == (
        0o644,
        0,
    )
    assert (found["usr/lib"].mode, found["usr/lib"].uid, found["usr/lib"].gid) == (0o711, 7, 8)


def test_a_link_is_a_link_wherever_it_leads(tiny: Tiny) -> None:
    found = members(
        tiny, '[[link]]\npath = "/opt/app"\ntarget = "../srv/app"\n[[link]]\npath = "/x"\ntarget = "/nowhere"\n'
    )
    assert found["opt/app"].issym() and found["opt/app"].linkname == "../srv/app"
    assert found["x"].issym() and found["x"].linkname == "/nowhere"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[link]]\npath = "/opt/app/"\ntarget = "x"\n', "link[0].path"),
        ('[[link]]\npath = "/opt/../app"\ntarget = "x"\n', "link[0].path"),
        ('[[link]]\npath = "/app"\n', "link[0].target"),
        ('[[folder]]\npath = "data"\n', "folder[0].path"),
        ('[[folder]]\npath = "/"\n', "folder[0].path"),
        ('[[folder]]\npath = "/a"\nmode = "rwx"\n', "folder[0].mode"),
        ('[[folder]]\npath = "/a"\n[[link]]\npath = "/a"\ntarget = "b"\n', "/a comes from both"),
        ('[[copy]]\nsrc = "."\ndest = "/a"\nexclude = ["[a"]\n', "copy[0].exclude[0]"),
        ('[config]\nenv = { A = "${NOBODY}" }\n', "nobody sets NOBODY"),
        ('[user]\ngroups = ["nobodys"]\n', 'groups = ["nobodys:990"]'),
        ('[user]\nname = "root"\ngroups = ["x:9"]\n', "user.groups"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(tiny: Tiny, text: str, said: str) -> None:
    (tiny.image / "image.toml").write_text(IMAGE + text)
    ending = build(tiny)
    assert ending.code in (1, 2) and said in ending.said
    assert not tiny.out.exists()


KEPT_OUT = (
    ".git/config",
    ".env",
    ".DS_Store",
    ".venv/pyvenv.cfg",
    "deep/__pycache__/a.pyc",
    "deep/.git",
    ".mypy_cache/x",
)


def test_neither_the_recipe_nor_caches_nor_secrets_are_copied_unless_that_is_said(tiny: Tiny) -> None:
    for name in (*KEPT_OUT, "main.py", "deep/a.py", ".dockerignore"):
        (tiny.root / name).parent.mkdir(parents=True, exist_ok=True)
        (tiny.root / name).write_text("1")
    copy = '[[copy]]\nsrc = "../.."\ndest = "/srv"\nexclude = ["cache", "*.tar", "layers"{}]\n'
    found = {name.removeprefix("srv/") for name, each in members(tiny, copy.format("")).items() if each.isfile()}
    assert {"main.py", "deep/a.py", ".dockerignore", "build/app/requirements.txt"} <= found
    assert not found & {*KEPT_OUT, "build/app/image.toml"}
    assert not [name for name in found if name.startswith(("build/app/wheels/", "build/app/debs/", "layers/"))]
    again = {name.removeprefix("srv/") for name in members(tiny, copy.format(', "!.DS_Store", "!**/image.toml"'))}
    assert {".DS_Store", "build/app/image.toml"} <= again and not again & {".git/config", "deep/__pycache__"}


def test_what_is_named_itself_is_copied_whatever_it_is_called(tiny: Tiny) -> None:
    (tiny.image / ".DS_Store").write_text("store\n")
    assert members(tiny, '[[copy]]\nsrc = ".DS_Store"\ndest = "/srv/s"\n')["srv/s"].size == 6


def test_an_excluded_folder_is_there_where_something_in_it_is_taken_back(tiny: Tiny) -> None:
    for name in ("a/b/keep", "a/b/other", "c/other"):
        (tiny.image / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tiny.image / "files" / name).write_text(name)
    found = members(tiny, '[[copy]]\nsrc = "files"\ndest = "/srv"\nexclude = ["*", "!a/b/keep"]\n')
    assert sorted(name for name in found if name.startswith("srv")) == ["srv", "srv/a", "srv/a/b", "srv/a/b/keep"]


def test_who_runs_is_a_member_of_further_groups(tiny: Tiny) -> None:
    found = members(tiny, '[user]\nname = "web"\ngroups = ["gpu:990", "web"]\n')
    assert "etc/group" in found
    config, _ = top_layer(tiny)
    assert config["User"] == "1000"


def test_a_variable_may_hold_another(tiny: Tiny) -> None:
    members(tiny, '[config]\nenv = { HERE = "${HOME}/here", PATH = "/opt/bin:${PATH}" }\n')
    config, _ = top_layer(tiny)
    env = dict(line.split("=", 1) for line in config["Env"])
    assert env["HERE"] == "/home/sandbox/here" and env["PATH"].startswith("/opt/bin:/") and ":/bin" in env["PATH"]
