"""Requirements files that are too much, that lead elsewhere, or that are no files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oci_builder.errors import NotFound, OcibuildError, RecipeError, UnsupportedRequirement
from oci_builder.wheels.requirements import read, scan


def write(folder: Path, text: str | bytes, name: str = "requirements.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_includes_that_double_end_at_a_thousand_files(tmp_path: Path) -> None:
    for number in range(24):
        write(tmp_path, f"-r x{number + 1}.txt\n" * 2, f"x{number}.txt")
    write(tmp_path, "demo\n", "x24.txt")
    with pytest.raises(RecipeError, match="more than 1000 files"):
        scan([tmp_path / "x0.txt"])


def test_includes_may_not_be_deep_without_end(tmp_path: Path) -> None:
    for number in range(100):
        write(tmp_path, f"-r r{number + 1}.txt\n", f"r{number}.txt")
    with pytest.raises(RecipeError, match=r"r\d+\.txt:1: files include each other more than 40 deep"):
        scan([tmp_path / "r0.txt"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a" * 300_000 + "\n", ":1: a line of more than 65536"),
        ("a" * 5000 + "\n", ":1: a requirement of more than 4096"),
        ("x" + " " * 4_000_000 + "y\n", ":1: a line of more than"),
        ("x" + " " * 200 + "y\n", ":1: a gap of a hundred blanks"),
        ("a\n" * 30_000, ":20001: with it there are more than 20000 lines"),
        ("-r a\0b\n", ":1: a line with control characters"),
        ("a; " + "(" * 1500 + "python_version>'3'" + ")" * 1500 + "\n", ":1: not a requirement"),
        ("x @ https://[::1/x-1.0-py3-none-any.whl\n", ":1: .*Invalid IPv6 URL"),
        ("# coding: utf-7\na\n", "an encoding other than UTF-8"),
        ("-r x -r y\n", ":1: pip reads one -r or -c of a line"),
        ("${NAME}\n", ":1: not a requirement"),
        ("${LINE}\n", ":1: a variable may stand for a value"),
        ("-i ${TWO}\n", ":1: a variable may stand for a value"),
        ("-i ${PIP_INDEX_URL}\n", r":1: \$\{PIP_INDEX_URL\} is a setting of pip"),
        ("a --pre\n", ":1: --pre beside a requirement"),
        ("a --hash=md5:00\n", ":1: --hash takes sha256"),
        ("--hash=sha256:00\n", ":1: --hash without a requirement"),
        ("--pre a\n", ":1: a word stands where an option was expected"),
        ("--unknown\n", ":1: not options that pip takes"),
        ("-i 'a\n", ":1: a quote is not closed"),
    ],
)
def test_what_is_too_much_or_says_nothing_is_refused_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    environ = {"LINE": "-e ./evil", "TWO": "https://h.example/ --no-binary=:all:", "PIP_INDEX_URL": "x"}
    with pytest.raises(OcibuildError, match=why):
        scan([write(tmp_path, text)], environ=environ)


def test_a_comment_behind_four_million_blanks_is_none_of_the_line(tmp_path: Path) -> None:
    (line,) = scan([write(tmp_path, "a" + " " * 4_000_000 + "# why\n")])
    assert line.text == "a"


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("--pre --no-b=:all:", "--no-binary"),
        ("--pre\t-e\t.", "--editable"),
        ("-Ca=b", "--config-settings"),
        ("--use-feature fast-deps", "--use-feature"),
        ("--only-binary a,:none:", "--only-binary"),
        ("a -C b=c", "--config-settings"),
    ],
)
def test_an_option_that_would_build_is_refused_wherever_it_stands(tmp_path: Path, text: str, option: str) -> None:
    with pytest.raises(UnsupportedRequirement, match=option):
        scan([write(tmp_path, f"{text}\n")])


def test_what_pip_is_given_is_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    text = "--pre --require-h -f 'a b'\n--only-binary=:all:\n-i https://${USER}@h.example/s?x=1&y\n"
    text += "foo  >1 --hash sha256:00\n"
    asked = read([write(tmp_path, text)], environ={"USER": "me"})
    assert asked.options == (
        "--pre",
        "--require-hashes",
        f"--find-links '{tmp_path}/a b'",
        "--index-url 'https://${USER}@h.example/s?x=1&y'",
    )
    assert asked.where == asked.options[2:]
    assert [line.raw for line in asked.lines] == ["foo  >1 --hash=sha256:00"]


@pytest.mark.parametrize(
    "text",
    ["root:$6$HASH:1::", "--HASH x", "-r 'HASH", "-e HASH", "HASH=1", "/HASH/x", "HASH.tar.gz", "x @ HASH", "[HASH"],
)
def test_a_line_that_is_no_requirement_is_not_shown(tmp_path: Path, text: str) -> None:
    write(tmp_path, f"{text}\n", "shadow")
    with pytest.raises(OcibuildError, match="shadow:1") as caught:
        scan([write(tmp_path, "-r shadow\n")])
    assert "HASH" not in str(caught.value) + (caught.value.hint or "")


@pytest.mark.parametrize("place", ["requirements.txt", "more.txt"])
def test_a_pipe_is_no_requirements_file(tmp_path: Path, place: str) -> None:
    write(tmp_path, "-r more.txt\n")
    (tmp_path / place).unlink(missing_ok=True)
    os.mkfifo(tmp_path / place)
    with pytest.raises(NotFound) as caught:
        scan([tmp_path / "requirements.txt"])
    assert "a named pipe" in (caught.value.hint or "")


def test_a_pipe_is_no_folder_of_wheels(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecipeError, match="a pipe or a device"):
        read([write(tmp_path, "-f pipe\n")])
