"""Pages that the program knows better are what the program says."""

from __future__ import annotations

import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oci_builder.recipes import ImageToml, image_schema
from oci_builder.tomlfile import parse_toml

DOCS = Path(__file__).parents[1] / "docs"


def test_generated_pages_are_current() -> None:
    pages: dict[Path, str] = runpy.run_path(str(DOCS / "generate.py"))["pages"]()
    stale = [
        path.name for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run docs/generate.py"


def test_the_reference_of_image_toml_has_every_key_and_its_example_holds() -> None:
    text = (DOCS / "reference" / "image-toml.md").read_text(encoding="utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    parse_toml(example, ImageToml, file="image-toml.md")
    tables = image_schema()["$defs"].values()
    assert [
        key
        for table in tables
        for key in table["properties"]
        if f"`{key}`" not in text and f"[{key}" not in text and f".{key}]" not in text
    ] == []
    written = {key for table in _tables(tomllib.loads(example)) for key in table}
    assert {key for table in tables for key in table["properties"]} <= written


def _tables(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _tables(inner)
