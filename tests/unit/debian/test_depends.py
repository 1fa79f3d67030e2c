"""Dependencies by a small index, resolved by us and by apt-get."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.debian.archive import BinaryPackage, PackageIndex
from oci_builder.debian.control import stanza
from oci_builder.debian.depends import Resolution, resolve
from oci_builder.debian.recipe import Suite
from oci_builder.debian.signed import Release
from oci_builder.digest import Digest
from oci_builder.errors import PackageError
from tests.support.aptoracle import AptOracle

INDEX = (Path(__file__).parent / "index.txt").read_bytes()
BASE = [
    {"package": "here", "version": "2.5-1", "architecture": "all"},
    {"package": "other", "version": "1", "architecture": "all", "provides": "stands-here"},
]
PLACE = "Filename: pool/x.deb\nSize: 1\nSHA256: " + "0" * 64


def released(name: str) -> Release:
    digest = Digest("0" * 64)
    return Release(suite=Suite("debian", name), date=1, inrelease=digest, signers=(), by_hash=True, files={})


def index_of(*texts: bytes) -> PackageIndex:
    """What several suites have, each package with a file."""
    whole = [b"\n\n".join(each.strip() + b"\n" + PLACE.encode() for each in text.split(b"\n\n")) for text in texts]
    return PackageIndex([(released(f"suite-{number}"), text) for number, text in enumerate(whole)], "amd64")


def resolved(*names: str, cut: tuple[str, ...] = (), index: bytes = INDEX) -> Resolution:
    return resolve(index_of(index), [BinaryPackage(fields) for fields in BASE], names, cut)


def names_of(found: Resolution) -> list[str]:
    return [package.name for package in found.packages]


ASKED = {
    "second": "second",
    "virtual-user": "mta-usual virtual-user",
    "mta-fan": "mta-fan mta-small virtual-user",
    "virtual-user mta-small": "mta-small virtual-user",
    "mta-small mta-usual": None,
    "either": "either second",
    "either third": "either third",
    "chooses-what-is-there third": "chooses-what-is-there third",
    "versioned": "grown versioned",
    "too-new": None,
    "too-old": None,
    "needs-too-new": "needs-too-new second third",
    "only-too-new": None,
    "wants-api": "says-version wants-api",
    "wants-newer-api": None,
    "wants-version-of-plain": None,
    "wants-plain": "says-version wants-plain",
    "wants-any": "interpreter wants-any",
    "wants-any-of-one-that-is-not": None,
    "wants-foreign": None,
    "wants-native": "interpreter wants-native",
    "left right": None,
    "needs-right": "helper-of-either needs-right right",
    "helper-of-either": "helper-of-either left",
    "breaks-old right": "breaks-old right",
    "breaks-new right": None,
    "circle-one": "circle-one circle-two third",
    "wants-base": "wants-base",
    "wants-newer-base": None,
    "excludes-base-or-not": "excludes-base-or-not second",
    "nothing": None,
    "for-others": None,
}
"""What is asked for, and what then comes; None where it is refused."""


@pytest.mark.parametrize("asked", ASKED)
def test_what_comes_is_what_is_needed_and_no_more(asked: str) -> None:
    wanted = ASKED[asked]
    if wanted is None:
        with pytest.raises(PackageError):
            resolved(*asked.split())
    else:
        assert names_of(resolved(*asked.split())) == wanted.split()


@pytest.mark.real
def test_apt_says_the_same(tmp_path: Path) -> None:
    readable = b"\n\n".join(each for each in INDEX.split(b"\n\n") if not each.startswith(b"Package: unreadable"))
    filed = b"\n\n".join(each.strip() + b"\n" + PLACE.encode() for each in readable.split(b"\n\n"))
    oracle = AptOracle(tmp_path, filed + b"\n", BASE)
    said: dict[str, str | None] = {}
    versions: dict[str, set[tuple[str, str]]] = {}
    for asked in ASKED:
        found = oracle.installs(*asked.split())
        said[asked] = None if found is None else " ".join(sorted(name for name, _ in found))
        versions[asked] = found or set()
    # The base is not changed: apt would remove a package of it.
    assert said == ASKED | {"excludes-base-or-not": None}
    assert versions["versioned"] == {(each.name, each.version) for each in resolved("versioned").packages}


def test_what_is_cut_is_left_out_with_all_that_it_alone_needs() -> None:
    found = resolved("with-script", cut=("toolbox",))
    assert names_of(found) == ["second", "with-script"]
    assert found.left_out == {"toolbox": ("with-script",)}


def test_what_is_named_is_there_though_it_is_cut() -> None:
    found = resolved("with-script", "toolbox", cut=("toolbox",))
    assert names_of(found) == ["second", "third", "toolbox", "with-script"]
    assert found.left_out == {}


def test_who_stands_in_for_a_virtual_package_is_cut_by_its_own_name() -> None:
    assert resolved("wants-tools", cut=("stands-in-for-toolbox",)).left_out == {
        "stands-in-for-toolbox": ("wants-tools",)
    }
    assert resolved("wants-tools", cut=("tools",)).left_out == {"tools": ("wants-tools",)}


def test_a_package_of_the_base_stays_as_it_is() -> None:
    assert names_of(resolved("here")) == []


def test_the_newest_version_of_all_suites_is_taken_whichever_has_it() -> None:
    older, newer = b"Package: a\nVersion: 1:1\nArchitecture: all", b"Package: a\nVersion: 1:1.0~2\nArchitecture: all"
    for texts in ((older, newer), (newer, older)):
        index = index_of(*texts)
        package = index.newest("a")
        assert package is not None and package.version == "1:1.0~2"
        assert index.pin("a").suite == f"suite-{texts.index(newer)}"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("mta", r"mta: in none of debian/suite-0"),
        ("too-new", r"too-new 1: it needs grown \(>> 3\): grown is 2\.1-1\+b1 there"),
        ("only-too-new", r"only-too-new 1: it needs too-new, which needs grown \(>> 3\): grown is"),
        ("wants-newer-base", r"it needs here \(>= 9\): here is 2\.5-1 there"),
        ("left right", r"right 1: it cannot be beside left"),
        ("excludes-base", r"excludes-base 1: it cannot be beside other"),
        ("unreadable", r"unreadable: a dependency that cannot be read: '\(>= 1\) nothing'"),
    ],
)
def test_a_refusal_names_the_chain_that_leads_to_it(asked: str, why: str) -> None:
    with pytest.raises(PackageError, match=why):
        resolved(*asked.split())


def test_the_hint_for_a_virtual_package_names_who_stands_in_for_it() -> None:
    with pytest.raises(PackageError) as caught:
        resolved("mta")
    assert caught.value.hint == "mta is a virtual package; name one that provides it: mta-usual, mta-small"


def test_a_chain_of_any_length_and_a_dead_end_at_every_step_end() -> None:
    many = 3000
    texts = [
        f"Package: p{n}\nVersion: 1\nArchitecture: all\nDepends: p{n + 1} | gone{n}, p{n + 2}" for n in range(many)
    ]
    whole = "\n\n".join(texts).encode()
    with pytest.raises(PackageError, match=rf"it needs p1 .*… .*needs p{many} \| gone2999: in none of") as caught:
        resolved("p0", index=whole)
    assert len(str(caught.value)) < 1000
    last = "".join(f"\n\nPackage: p{many + n}\nVersion: 1\nArchitecture: all" for n in range(2))
    assert len(resolved("p0", index=whole + last.encode()).packages) == many + 2


def test_fields_that_go_on_in_further_lines_are_read() -> None:
    fields = stanza("Package: a\nVersion: 1\nProvides: b,\n c (= 2)\nReplaces: d,\n e (<< 3)")
    package = BinaryPackage(fields)
    assert [str(each) for each in (*package.provided, *package.replaced)] == ["b", "c (= 2)", "d", "e (<< 3)"]
    text = b"Package: a\nVersion: 1\nArchitecture: all\nProvides: b,\n c (= 2)"
    assert [each.name for each in index_of(text).providers("c")] == ["a"]
