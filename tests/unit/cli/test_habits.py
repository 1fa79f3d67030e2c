"""Words of other programs: each gets what it means here, or is told what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.cli.app import COMMANDS
from oci_builder.cli.habits import _OPTIONS, _VERBS, _WORDS
from oci_builder.cli.messages import as_clause
from oci_builder.errors import InvalidValue
from oci_builder.recipes import VERBS
from oci_builder.reference import Reference
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


@pytest.mark.parametrize("word", sorted(_WORDS))
def test_a_word_that_an_image_may_be_called_is_told_where_none_is(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert word not in COMMANDS and word not in VERBS
    assert main([word, "shop"]) == 2
    assert f"no command {word!r}; " in capsys.readouterr().err


def test_an_image_may_be_called_like_a_command_of_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = make_tiny(tmp_path / "project")
    tiny.image.rename(tiny.root / "build" / "load")
    monkeypatch.chdir(tiny.root)
    assert main(["load", "--cache-dir", str(tiny.cache), "--quiet", "--out", "x.tar"]) == 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["shop", "-out", "x.tar"], "did you mean --out?"),
        (["shop", "-push", "x"], "did you mean --push?"),
        (["shop", "—out", "x"], "did you mean --out?"),
        (["shop", "–load"], "did you mean --load?"),
        (["shop", "--ouput", "x"], "did you mean --out"),
        (["shop", "--zigzag"], None),
        (["shop", "-j", "many"], "is not a whole number"),
        (["shop", "-j", "0"], "0 is not from 1 to 256"),
    ],
)
def test_an_option_is_proposed_only_where_one_is_near(
    words: list[str], hint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert hint in said if hint else "did you mean" not in said.lower()
    assert "<=x" not in said and "integer" not in said


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("docker://example.org/a:1", "example.org/a:1"),
        ("http://127.0.0.1:9/a:1", "127.0.0.1:9/a:1"),
        ("127.0.0.1:9/Team/App:V1", "write 127.0.0.1:9/team/app:V1"),
        ("MyApp", "write myapp"),
    ],
)
def test_a_reference_is_proposed_as_it_would_be_taken(
    name: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(make_tiny(tmp_path / "project"), "--push", name).code == 2
    with pytest.raises(InvalidValue) as caught:
        Reference.parse(name)
    assert hint in str(caught.value.hint)
    proposed = str(caught.value.hint).split()[-1]
    assert Reference.parse(proposed).repository.lower() == Reference.parse(proposed).repository


def test_a_mirror_without_its_scheme_is_asked_about(tmp_path: Path) -> None:
    ending = build(make_tiny(tmp_path / "project"), "--mirror", "mirror.test/debian")
    assert ending.code == 2 and "hint: did you mean http://mirror.test/debian?" in ending.said


def test_all_of_nothing_names_what_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("")
    assert main(["build", "--all"]) == 2
    said = capsys.readouterr().err
    assert "hint: a project is here: ocibuild" in said and "--all for all" not in said


def test_requirements_that_ask_for_nothing_are_told_of(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    tiny.require("# nothing yet", 'many; python_version < "3"')
    ending = build(tiny)
    assert ending.code == 0, ending.said
    assert "requirements.txt asks for nothing that is installed here" in ending.said
