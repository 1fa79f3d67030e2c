"""Words of other programs: each gets what it means here, or is told what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.cli.app import COMMANDS
from oci_builder.cli.habits import _OPTIONS, _VERBS
from oci_builder.cli.messages import as_clause
from oci_builder.recipes import VERBS
from tests.support.tiny import build, built, make_tiny


@pytest.mark.parametrize("word", sorted(_VERBS))
def test_a_foreign_verb_is_told_what_to_type(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert word in VERBS and word not in COMMANDS, "else an image may be called so"
    assert main([word, "shop"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ocibuild: no command {word!r}; ")
    assert "NAME" not in said and "{name}" not in said


@pytest.mark.parametrize("words", [["help"], ["help", "build"], ["help", "cache", "prune"]])
def test_help_is_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    told = capsys.readouterr().out
    assert main([*words[1:], "--help"]) == 0
    assert capsys.readouterr().out == told


def test_v_alone_is_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-v"]) == main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


@pytest.mark.parametrize("option", sorted(_OPTIONS))
def test_a_foreign_option_is_told_what_to_type(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb = {"--verify": "check", "--upgrade": "build"}.get(option, "build")
    assert main([verb, "shop", option, "x"]) == 2
    said = capsys.readouterr().err
    assert "--help` says what fits" not in said and "hint: " in said


@pytest.mark.parametrize(
    ("sentence", "clause"),
    [
        ("No such option: -x", "no such option: -x"),
        (
            "OCIBUILD_REGISTRY_USER and OCIBUILD_REGISTRY_PASSWORD",
            "OCIBUILD_REGISTRY_USER and OCIBUILD_REGISTRY_PASSWORD",
        ),
        ("A file", "a file"),
        ("", ""),
    ],
)
def test_a_name_keeps_its_capitals_behind_a_colon(sentence: str, clause: str) -> None:
    assert as_clause(sentence) == clause


@pytest.mark.parametrize(("said", "ids"), [("1234", "1234:1234"), ("1234:5", "1234:5")])
def test_a_number_alone_is_the_users_id(tmp_path: Path, said: str, ids: str) -> None:
    tiny = make_tiny(tmp_path / "project")
    assert f'"User":"{ids}"'.encode() in built(tiny, "--user", said)


def test_what_was_there_for_another_platform_is_not_replaced_in_silence(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    built(tiny)
    again = build(tiny, "--platform", "linux/arm64")
    assert f"{tiny.out} was an image for linux/amd64, and becomes one for linux/arm64/v8: " in again.said
    assert "--out app-{arch}.tar" in again.said
    assert "was an image for" not in build(tiny, "--platform", "linux/arm64", "--user", "7").said


def test_a_build_ends_with_the_command_to_type_next(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    *_, last, following = build(tiny).said.splitlines()
    assert last.startswith(f"{tiny.out}: linux/amd64, ")
    assert following.startswith("next: ") and f" load -i {tiny.out} && " in following
