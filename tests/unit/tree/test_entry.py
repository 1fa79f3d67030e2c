from __future__ import annotations

import pytest

from oci_builder.errors import UnsafePath
from oci_builder.tree.entry import Kind, directory, entry_path, file, symlink


@pytest.mark.parametrize(
    "path", ["a", "usr/bin/mypy", ".hidden", "a/..b", "a/b..", "...", "wh.a", "größe/☃", "a b", "a\n"]
)
def test_an_ordinary_path_is_allowed(path: str) -> None:
    assert entry_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc",
        "a/",
        "a//b",
        ".",
        "..",
        "a/..",
        "../a",
        "a/../b",
        "./a",
        "a/.",
        "a\0b",
        ".wh.a",
        "a/.wh..wh..opq",
    ],
)
def test_a_path_that_leaves_or_means_something_is_refused(path: str) -> None:
    with pytest.raises(UnsafePath):
        entry_path(path)


def test_a_path_that_has_no_bytes_is_refused_and_says_whose_it_is() -> None:
    with pytest.raises(UnsafePath, match="x 1: refusing path"):
        entry_path("a\udc80", origin="x 1")


def test_the_builders_fill_in_what_the_kind_implies() -> None:
    assert directory("d", origin="t").kind is Kind.DIRECTORY
    assert file("f", b"abc", origin="t").size == 3
    assert (symlink("l", "/x", origin="t").mode, symlink("l", "/x", origin="t").target) == (0o777, "/x")
