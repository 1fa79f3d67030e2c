"""Versions and control files, as dpkg itself has them."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_builder.debian.control import stanza
from oci_builder.debian.versions import satisfies, version_key
from tests.fuzz.archives import control_tar
from tests.support.debian import ar

dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg says what is right")

_TAIL = st.text("019az.+~", max_size=6)
_PARTS = st.tuples(st.sampled_from(["", "0:", "1:", "02:"]), st.sampled_from("0129"), _TAIL)
VERSIONS = st.builds(
    lambda parts, revision: "".join(parts) + (f"-{revision}" if revision else ""),
    _PARTS,
    st.one_of(st.just(""), st.text("019az.+~", min_size=1, max_size=5)),
)
RELATIONS = {"<<": "lt", "<=": "le", "=": "eq", ">=": "ge", ">>": "gt"}


@dpkg
@settings(max_examples=60, deadline=None)
@given(VERSIONS, VERSIONS)
def test_versions_compare_as_in_dpkg(one: str, other: str) -> None:
    for relation, word in RELATIONS.items():
        said = subprocess.run(["dpkg", "--compare-versions", one, word, other], capture_output=True, check=False)
        assert satisfies(one, relation, other) is (said.returncode == 0), (one, relation, other, said.stderr)


@given(st.lists(VERSIONS, min_size=2, max_size=6))
def test_versions_have_one_order(versions: list[str]) -> None:
    ordered = sorted(versions, key=version_key)
    assert all(not version_key(first) > version_key(second) for first, second in itertools.combinations(ordered, 2))


_WORDS = st.text("ab:#-é\t", max_size=8).map(str.strip)
_NAMES = st.sampled_from(["DESCRIPTION", "X-Own", "x-two", "Homepage", "Section"])
_FOLDED = st.lists(st.tuples(st.sampled_from([" ", "\t", "   "]), _WORDS.filter(bool)), max_size=3)


@dpkg
@settings(max_examples=25, deadline=None)
@given(st.dictionaries(_NAMES, st.tuples(_WORDS.filter(bool), _FOLDED), min_size=1))
def test_fields_are_read_as_dpkg_reads_them(fields: dict[str, tuple[str, list[tuple[str, str]]]]) -> None:
    text = "Package: demo\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\n" + "".join(
        f"{name}: {value}\n" + "".join(f"{blank}{line}\n" for blank, line in folded)
        for name, (value, folded) in fields.items()
    )
    read = stanza(text)
    assert read["package"] == "demo" and {name.lower() for name in fields} <= set(read)
    with tempfile.TemporaryDirectory() as folder:
        deb = Path(folder, "x.deb")
        deb.write_bytes(
            ar({"debian-binary": b"2.0\n", "control.tar": control_tar(text.encode()), "data.tar": bytes(1024)})
        )
        for name in fields:
            said = subprocess.run(["dpkg-deb", "--field", deb, name], capture_output=True, check=True).stdout.decode()
            assert [line.strip() for line in said.splitlines()] == (read[name.lower()].split("\n") if said else [])
