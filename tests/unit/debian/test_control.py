"""Control files and dependency fields."""

from __future__ import annotations

import pytest

from oci_builder.debian.control import Dependency, dependencies, provides, stanza, stanzas
from oci_builder.errors import PackageError

INDEX = b"Package: a\nVersion: 1\n\nPackage: ab\nVersion: 2\nDescription: x\n y\n\nPackage: a\nVersion: 3"


def test_fields_are_read_by_lower_case_name_and_folded_lines_joined() -> None:
    assert stanza("Package: a\nSHA256:\n one\n two\n") == {"package": "a", "sha256": "\none\ntwo"}


def test_only_the_packages_asked_for_are_read() -> None:
    assert [fields["version"] for fields in stanzas(INDEX, {"a"})] == ["1", "3"]
    assert [fields["version"] for fields in stanzas(INDEX, {"ab"})] == ["2"]
    assert list(stanzas(b"", {"a"})) == []
    assert list(stanzas(b"Package: a", {"a"})) == [{"package": "a"}]


def test_alternatives_and_versions_of_a_dependency() -> None:
    fields = {"depends": "libc6 (>= 2.36), awk | mawk:any (<< 2),\n perl-base", "pre-depends": "dpkg"}
    assert list(dependencies(fields, "pre-depends", "depends")) == [
        [Dependency("dpkg")],
        [Dependency("libc6", ">=", "2.36")],
        [Dependency("awk"), Dependency("mawk", "<<", "2", "any")],
        [Dependency("perl-base")],
    ]


def test_a_dependency_that_cannot_be_read_names_its_package() -> None:
    with pytest.raises(PackageError, match=r"^a: .*'libc6 \(2.36\)'"):
        list(dependencies({"package": "a", "depends": "libc6 (2.36)"}, "depends"))


def test_a_package_stands_in_for_names_and_never_for_one_of_two() -> None:
    assert [str(one) for one in provides({"provides": "mailer (= 3), plain"})] == ["mailer (= 3)", "plain"]
    with pytest.raises(PackageError, match="demo: it provides a or b"):
        list(provides({"package": "demo", "provides": "a | b"}))
