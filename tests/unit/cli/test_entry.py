"""Words in, an exit code out: what each kind of ending looks like."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oci_builder.cli import main


def project(root: Path, *names: str) -> Path:
    for name in names:
        (root / "build" / name).mkdir(parents=True)
        (root / "build" / name / "requirements.txt").touch()
    return root


def ocibuild(*words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "oci_builder", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_unknown_image_lists_those_there_are_nearest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project(tmp_path, "apples", "mypy"))
    assert main(["mypi"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "ocibuild: no image 'mypi' (looked in build)\n\nhint: the images here are mypy, apples\n"


@pytest.mark.parametrize(
    "words", [["mypi"], ["build", "mypi"], ["--out", "x.tar", "mypi"], ["-q", "mypi"], ["lock", "mypi"]]
)
def test_a_first_word_that_is_no_verb_is_an_image_to_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.chdir(project(tmp_path, "mypy"))
    assert main(words) == 2
    assert "no image 'mypi'" in capsys.readouterr().err


def test_a_project_can_be_somewhere_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mypi", "--project-dir", str(project(tmp_path, "mypy"))]) == 2
    assert "the only image here is mypy" in capsys.readouterr().err


def test_a_verb_with_a_slip_is_not_taken_for_an_image(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["buidl", "mypy"]) == 2
    assert "no command 'buidl'; did you mean 'build'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["build"], "which image? name one, or several"),
        (["mypy", "--bogus"], "no such option: --bogus"),
        (["mypy", "--label", "x"], "expected NAME=VALUE, got 'x'"),
        (["mypy", "--env", "=x"], "expected NAME=VALUE, got '=x'"),
        (["mypy", "-r", "nowhere.txt"], "'nowhere.txt' does not exist"),
        (["mypy", "--jobs", "0"], "0 is not from 1 to 256"),
        (["mypy", "--offline", "--online"], "--offline and --online exclude each other"),
        (["mypy", "--locked", "--frozen"], "--locked and --frozen exclude each other"),
        (["mypy", "--out", "x.zip"], "--out x.zip: a file name ends in .tar, .tar.gz or .tgz"),
        (["mypy", "--out", ".tar"], "--out .tar: a file name ends in"),
        (["mypy", "--out", "nowhere/x.tar"], "there is no folder nowhere"),
        (["mypy", "--out", "folder.tar"], "this is a folder"),
        (
            ["mypy", "--out", "x.tar", "--platform", "linux/amd64", "--platform", "arm64"],
            "2 platforms need {arch} in the file name",
        ),
        (["mypy", "--user", "a:b"], "'a:b' is not a user"),
        (["mypy", "--tag", "Q"], "command line: tags[0]: 'Q' is not an image reference"),
        (["mypy", "--platform", "z80"], "'z80' is not a platform"),
        (["mypy", "--base", "nowhere", "--out", "{version}.tar"], "no layer 'nowhere'"),
        (["schema", "cake"], "'cake' is not one of 'image', 'layer'"),
        (["base", "update", "nowhere"], "no layer 'nowhere'"),
    ],
)
def test_words_that_do_not_fit_exit_with_2_and_a_hint(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(project(tmp_path, "mypy"))
    monkeypatch.setenv("OCIBUILD_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "folder.tar").mkdir()
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert list(tmp_path.glob("*.tar")) == [tmp_path / "folder.tar"]


def test_a_bad_source_date_epoch_is_the_users_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project(tmp_path, "mypy"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert main(["mypy"]) == 2
    assert "'yesterday' is not a SOURCE_DATE_EPOCH value" in capsys.readouterr().err


def test_a_recipe_with_a_mistake_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project(tmp_path, "mypy"))
    (tmp_path / "build" / "mypy" / "image.toml").write_text("[config]\nentry-point = ['mypy']\n")
    assert main(["mypy"]) == 2
    assert capsys.readouterr().err == (
        "ocibuild: build/mypy/image.toml:2: config.entry-point: unknown key\n\nhint: did you mean 'entrypoint'?\n"
    )


def test_a_bug_of_ours_is_one_line_and_how_to_report_it(capsys: pytest.CaptureFixture[str]) -> None:
    # No shell can pass a NUL on; nothing of ours expects one.
    assert main(["cache", "info", "--cache-dir", "\0"]) == 70
    message, empty, hint = capsys.readouterr().err.splitlines()
    assert message.startswith("ocibuild: internal error: ValueError: ")
    assert empty == ""
    assert "report" in hint
    assert "--debug" in hint


def test_a_traceback_is_for_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "clear", "--debug", "--cache-dir", "\0"]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_version_and_help_are_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main(["-h"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("ocibuild ")
    assert "build " in out
    assert err == ""


def test_nothing_asked_is_answered_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Usage: ocibuild" in capsys.readouterr().err


def test_help_loads_nothing_that_builds(tmp_path: Path) -> None:
    heavy = ["deflate", "elftools", "email", "msgspec", "packaging", "pip", "pysequoia", "rich", "ssl", "tomllib"]
    script = (
        "import sys; from oci_builder.cli import main; main(['build', '--help']); main(['--help']);"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ)
    assert done.stderr == "[]\n"


def test_a_reader_that_goes_away_is_no_drama(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    words = [sys.executable, "-m", "oci_builder", "schema"]
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, check=False, env=environ)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("ocibuild my", "mypy"),
        ("ocibuild bu", "build"),
        ("ocibuild build my", "mypy"),
        ("ocibuild lock my", "mypy"),
        ("ocibuild mypy --lo", "--locked"),
        ("ocibuild schema la", "layer"),
        ("ocibuild base up", "update"),
    ],
)
def test_a_shell_completes_verbs_images_and_options(tmp_path: Path, words: str, offered: str) -> None:
    done = ocibuild(
        cwd=project(tmp_path, "mypy"),
        _OCIBUILD_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(words.count(" ")),
    )
    assert f"plain,{offered}" in done.stdout.splitlines()


def test_a_shell_gets_its_completion_script(tmp_path: Path) -> None:
    done = ocibuild(cwd=tmp_path, _OCIBUILD_COMPLETE="bash_source")
    assert "complete -o nosort -F _ocibuild_completion ocibuild" in done.stdout
