"""Names of locales, held to what the C library of this machine makes of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oci_builder.debian.localenames import LocaleName, charset_of, find_locale, has_locale, names_in, nearest
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import directory, file
from oci_builder.tree.tree import Tree
from tests.support.real import need

NAMES = [
    *("de_DE.UTF-8", "de_DE.utf8", "de_DE.UTF8", "de_DE.utf-8", "de_DE", "de_DE@euro", "de_DE.ISO-8859-15@euro"),
    *("de_DE.8859-15@euro", "aa_ER", "aa_ER.UTF-8", "aa_ER.ISO-8859-1", "de_de.UTF-8", "de", "de_DE.UTF-8@euro"),
    *("C", "POSIX", "C@x", "C.ISO-8859-1", "POSIX.UTF-8"),
]
TRY = """
import locale, sys
for name in sys.argv[1:]:
    try:
        locale.setlocale(locale.LC_ALL, name)
        print(name)
    except locale.Error:
        pass
"""
FOLDERS = [
    "C.utf8",
    "de_AT.utf8",
    "de_BE.utf8",
    "de_DE",
    "de_DE.utf8",
    "de_DE@euro",
    "en_IN",
    "en_US.utf8",
    "pt_BR.utf8",
]


def tree_of(folder: Path) -> Tree:
    """What lies in ``folder`` as the locales of a root filesystem."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return Tree(file(f"usr/lib/locale/{path.relative_to(folder)}", path.read_bytes(), origin="x 1") for path in paths)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Locales that localedef has compiled: one called after its character set, one that is not, one of another."""
    need("localedef", root=False)
    folder = tmp_path_factory.mktemp("locales")
    for source, charset, name in (("POSIX", "UTF-8", "de_DE.utf8"), ("POSIX", "ISO-8859-15", "de_DE@euro")):
        subprocess.run(["localedef", "--no-archive", "-c", "-i", source, "-f", charset, folder / name], check=False)
    if not (folder / "de_DE@euro" / "LC_CTYPE").is_file():
        pytest.skip("localedef has no sources here")
    shutil.copytree(folder / "de_DE.utf8", folder / "aa_ER")
    return folder


@pytest.mark.real
def test_a_locale_is_found_where_the_c_library_finds_it(compiled: Path) -> None:
    environment = {**os.environ, "LOCPATH": str(compiled)}
    said = subprocess.run(
        [sys.executable, "-c", TRY, *NAMES], env=environment, capture_output=True, text=True, check=True
    )
    tree = tree_of(compiled)
    with MappedFiles() as sources:
        assert [name for name in NAMES if has_locale(tree, name, sources)] == said.stdout.split()
        ctype = tree.paths[tree.resolve("usr/lib/locale/de_DE@euro/LC_CTYPE")]
        assert charset_of(ctype, sources) == "ISO-8859-15"


@pytest.mark.real
def test_a_locale_of_the_archive_that_localedef_makes_is_there(compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "usr/lib/locale").mkdir(parents=True)
    for name in ("de_DE.utf8", "de_DE@euro"):
        argv = ["localedef", f"--prefix={tmp_path}", "--add-to-archive", str(compiled / name)]
        subprocess.run(argv, check=True, capture_output=True)
    tree = tree_of(tmp_path / "usr/lib/locale")
    assert list(tree.paths) == ["usr/lib/locale/locale-archive"]
    with MappedFiles() as sources:
        there = [
            name for name in ("de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "en_US") if has_locale(tree, name, sources)
        ]
        assert there == ["de_DE.UTF-8", "de_DE.utf8"]


@pytest.mark.parametrize("data", [b"", b"\x09\x01\x02\xde", b"\x09\x01\x02\xde" + b"\xff" * 40, b"x" * 100])
def test_what_is_no_locale_is_none(data: bytes) -> None:
    names = ("locale-archive", "de_DE/LC_CTYPE", "fr_FR.utf8")
    entries = [file(f"usr/lib/locale/{name}", data, origin="x 1") for name in names]
    tree = Tree([*entries, directory("usr/lib/locale/en_US.utf8/LC_CTYPE", origin="x 1")])
    with MappedFiles() as sources:
        for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "en_US.UTF-8", "../../etc", ""):
            assert not has_locale(tree, name, sources) and find_locale(tree, name, sources) is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("de_de.UTF-8", "de_DE.UTF-8"),
        ("de-DE.utf8", "de_DE.UTF-8"),
        ("de", "de_DE.UTF-8"),
        ("DE_DE", "de_DE.UTF-8"),
        ("de_DE.ISO-8859-7", "de_DE.UTF-8"),
        ("en_IN.ISO-8859-1", "en_IN"),
        ("en_UK.UTF-8", "en_US.UTF-8"),
        ("pt_BR.UTF-9", "pt_BR.UTF-8"),
        ("klingon", None),
    ],
)
def test_the_nearest_name_is_the_one_that_was_meant(text: str, meant: str | None) -> None:
    tree = Tree(file(f"usr/lib/locale/{name}/LC_CTYPE", b"", origin="x 1") for name in FOLDERS)
    assert next(iter(nearest(text, names_in(tree))), None) == meant


def test_a_name_has_parts() -> None:
    assert LocaleName.parse("ca_ES.UTF-8@valencia") == LocaleName("ca_ES", "utf8", "valencia", "UTF-8")
    for text in ("", ".UTF-8", "a/b", "de_DE.", "de_DE@", "de_DE\n", "x" * 3 + "_"):
        assert LocaleName.parse(text) is None
