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
        ("# coding: utf-7\na\n", "an encoding that can hide lines"),
        ("# coding: unicode_escape\na\n", "an encoding that can hide lines"),
        ("# coding: klingon\na\n", "an encoding that nobody knows"),
        ("# coding: rot13\na\n", "rot.?13 is no encoding of text"),
        ("# coding: cp1252\na # \x81\n", "not cp1252 text"),
        ("${NAME}\n", ":1: not a requirement"),
        ("${LINE}\n", "--editable"),
        ("-i ${TWO}\n", "--no-binary"),
        ("--pre --all-releases -\n", ":1: an option stands where"),
        ("a --all-releases b\n", ":1: --all-releases beside a requirement"),
        ("a --hash=md5:00\n", ":1: --hash takes sha256"),
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


def test_several_options_on_a_line_are_heard_as_pip_hears_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    text = "--extra-index-url https://b.example/ -i https://a.example/ more words\n-f one -f two\n--hash sha256:00\n"
    asked = read([write(tmp_path, f"{text}demo --pre -i https://c.example/ word\n")])
    assert asked.options == (
        "--index-url https://a.example/",
        "--extra-index-url https://b.example/",
        f"--find-links {tmp_path}/one",
    )
    assert [line.raw for line in asked.lines] == ["demo"]


def test_a_line_includes_one_file_whatever_else_it_says(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write(tmp_path, f"{name}\n", name)
    lines = scan([write(tmp_path, "-c y --pre -r x -r y words\n")])
    assert [(line.text, line.constraint) for line in lines] == [("x", False)]


def test_an_included_file_may_be_a_url_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "more of it").mkdir()
    write(tmp_path / "more of it", "-r deep.txt\n", "more.txt")
    write(tmp_path / "more of it", "demo\n", "deep.txt")
    for scheme in ("file://", "file:", "FILE://localhost"):
        line = f"-r {scheme}{tmp_path}/more%20of%20it/more.txt\n"
        assert [each.text for each in scan([write(tmp_path, line)])] == ["demo"]
    with pytest.raises(UnsupportedRequirement, match="must lie on this machine"):
        scan([write(tmp_path, "-r https://h.example/r.txt\n")])
    with pytest.raises(RecipeError, match="on another machine"):
        scan([write(tmp_path, "-r file://host/r.txt\n")])


def test_a_path_is_followed_by_its_letters_as_in_pip(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("elsewhere/deep")
    write(tmp_path, "beside\n", "more.txt")
    write(tmp_path / "elsewhere", "behind\n", "more.txt")
    assert [line.text for line in scan([write(tmp_path, "-r link/../more.txt\n")])] == ["beside"]


def test_variables_stand_for_whatever_they_hold_and_pip_is_not_told_of_it_without_need(tmp_path: Path) -> None:
    text = "${ASKED} ${NUMBER}\n${OPTIONS}\n-i https://${NAME}@h.example/ ${UNSET}\n--extra-index-url ${PIP_MIRROR}\n"
    environ = {
        "ASKED": "demo==${NUMBER} --hash=sha256:00 --pre",
        "NUMBER": "1",
        "OPTIONS": "--pre --require-hashes",
        "NAME": "secret",
        "PIP_MIRROR": "https://m.example/",
    }
    asked = read([write(tmp_path, f"{text}other==${{NUMBER}}\n")], environ=environ)
    # As in pip, what a value names is filled in where the line names it after that; and options hide in no variable.
    assert [line.raw for line in asked.lines] == ["demo==1 --hash=sha256:00", "other==${NUMBER}"]
    assert [line.text for line in asked.lines] == ["demo==1", "other==1"]
    assert asked.options == (
        "--pre",
        "--require-hashes",
        "--index-url https://${NAME}@h.example/",
        "--extra-index-url https://m.example/",
    )
    with pytest.raises(RecipeError, match="a variable holds another"):
        read([write(tmp_path, "${ASKED}\n")], environ=environ)


@pytest.mark.parametrize("coding", ["latin-1", "cp1252", "utf-16", "gbk", "shift_jis", "utf-32", "iso-8859-15"])
def test_a_file_is_read_in_the_encoding_it_names(tmp_path: Path, coding: str) -> None:
    if coding.startswith("utf"):
        data = "# §\ndemo\n".encode(coding)  # a byte order mark says it
    else:
        data = f"# -*- coding: {coding} -*-\n# §\ndemo\n".encode(coding)
    assert [line.text for line in scan([write(tmp_path, data)])] == ["demo"]


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
