"""A recipe that does not fit is explained: file, line, key, what was expected, the nearest known key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct

from oci_builder.errors import BadKey, FileProblem, RecipeError
from oci_builder.tomlfile import LIMIT, load_toml, misplaced, parse_toml


class Part(Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    src: str
    mode: Annotated[str, Meta(pattern="^0[0-7]{3}$", description='an octal mode such as "0644"')] = "0644"
    level: Annotated[int, Meta(ge=0, le=9)] = 0

    def __post_init__(self) -> None:
        if self.src == "/":
            raise BadKey("src", "the root is too much", hint="name a folder")


class Whole(Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    part: tuple[Part, ...] = ()
    one_part: Part | None = None
    env: dict[Annotated[str, Meta(pattern="^[A-Z]+$", description="capital letters")], str] = {}
    way: Literal["up", "down"] = "up"
    names: tuple[str, ...] = ()


def refused(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse_toml(text, Whole, file="x.toml")
    return caught.value


def test_a_file_that_fits_is_a_value(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes('\ufeffway = "down"\r\n[[part]]\r\nsrc = "a"\r\n'.encode())
    assert load_toml(path, Whole) == Whole(way="down", part=(Part(src="a"),))


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("way = up", "x.toml:1: not TOML: invalid value", "quotes"),
        ('\n\n[env]\nA = "x', "x.toml:4: not TOML: ", "quote"),
        ("way = 'left'", """x.toml:1: way: expected "down" or "up", got 'left'""", None),
        ("[env]\nB = 'x'\nA = 1", "x.toml:3: env.A: expected text, got 1", 'write A = "1"'),
        ("env.A = true", "x.toml:1: env.A: expected text, got true", 'write A = "true"'),
        ("[env]\na = 'x'", "x.toml:2: env.a: not a name that may stand here; expected capital letters", None),
        ("names = ['a', 3]", "x.toml:1: names[1]: expected text", 'write names = ["a", "3"]'),
        ("names = 'a'", "x.toml:1: names: expected a list, got 'a'", 'write names = ["a"]'),
        ("names = ['a', 2]", "x.toml:1: names[1]: expected text, got 2", None),
        ("[[part]]\nmode = '0644'", "x.toml:1: part[0].src: is missing; expected text", None),
        (
            "[[part]]\nsrc = 'a'\nmode = '644'",
            """x.toml:3: part[0].mode: expected an octal mode such as "0644", got '644'""",
            None,
        ),
        ("[[part]]\nsrc = 'a'\nlevel = 10", "x.toml:3: part[0].level: expected a whole number", None),
        ("[one-part]\nsrc = '/'", "x.toml:2: one-part.src: the root is too much", "name a folder"),
        ("one-part = 3", "x.toml:1: one-part: expected a table, got 3", None),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_was_expected(text: str, said: str, hint: str | None) -> None:
    error = refused(text)
    assert str(error).startswith(said)
    assert hint is None or hint in str(error.hint)


def test_the_line_is_that_of_the_right_item_of_a_list_of_tables() -> None:
    assert refused("[[part]]\nsrc = 'a'\n\n[[part]]\nsrc = 1\n").line == 5
    assert refused("[[part]]\nsrc = 'a'\n\n[[part]]\nmode = '0644'\n").line == 4


def test_a_line_inside_a_long_string_is_not_mistaken_for_a_key() -> None:
    assert refused("names = [\n'''\nway = 1\n''']\nway = 2\n").line == 5


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("one_part = 1", "one_part", "did you mean 'one-part'?"),
        ("[[part]]\nscr = 'a'\nsrc = 'a'", "part[0].scr", "did you mean 'src'?"),
        ("mode = '0644'", "mode", "'mode' belongs in [[part]]"),
        ("[one-part]\nsrc = 'a'\nnames = []", "one-part.names", "'names' belongs in the lines above the first [table]"),
        ("[[part]]\nsrc = 'a'\nway = 'up'", "part[0].way", "'way' belongs in the lines above the first [table]"),
        ("colour = 1", "colour", "the keys known here are env, names, one-part, part, way"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_known_one(text: str, key: str, hint: str) -> None:
    error = refused(text)
    assert (error.key, error.why, error.hint) == (key, "unknown key", hint)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="no such file"):
        load_toml(tmp_path / "x.toml", Whole)
    (tmp_path / "x.toml").write_bytes(b"way = 'up'\n# \xff\n")
    with pytest.raises(RecipeError, match=r"x\.toml:2: not UTF-8"):
        load_toml(tmp_path / "x.toml", Whole)


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"#" * (LIMIT + 1))
    with pytest.raises(RecipeError, match="longer than"):
        load_toml(tmp_path / "x.toml", Whole)


def test_a_problem_found_after_loading_gets_its_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("# first\nnames = ['a', 'b']\n")
    error = misplaced(path, BadKey("names[1]", "there is no b"))
    assert str(error) == f"{path}:2: names[1]: there is no b"
    assert misplaced(tmp_path / "gone.toml", BadKey("names", "no")).line is None


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000])
def test_text_made_to_break_a_parser_is_refused_like_any_other(text: str) -> None:
    assert "not TOML" in refused(text).why


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("way = “up”", "straight quotes"),
        ("way = ‘up’", "straight quotes"),
        ('way = "up', "close the quote"),
        ('way = "up\nnames = []', "close the quote"),
        ("names = ['a', 'b'", "close the bracket"),
        ("way = True", "write true"),
        ("way = Yes", "write true"),
        ("way = None", "no word for nothing"),
        ('{"way": "up"}', "this is JSON"),
        ("FROM python:3.11\nRUN pip install x", "this is a Dockerfile: ocibuild init"),
        ("way: up", "this is YAML"),
        ("names:\n  - a", "this is YAML"),
        ("env = { A = 'x', }", "no comma before its closing brace"),
        ("env = {\nA = 'x' }", "one line"),
        ("[env]\nA = 'x'\n[env]\nB = 'x'", "under the first one"),
        ("way = 'up'\nway = 'up'", "stands once"),
        ("way == 'up'", "one equals sign"),
        ("way 'up'", "an equals sign"),
        ("way = 'up';", "end of the line"),
        ("// way", "behind a #"),
        ('way = "C:\\Users"', "backslash"),
        ("way = 0644", '"0644"'),
        ("way = 500MB", '"500MB"'),
        ("way =", "a value behind the equals sign"),
        ("\u200bway = 'up'", "type the line anew"),
        ("names = ('a', 'b')", "in brackets"),
    ],
)
def test_what_is_no_toml_is_told_from_what_it_is(text: str, hint: str) -> None:
    error = refused(text)
    assert hint in str(error.hint), error.hint
    assert "(," not in str(error) and "',)" not in str(error)
