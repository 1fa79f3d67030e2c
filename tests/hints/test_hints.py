"""Every hint that can be followed here is, to the letter, and leads on."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import oci_builder
from oci_builder import errors
from tests.hints.more import MORE
from tests.hints.tries import TRIES, UNTRIED
from tests.hints.trying import Try, hint_in, said
from tests.support.tiny import make_tiny

ALL = [*TRIES, *MORE]
KINDS = {
    name
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, errors.OcibuildError) and kind is not errors.OcibuildError
}


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_a_hint_followed_to_the_letter_leads_on(each: Try, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = make_tiny(tmp_path / "project")
    words = each.spoil(tiny)
    with monkeypatch.context() as patched:
        for name, value in each.environ.items():
            patched.setenv(name, value)
        code, text = said(words)
    assert code in (1, 2, 3), text
    found = re.search(each.hint, hint_in(text))
    assert found, text
    following = each.follow(tiny, found, words) or words
    code, after = said(following)
    assert hint_in(after) != hint_in(text), after
    if each.then:
        assert code != 0 and each.then in after, after
    else:
        assert code == 0, after


def with_hints() -> set[str]:
    """The classes of errors that are raised with a hint anywhere."""
    found: set[str] = set()
    for path in Path(oci_builder.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and any(keyword.arg == "hint" for keyword in node.keywords):
                found.add(getattr(node.func, "attr", getattr(node.func, "id", "")))
    return found & KINDS


def test_of_every_error_with_a_hint_one_is_tried_or_it_is_said_why_not() -> None:
    tried = {each.kind for each in ALL}
    assert with_hints() == tried | UNTRIED.keys()
    assert not tried & UNTRIED.keys()


def test_what_is_tried_is_an_error_of_its_kind() -> None:
    assert {each.kind for each in ALL} <= KINDS
