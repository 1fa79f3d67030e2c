"""Requirements files are read as pip reads them: the lines, the options, and what is a path."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pip._internal.req import req_file
from pip._internal.req.constructors import parse_req_from_line

from oci_builder.errors import OcibuildError
from oci_builder.wheels import lines, options
from oci_builder.wheels.requirements import scan

WORDS = ["foo", "bar==1.0", "-", "--", "--pre", "--pr", "-r", "-rx", "-c", "x.txt", "-e", ".", "--no-b", "--no-index"]
WORDS += ["--hash", "--hash=sha256:00", "--only-binary=:none:", "-C", "a=b", "-i", "https://h.example/", "'--pre'"]
WORDS += [
    '"',
    "'",
    "\\",
    "\\\\",
    "#",
    "#x",
    "x#y",
    ";",
    "python_version>'3'",
    "-f",
    "--find",
    "${X}",
    "é",
    "--all-r",
    "a",
]
GAPS = [" ", "  ", "\t", "\n", "\\\n", "\r\n", " \\\n ", "\x0b", "\x0c", "\u2028", "\xa0", "="]
texts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=12).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)


@given(texts)
@settings(max_examples=200, deadline=None)
@example("\\\\foo\\\nbar # x\\\n baz")
@example("a \\\n# b\nc")
def test_lines_are_those_of_pip(text: str) -> None:
    theirs = list(req_file.ignore_comments(req_file.join_lines(enumerate(text.splitlines(), start=1))))
    assert list(lines._logical_lines(text)) == theirs


@given(texts.map(lambda text: " ".join(text.splitlines())))
@settings(max_examples=200, deadline=None)
def test_options_are_those_of_pip(text: str) -> None:
    try:
        ours, options_found = options.split(text)
    except ValueError:
        return  # stricter is fine
    if {each.name for each in options_found} & set(options.REFUSED):
        return
    for option in options_found:
        if option.name == "--hash":
            try:
                options.check_hash(option)
            except ValueError:
                return
    args, found = req_file.get_line_parser(None)(text)
    theirs = {name for name, value in vars(found).items() if value}
    assert ours == args.strip()
    dests = {option.get_opt_string(): str(option.dest) for option in req_file.build_parser().option_list}
    # Values that pip keeps as objects are there even where no option is.
    assert {each for each in theirs if not each.endswith("_control")} <= {dests[each.name] for each in options_found}


def test_the_options_known_are_those_of_pip() -> None:
    theirs = {
        tuple(sorted((*option._short_opts, *option._long_opts))): option.takes_value()
        for option in req_file.build_parser().option_list
    }
    ours = {tuple(sorted(names)): True for names in options.VALUES} | {(name,): False for name in options.FLAGS}
    assert ours == theirs
    assert set(options.REFUSED) | options.WHERE | options.WHICH | options.NESTED | {"--hash"} == {
        next(name for name in names if name.startswith("--"))
        for names in (*options.VALUES, *((flag,) for flag in options.FLAGS))
    }


NAMES = [
    "evil",
    "evil@1",
    "evil @ file:",
    "./evil",
    "evil.tar.gz",
    "evil-1.0-py3-none-any.whl",
    "x/evil",
    "~",
    ".",
    "..",
]
ENDS = ["", "/", "/.", "[a]", " ; python_version>'3'", "@1", " @ ./evil", ".zip", "/../evil", ".tar.XZ", "==1.0"]


@given(st.sampled_from(NAMES), st.sampled_from(ENDS), st.sampled_from(NAMES), st.sampled_from(ENDS))
@settings(max_examples=150, deadline=None)
@example("evil", "@1", "evil", "@1")
@example("evil @ file:", "/../evil", "evil @ file:", "/../evil")
def test_what_pip_takes_for_anything_but_a_name_or_a_wheel_is_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, end: str, there: str, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    put(folder / (there + suffix).strip())
    file = folder / "requirements.txt"
    file.write_text(f"{name}{end}\n")
    try:
        scan([file])
    except OcibuildError:
        return
    with contextlib.chdir(folder):
        parts = parse_req_from_line(name + end, None)
    assert parts.link is None or parts.link.is_wheel
    assert parts.requirement is not None


def put(place: Path) -> None:
    """A project that can be installed, or a file with the name of an archive."""
    if place.suffix.lower() in (".gz", ".zip", ".xz", ".whl"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"")
    else:
        place.mkdir(parents=True, exist_ok=True)
        (place / "setup.py").write_text("")
