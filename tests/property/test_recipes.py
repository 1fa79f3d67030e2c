"""Whatever somebody writes into image.toml is a recipe or an explanation, never a traceback."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from oci_builder.errors import RecipeError
from oci_builder.recipes import ImageToml
from oci_builder.tomlfile import parse_toml

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "image-toml.md"
LINES = tuple(PAGE.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0].splitlines())
VALUES = [
    "1",
    "-1",
    "1.5",
    "nan",
    "true",
    '""',
    '"x"',
    "[]",
    "[1]",
    '["a", 2]',
    "{}",
    "{ a = 1 }",
    "2026-01-01",
    "[[]]",
]


def read(text: str) -> ImageToml | RecipeError:
    try:
        return parse_toml(text, ImageToml, file="image.toml")
    except RecipeError as error:
        return error


@settings(deadline=None)
@given(st.integers(0, len(LINES) - 1), st.sampled_from(VALUES))
def test_another_value_at_any_key_is_taken_or_explained_at_its_line(number: int, value: str) -> None:
    key, equals, _ = LINES[number].partition(" = ")
    lines = [*LINES[:number], f"{key} = {value}" if equals else LINES[number], *LINES[number + 1 :]]
    result = read("\n".join(lines))
    if isinstance(result, RecipeError):
        assert result.line is not None
        # What is no number at all is refused before anybody looks at keys.
        assert key.split(".")[0] in result.key or value == "nan"


@settings(deadline=None)
@given(st.integers(0, len(LINES) - 1), st.integers(0, 40), st.text(max_size=3))
def test_a_slip_of_the_pen_is_taken_or_explained(number: int, column: int, typed: str) -> None:
    line = LINES[number]
    read("\n".join([*LINES[:number], line[:column] + typed + line[column + 1 :], *LINES[number + 1 :]]))


@settings(deadline=None)
@given(st.text())
def test_any_text_is_taken_or_explained(text: str) -> None:
    read(text)
