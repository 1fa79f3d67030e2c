"""Versions compared as dpkg compares them."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_builder.debian.versions import satisfies, upstream, version_key

ORDERED = [
    *("0.9~~", "0.9~~a", "0.9~", "0.9", "0.9-0+a", "0.9-1~bpo1", "0.9-1", "0.9-1+b1", "0.9+x-1", "0.10", "1.0a"),
    *("1.0+dfsg", "1.0.1", "1:0.1", "2:0"),
]


@pytest.mark.parametrize(("older", "newer"), list(itertools.combinations(ORDERED, 2)))
def test_an_older_version_sorts_first(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)


def test_leading_zeros_and_a_missing_revision_say_nothing() -> None:
    assert version_key("1.02-0") == version_key("1.2")
    assert version_key("0:1") == version_key("1")


@pytest.mark.parametrize(
    ("version", "relation", "wanted", "holds"),
    [
        ("2.36-9", ">=", "2.35", True),
        ("2.36-9", ">>", "2.36-9", False),
        ("2.36-9", "<<", "3", True),
        ("2.36-9", "<=", "2.36-8", False),
        ("2.36-9", "=", "2.36-9", True),
        ("2.36-9", "", "", True),
    ],
)
def test_relations(version: str, relation: str, wanted: str, holds: bool) -> None:
    assert satisfies(version, relation, wanted) is holds


def test_the_upstream_part_is_what_python_calls_its_version() -> None:
    assert [upstream(text) for text in ("3.11.2-6+deb12u9", "1:2.36-9", "3.0.22-1~deb12u2", "")] == [
        *("3.11.2", "2.36", "3.0.22", "")
    ]


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg")
@settings(max_examples=60, deadline=None)
@given(pair=st.tuples(*[st.from_regex(r"[0-9]([0-9a-c.+~]{0,5})(-[0-9a-c+~]{1,3})?", fullmatch=True)] * 2))
def test_dpkg_agrees(pair: tuple[str, str]) -> None:
    older = version_key(pair[0]) < version_key(pair[1])
    assert (
        subprocess.run(["dpkg", "--compare-versions", pair[0], "lt", pair[1]], check=False).returncode == 0
    ) == older
