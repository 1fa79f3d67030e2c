"""Whatever stands at a key of image.toml: what its hint says to write is accepted there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oci_builder.errors import RecipeError
from oci_builder.recipes import ImageToml
from oci_builder.tomlfile import parse_toml

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "image-toml.md"
LINES = tuple(PAGE.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0].splitlines())
KEYS = [number for number, line in enumerate(LINES) if re.match(r"#? ?[\w.-]+ = ", line)]
VALUES = [
    *("0", "1", '"7"', "15", "20", "30", "420", "500", "644", "8080", "5000000000", "-1", "1.5", "3.11", "1e30"),
    *("true", "false", "2026-01-01", "12:30:00", "[]", "{}", "[[]]", "[1]", '["a", 2]', "[true]", "{ a = 1 }"),
    *('""', '" "', '"x"', '"X Y"', '"Yes"', '"NONE"', '"none "', '"500"', '"500M"', '"500 mb"', '"1 GB"', '"30 s"'),
    *('"5 minutes"', '"8080:80"', '"127.0.0.1:53:53/UDP"', '"a=b"', '["A=B", "C=D"]', '"app:1000"', '"root"'),
    *(
        '"rel/path"',
        '"./x"',
        '"~/x"',
        '"a, b"',
        '"a b"',
        '["libGL1=2.3"]',
        '"0o755"',
        '"sigterm"',
        '"TERM"',
        '"\\u007F"',
    ),
    *(
        f'"sha256:{"AB" * 32}"',
        '"example.org/x"',
        '"é"',
        '"requirements.txt"',
        '[["a"]]',
        '[{ A = "b" }]',
        '"linux/AMD64"',
    ),
]


def refusal(text: str) -> RecipeError | None:
    try:
        parse_toml(text, ImageToml, file="image.toml")
    except RecipeError as error:
        return error
    return None


def with_line(number: int, line: str) -> str:
    return "\n".join([*LINES[:number], line, *LINES[number + 1 :]])


def key_of(number: int) -> str:
    return LINES[number].partition(" = ")[0].lstrip("# ")


@pytest.mark.parametrize("number", KEYS, ids=key_of)
def test_what_a_hint_says_to_write_is_accepted(number: int) -> None:
    key, tried = key_of(number), 0
    for value in VALUES:
        error = refusal(with_line(number, f"{key} = {value}"))
        found = re.fullmatch(r"write ([\w.-]+) = (.+)", (error and error.hint) or "", re.DOTALL)
        # What a table as a whole or another key is told is not tried here.
        if error is None or found is None or "…" in found[2] or found[1] != key.rpartition(".")[2]:
            continue
        tried += 1
        after = refusal(with_line(number, f"{key} = {found[2]}"))
        assert after is None or after.key != error.key, f"{key} = {value}: {error.hint}: {after}"
    assert tried


def test_all_keys_of_the_page_are_tried() -> None:
    assert len(KEYS) > 50
