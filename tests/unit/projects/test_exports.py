"""What we read in a lock is what the tool that made it exports: ``make lock-parity`` wrote down what they export."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from oci_builder.errors import StaleLock
from oci_builder.projects.packages import Choice
from oci_builder.projects.reading import READERS
from oci_builder.wheels.origins import INDEX
from tests.parity.locks import CHOICES, EXPECTED, LOCKS, PYTHONS, target_of

CASES = json.loads(EXPECTED.read_text(encoding="utf-8"))


def name_of(case: dict[str, Any]) -> str:
    chosen = "+".join([*map(str, case["extras"]), *map(str, case["groups"])])
    return f"{case['lock']} {chosen} on {case['python']}"


def test_there_is_an_export_of_every_choice() -> None:
    assert len(CASES) == len(PYTHONS) * sum(map(len, CHOICES.values()))


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_lock_is_read_as_its_tool_exports_it(case: dict[str, Any]) -> None:
    path = LOCKS / str(case["lock"])
    target = target_of(str(case["python"]), str(case["platform"]))
    choice = Choice.of(case["extras"], case["groups"])
    try:
        found = READERS[path.name](path.read_bytes(), path, target.markers(), choice)
    except StaleLock as error:
        # uv and Poetry export for Pythons that they would not install on.
        assert "it was made for Python >=3.11" in str(error)
        assert target.minor < (3, 11)
    else:
        # A Pipfile.lock has no version of what lies in folders, and no tool exports one.
        assert {each.name: each.version for each in found if each.origin == INDEX} == case["pins"]
        places = [each.origin.folder or each.origin.file for each in found]
        local = {os.path.relpath(place, path.parent) for place in places if place is not None}
        assert sorted(local - {"."}) == case.get("local", [])
