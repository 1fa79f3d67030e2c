"""What a user says once for a machine: a mirror of Debian's archives, where there is no apt-get."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oci_builder.cli.userconfig import user_config
from oci_builder.errors import RecipeError
from tests.support.debian import write_mirror
from tests.support.tiny import Tiny, make_tiny, packages, run_ocibuild
from tests.support.webserver import serving


def configured(folder: Path, text: str, *, name: str = "ocibuild.toml") -> dict[str, str]:
    """An environment whose configuration folder has the file."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return {"XDG_CONFIG_HOME": str(folder)}


@pytest.mark.parametrize("name", ["ocibuild.toml", "ocibuild/ocibuild.toml"])
def test_mirrors_are_read_from_the_configuration_folder(tmp_path: Path, name: str) -> None:
    assert user_config(configured(tmp_path, 'mirror = "http://a/debian"', name=name)).mirrors == ("http://a/debian",)
    several = configured(tmp_path, 'mirror = ["http://a", "https://b"]', name=name)
    assert user_config(several).mirrors == ("http://a", "https://b")


def test_it_is_below_the_home_folder_where_no_other_is_named(tmp_path: Path) -> None:
    configured(tmp_path, 'mirror = "http://a"', name=".config/ocibuild.toml")
    assert user_config({"HOME": str(tmp_path)}).mirrors == ("http://a",)
    assert user_config({"HOME": str(tmp_path), "XDG_CONFIG_HOME": "relative"}).mirrors == ("http://a",)
    assert user_config({"HOME": str(tmp_path / "other")}).mirrors == ()
    assert user_config({}).mirrors == ()


BAD = ['mirror = "deb x"', "mirror = 3", 'mirrors = "http://a"', "mirror =", 'mirror = [""]']


@pytest.mark.parametrize("text", BAD)
def test_what_it_cannot_say_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError, match=r"ocibuild\.toml:1"):
        user_config(configured(tmp_path, text))


@pytest.mark.parametrize("how", ["flag", "variable", "file"])
def test_a_machine_without_apt_builds_with_a_mirror_that_was_named_once(tmp_path: Path, how: str) -> None:
    tiny = make_tiny(tmp_path / "project")
    shutil.rmtree(tiny.debs)
    (tmp_path / "nothing").mkdir()
    environ = {"PATH": str(tmp_path / "nothing"), "HOME": str(tmp_path)}
    # As the hint says it, on one line each.
    said = run_ocibuild(*online(tiny), environ=environ)
    assert said.returncode == 1
    for words in ("/etc/apt/sources.list", "--mirror", "OCIBUILD_DEBIAN_MIRROR", "~/.config/ocibuild.toml"):
        assert words in said.stderr
    assert "--base docker.io/library/python:3.11-slim" in said.stderr
    with serving(tmp_path / "mirror") as server:
        write_mirror(tmp_path / "mirror", packages())
        url = f"{server.url}/debian"
        if how == "file":
            configured(tmp_path, f'mirror = "{url}"\n', name=".config/ocibuild.toml")
        environ |= {"OCIBUILD_DEBIAN_MIRROR": url} if how == "variable" else {}
        done = run_ocibuild(*online(tiny), *(["--mirror", url] if how == "flag" else []), environ=environ)
    assert done.returncode == 0, done.stderr


def online(tiny: Tiny) -> list[str]:
    """The words that build it, asking archives."""
    return tiny.words("--online", "--locked")
