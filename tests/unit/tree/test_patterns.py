"""Patterns in the syntax of .dockerignore."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_builder.tree.patterns import Patterns

# (patterns, path, whether it is matched), each tried with moby's own patternmatcher in its port to Python.
TOLD = [
    (["*.pyc"], "a.pyc", True),
    (["*.pyc"], "lib/a.pyc", False),
    (["**/*.pyc"], "a.pyc", True),
    (["**/*.pyc"], "lib/deep/a.pyc", True),
    (["lib"], "lib/deep/a.pyc", True),
    (["lib/"], "lib", True),
    (["/lib"], "lib/a", True),
    (["./lib/../doc"], "doc/a", True),
    (["../lib"], "lib", False),
    (["l?b"], "lib", True),
    (["l?b"], "l/b", False),
    (["a**b"], "a/x/b", True),
    (["a**b"], "axb", False),
    (["**b"], "ab", True),
    (["**"], "any/thing", True),
    (["[a-c].txt"], "b.txt", True),
    (["[^a].txt"], "a.txt", False),
    ([r"a\*"], "a*", True),
    ([r"a\*"], "ab", False),
    (["a.c"], "abc", False),
    (["*", "!keep"], "keep", False),
    (["*", "!keep"], "keep/deep", False),
    (["*", "!keep", "keep/not"], "keep/not", True),
    (["**/*.md", "!docs"], "docs/a.md", True),
    (["docs", "!docs/a.md"], "docs/a.md", False),
    (["docs", "!docs/a.md"], "docs/b.md", True),
    (["!docs"], "docs", False),
    (["# all", "", "  "], "# all", False),
    (["."], "a", False),
]


@pytest.mark.parametrize(("globs", "path", "matched"), TOLD)
def test_a_path_is_matched_as_docker_matches_it(globs: list[str], path: str, matched: bool) -> None:
    assert Patterns(globs).match(path) is matched


@pytest.mark.parametrize("glob", ["[a", "[]", "[b-a]", "[?--]", "a\\", "!", "! "])
def test_a_pattern_that_docker_refuses_is_refused(glob: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Patterns([glob])


def test_the_expression_is_what_is_matched_and_none_where_something_is_taken_back() -> None:
    found = Patterns(["a/*", "b"]).expression
    assert found is not None
    assert [bool(re.fullmatch(found, path)) for path in ("a/x", "a/x/y", "b", "b/c", "a", "c")] == [True] * 4 + [
        False
    ] * 2
    assert Patterns(["a", "!b"]).expression is None and Patterns([]).expression is None


PARTS = st.lists(st.sampled_from(["a", "b", ".", "ab", "a b"]), min_size=1, max_size=4).map("/".join)
GLOBS = st.lists(st.text("ab*?/[]!\\.^- ", max_size=6), max_size=4)


@given(GLOBS, PARTS)
def test_any_pattern_is_read_or_refused_and_matches_with_a_folder_all_in_it(globs: list[str], path: str) -> None:
    try:
        patterns = Patterns(globs)
    except ValueError:
        return
    matched = patterns.match(path)
    if matched and not patterns.takes_back:
        assert patterns.match(f"{path}/below")
    if patterns.expression is not None:
        assert bool(re.fullmatch(patterns.expression, path, re.DOTALL)) is matched


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*a" * 40 + "b", "a" * 200),
        ("**/" * 40 + "b", "a/" * 100 + "c"),
        ("**/*a*a*a*b/" * 9 + "c", "a" * 20 + "/a" * 100),
        ("**/*/" * 20 + "b", "a/" * 100 + "c"),
        ("*a/" * 30 + "b", "aaa/" * 60 + "c"),
        ("**a**b**c", "ab" * 50),
    ],
)
def test_no_pattern_takes_long(glob: str, path: str) -> None:
    assert not Patterns([glob]).match(path)


def test_a_pattern_that_could_take_long_whatever_is_done_is_refused() -> None:
    with pytest.raises(ValueError, match="more \\*\\* within names"):
        Patterns(["**a" * 30 + "b"])


def test_a_path_can_be_as_deep_as_a_system_lets_it() -> None:
    assert Patterns(["**/b"]).match("a/" * 2000 + "b")
