"""Every input that ever broke a parser, and the seeds: replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.harness import CORPUS, LONGEST, bounded, signature
from tests.fuzz.known import KNOWN
from tests.fuzz.targets import TARGETS

INPUTS = [(name, path) for name, target in TARGETS.items() for path in target.corpus]


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=[f"{name}/{path.name}" for name, path in INPUTS])
def test_an_input_ends_with_a_value_or_an_error_of_ours(name: str, path: Path) -> None:
    data = path.read_bytes()
    try:
        with bounded():
            TARGETS[name].feed(data)
    except BaseException as error:
        if signature(error) in KNOWN.get(name, {}):
            pytest.xfail(KNOWN[name][signature(error)])
        raise


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_reads_one_of_its_seeds(name: str) -> None:
    seeds = [path.read_bytes() for path in TARGETS[name].corpus if path.name.startswith("seed-")]
    assert any(TARGETS[name].feed(data) for data in seeds)


def test_every_known_crash_still_happens() -> None:
    happens = set()
    for name, path in INPUTS:
        try:
            TARGETS[name].feed(path.read_bytes())
        except BaseException as error:
            happens.add((name, signature(error)))
    mended = {(name, kind) for name, kinds in KNOWN.items() for kind in kinds} - happens
    assert not mended, "mended: take it out of known.py"


def test_the_corpus_is_small_and_belongs_to_targets() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == set(TARGETS)
    assert sum(path.stat().st_size for path in files) < 300_000
    assert max(path.stat().st_size for path in files) <= LONGEST
