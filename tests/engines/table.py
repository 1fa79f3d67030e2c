"""The table of what engines make of the corpus: tests/golden/engines.json, written by ``python -m tests.engines``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.engines.asking import Answer

TABLE = Path(__file__).parents[1] / "golden" / "engines.json"

_Table = dict[str, "Row"]


@dataclass
class Row:
    """What engines answered about an archive of this SHA-256, by their names."""

    sha256: str
    answers: dict[str, Answer] = field(default_factory=dict)


# What is another one at every run.
_HEX = re.compile(r"\b[0-9a-f]{12,}\b")
_PLACES = re.compile(r"/tmp/[^\s:\"']+|/var/tmp/[^\s:\"']+")
_TIME = re.compile(r"time=\S+ ")


def read() -> _Table:
    """By archive what was answered."""
    document = json.loads(TABLE.read_text())
    trees = document["trees"]
    return {
        name: Row(row.pop("sha256"), {engine: _answer(text, trees) for engine, text in row.items()})
        for name, row in document["archives"].items()
    }


def _answer(text: str, trees: Mapping[str, Mapping[str, str]]) -> Answer:
    tree = text.removeprefix("tree ")
    return Answer(trees[tree]) if tree in trees else Answer(None, text)


def write(table: Mapping[str, Row]) -> None:
    """Write the table: each tree once."""
    numbers: dict[str, str] = {}
    archives: dict[str, dict[str, str]] = {}
    for name, row in table.items():
        archives[name] = {"sha256": row.sha256}
        for engine in sorted(row.answers):
            answer = row.answers[engine]
            if answer.tree is None:
                archives[name][engine] = _steady(answer.why)
                continue
            text = json.dumps(answer.tree, sort_keys=True)
            archives[name][engine] = f"tree {numbers.setdefault(text, str(len(numbers) + 1))}"
    trees = {number: json.loads(text) for text, number in numbers.items()}
    TABLE.write_text(json.dumps({"archives": archives, "trees": trees}, indent=1) + "\n")


def _steady(why: str) -> str:
    text = _TIME.sub("", _PLACES.sub("PLACE", _HEX.sub("HEX", why)))
    return text if len(text) <= 200 else f"{text[:199]}…"
