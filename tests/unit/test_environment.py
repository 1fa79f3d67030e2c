"""Environment variables of a recipe that refer to others."""

from __future__ import annotations

import pytest

from oci_builder.errors import InvalidValue
from oci_builder.recipes.environment import expanded

BASE = {"PATH": "/bin", "EMPTY": ""}


@pytest.mark.parametrize(
    ("env", "name", "value"),
    [
        ({"PATH": "/opt/bin:${PATH}"}, "PATH", "/opt/bin:/bin"),
        ({"B": "${A}/b", "A": "/a"}, "B", "/a/b"),
        ({"P": "${PATH}", "PATH": "/x:${PATH}"}, "P", "/x:/bin"),
        ({"A": "${NO:-yes} ${EMPTY:-full} ${PATH:-no}"}, "A", "yes full /bin"),
        ({"A": "${NO:-}"}, "A", ""),
        ({"A": "$${PATH} $PATH $ $$ ${"}, "A", "${PATH} $PATH $ $$ ${"),
        ({"A": "${PATH:=x} ${1}"}, "A", "${PATH:=x} ${1}"),
    ],
)
def test_a_reference_is_replaced_by_what_it_names(env: dict[str, str], name: str, value: str) -> None:
    found = expanded(env, BASE)
    assert found[name] == value
    assert found["EMPTY"] == "" and list(found)[:2] == ["PATH", "EMPTY"]


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"A": "${NO}"}, "nobody sets NO"),
        ({"A": "${A}"}, "nobody sets A"),
        ({"A": "${B}", "B": "${C}", "C": "${B}"}, "in a circle: B → C → B"),
        ({f"A{number}": f"${{A{number + 1}}}" for number in range(5000)}, "more than 100 deep"),
        ({"A0": "x" * 999} | {f"A{number}": f"${{A{number - 1}}}" * 9 for number in range(1, 50)}, "longer than"),
    ],
)
def test_what_cannot_be_replaced_is_named(env: dict[str, str], why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        expanded(env, BASE)


def test_a_path_that_nobody_sets_is_that_of_engines() -> None:
    assert expanded({"PATH": "/x:${PATH}"}, {})["PATH"].startswith("/x:/usr/local/sbin:")
    assert "PATH" not in expanded({"A": "a"}, {})
