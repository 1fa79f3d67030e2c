"""The table of what engines make of the corpus: tests/golden/engines.json, written by ``python -m tests.engines``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from tests.engines.asking import Answer

TABLE = Path(__file__).parents[1] / "golden" / "engines.json"

_Table = dict[str, dict[str, Answer]]

# What is another one at every run.
_HEX = re.compile(r"\b[0-9a-f]{12,}\b")
_PLACES = re.compile(r"/tmp/[^\s:\"']+|/var/tmp/[^\s:\"']+")
_TIME = re.compile(r"time=\S+ ")


def read() -> _Table:
    """By archive and engine what was answered."""
    document = json.loads(TABLE.read_text())
    trees = document["trees"]
    return {
        name: {engine: _answer(text, trees) for engine, text in answers.items()}
        for name, answers in document["archives"].items()
    }


def _answer(text: str, trees: Mapping[str, Mapping[str, str]]) -> Answer:
    tree = text.removeprefix("tree ")
    return Answer(trees[tree]) if tree in trees else Answer(None, text)


def write(table: Mapping[str, Mapping[str, Answer]]) -> None:
    """Write the table: each tree once."""
    numbers: dict[str, str] = {}
    archives: dict[str, dict[str, str]] = {}
    for name, answers in table.items():
        archives[name] = {}
        for engine in sorted(answers):
            answer = answers[engine]
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
