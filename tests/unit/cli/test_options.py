"""Flags and environment become one finished value each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from oci_builder.cli.app import COMMANDS, app
from oci_builder.cli.delivery import out_files
from oci_builder.cli.recipe import make_policy, open_source
from oci_builder.cli.request import CommandRequest, RecipeRequest
from oci_builder.cli.settings import Settings, make_settings, parse_epoch
from oci_builder.errors import InvalidValue
from oci_builder.platforms import AMD64, ARM64
from oci_builder.recipes import VERBS, ImageToml


def recipe(**fields: Any) -> ImageToml:
    return ImageToml(name="mypy", **fields)


def settings(tmp_path: Path) -> Settings:
    return make_settings(CommandRequest(project_dir=tmp_path, cache_dir=tmp_path / "cache", jobs=2))


def test_every_command_is_a_word_no_image_may_be_named_like() -> None:
    assert set(COMMANDS) <= VERBS


@pytest.mark.parametrize(("verb", "summary"), COMMANDS.items())
def test_the_help_says_of_a_command_what_it_says_of_itself(verb: str, summary: str) -> None:
    with click.Context(app) as context:
        command = app.get_command(context, verb)
    assert command is not None and command.get_short_help_str(limit=200) == summary


def test_the_help_loads_no_command() -> None:
    code = (
        "import sys; from oci_builder.cli.app import COMMANDS, app; app(['--help'], standalone_mode=False);"
        "print([verb for verb in COMMANDS if f'oci_builder.cli.{verb}' in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "[]"


def test_an_epoch_is_the_flags_then_the_environments_then_nobodys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    assert make_settings(CommandRequest(cache_dir=tmp_path), epoch=0).epoch == 0
    assert make_settings(CommandRequest(cache_dir=tmp_path)).epoch == 5
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    assert make_settings(CommandRequest(cache_dir=tmp_path)).epoch is None


@pytest.mark.parametrize("text", ["-1", "1.5", "8589934592", "٣"])
def test_an_epoch_has_to_fit_a_tar_header(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_epoch(text)


def test_progress_is_lines_where_no_terminal_is(tmp_path: Path) -> None:
    assert make_settings(CommandRequest(cache_dir=tmp_path)).shown == "plain"
    assert make_settings(CommandRequest(cache_dir=tmp_path, progress="rich")).shown == "rich"
    assert make_settings(CommandRequest(cache_dir=tmp_path, progress="rich", quiet=True)).shown == "none"


def test_the_cache_is_the_users_when_nobody_says_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert make_settings(CommandRequest()).cache == tmp_path / "ocibuild"


@pytest.mark.parametrize(
    ("request_", "offline"),
    [
        (RecipeRequest(), None),
        (RecipeRequest(offline=True), True),
        (RecipeRequest(online=True), False),
        (RecipeRequest(offline=False), None),
    ],
)
def test_without_a_flag_the_wheels_folder_decides_about_the_network(
    tmp_path: Path, request_: RecipeRequest, offline: bool | None
) -> None:
    assert make_policy(settings(tmp_path), request_).offline is offline


def test_paths_on_the_command_line_are_relative_to_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make_policy(settings(tmp_path), RecipeRequest(find_links=("w", "https://x.example/w"), layers=(Path("l"),)))
    assert made.find_links == (str(tmp_path / "w"), "https://x.example/w")
    assert made.layer_path == (tmp_path / "l",)


def test_flags_change_the_recipe_and_its_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "build" / "mypy"
    folder.mkdir(parents=True)
    (folder / "requirements.txt").touch()
    made = open_source(
        settings(tmp_path), RecipeRequest(name="mypy", base="b", requirements=(Path("r.txt"),), env={"A": "1"})
    )
    assert (made.folder, made.recipe.base, made.requirements) == (folder, "b", (tmp_path / "r.txt",))
    assert made.recipe.config.env == {"A": "1"}


def test_a_file_is_named_like_its_image_and_filled_in() -> None:
    assert out_files(None, (), recipe()) == {AMD64: Path("mypy.tar")}
    assert out_files("{version}-{arch}.tgz", (), recipe(version="2")) == {AMD64: Path("2-amd64.tgz")}
    assert out_files("x-{version}.tar.gz", (), recipe(tags=("a:7",))) == {AMD64: Path("x-7.tar.gz")}


def test_of_a_recipes_platforms_one_file_takes_the_first_and_a_pattern_all() -> None:
    both = recipe(platforms=("linux/arm64", "linux/amd64"))
    assert out_files("mypy.tar", (), both) == {ARM64: Path("mypy.tar")}
    assert out_files("{arch}.tar", (), both) == {ARM64: Path("arm64.tar"), AMD64: Path("amd64.tar")}


def test_platforms_asked_for_are_built_whatever_the_recipe_says() -> None:
    assert out_files("x.tar", (ARM64,), recipe()) == {ARM64: Path("x.tar")}
    assert out_files(None, (AMD64, ARM64), recipe()) == {AMD64: Path("mypy-amd64.tar"), ARM64: Path("mypy-arm64.tar")}
