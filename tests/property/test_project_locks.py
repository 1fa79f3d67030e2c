"""Whatever stands in another tool's lock, it is a lock or an explanation, never a traceback."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from oci_builder.bounded import load_toml
from oci_builder.errors import OcibuildError
from oci_builder.projects.packages import Choice
from oci_builder.projects.reading import READERS, parse_lock
from tests.parity.locks import LOCKS
from tests.support.targets import TARGET

SMALL = ["uv-conflict/uv.lock", "uv-sources/uv.lock", "po-classic/poetry.lock", "pd-basic/pdm.lock"]
ODD = st.one_of(
    *(st.none(), st.booleans(), st.integers(-1, 3), st.floats(), st.text(max_size=5)),
    *map(st.just, ([], {}, [1], {"name": "x"})),
    st.sampled_from(["..", "/etc", "sha256:", "a" * 64, "extra == 'x'", "python_version > 'x'"]),
)


def is_explained(data: bytes, name: str) -> None:
    with contextlib.suppress(OcibuildError):
        parse_lock(data, Path("/project") / name, TARGET, Choice.of(["old"], []))
    with contextlib.suppress(OcibuildError):
        parse_lock(data, Path("/project") / name, TARGET, Choice())


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(SMALL), st.integers(0, 10**6), st.integers(0, 60), st.text(max_size=3))
def test_a_slip_in_a_lock_is_taken_or_explained(lock: str, at: int, length: int, typed: str) -> None:
    text = (LOCKS / lock).read_text(encoding="utf-8")
    at %= len(text)
    is_explained((text[:at] + typed + text[at + length :]).encode(errors="replace"), Path(lock).name)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_another_value_anywhere_in_a_lock_is_taken_or_explained(data: st.DataObject) -> None:
    document: Any = json.loads((LOCKS / "pi-basic/Pipfile.lock").read_text(encoding="utf-8"))
    place = document
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list) or not place[key]:
            place[key] = data.draw(ODD)
            break
        place = place[key]
    is_explained(json.dumps(document, allow_nan=True).encode(), "Pipfile.lock")


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(SMALL), st.data())
def test_another_value_in_a_toml_lock_is_taken_or_explained(lock: str, data: st.DataObject) -> None:
    lines = (LOCKS / lock).read_text(encoding="utf-8").splitlines()
    numbers = [number for number, line in enumerate(lines) if " = " in line and not line.startswith(" ")]
    number = data.draw(st.sampled_from(numbers))
    value = data.draw(
        st.sampled_from(['""', "1", "[]", "{}", "[1]", '[["a"]]', '"x"', "true", "nan", '{ url = ".." }'])
    )
    lines[number] = f"{lines[number].partition(' = ')[0]} = {value}"
    is_explained("\n".join(lines).encode(), Path(lock).name)


@given(st.sampled_from(sorted(READERS)), st.binary(max_size=200))
def test_any_bytes_are_explained(name: str, data: bytes) -> None:
    is_explained(data, name)


def test_the_examples_are_toml() -> None:
    assert all(load_toml((LOCKS / lock).read_text(encoding="utf-8")) for lock in SMALL)
