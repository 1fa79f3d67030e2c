"""Which of a host's sources are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.debian.aptsources import host_sources
from oci_builder.debian.recipe import Suite

SUITES = [Suite("debian", "bookworm"), Suite("debian-security", "bookworm-security")]
LINES = """
# deb http://commented/debian bookworm main
deb http://one/debian bookworm main contrib  # ours
deb-src http://one/debian bookworm main
deb [arch=amd64,i386 signed-by=/k.gpg] http://two/security bookworm-security main
deb http://three/debian trixie main
deb http://four/vendor bookworm vendor
"""
STANZAS = """# deb822
Types: deb deb-src
URIs: http://five/debian
Suites: bookworm bookworm-backports
Components: main non-free
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 x
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://six/debian
Suites: bookworm
Components: main
"""


@pytest.fixture
def host(tmp_path: Path) -> tuple[Path, Path]:
    parts = tmp_path / "parts"
    parts.mkdir()
    (tmp_path / "sources.list").write_text(LINES)
    (parts / "a.sources").write_text(STANZAS)
    (parts / "ignored.txt").write_text("deb http://seven/debian bookworm main\n")
    return tmp_path / "sources.list", parts


def test_only_sources_of_the_suites_are_taken(host: tuple[Path, Path]) -> None:
    text = host_sources(*host, SUITES, "arm64")
    places = [line.split()[1] for line in text.splitlines() if line.startswith("URIs")]
    assert places == ["http://one/debian", "http://two/security", "http://five/debian"]
    assert "bookworm-backports" not in text and "contrib" not in text


def test_the_architecture_is_the_one_asked_for_and_keys_are_kept(host: tuple[Path, Path]) -> None:
    text = host_sources(*host, SUITES, "arm64")
    assert text.count("Architectures: arm64\n") == 3 and "i386" not in text
    assert "signed-by: /k.gpg\n" in text
    assert "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n x\n" in text


def test_a_suite_that_the_host_does_not_use_comes_from_its_mirror_of_the_archive(host: tuple[Path, Path]) -> None:
    text = host_sources(*host, [Suite("debian", "forky"), Suite("debian", "trixie")], "amd64")
    places = [line for line in text.splitlines() if line.startswith(("URIs", "Suites"))]
    assert places == ["URIs: http://three/debian", "Suites: trixie", "URIs: http://one/debian", "Suites: forky"]


def test_a_suite_of_an_archive_that_the_host_has_no_mirror_of_is_nowhere(host: tuple[Path, Path]) -> None:
    assert host_sources(*host, [Suite("ubuntu", "noble")], "amd64") == ""


def test_a_host_without_them_gives_nothing(tmp_path: Path) -> None:
    assert host_sources(tmp_path / "none", tmp_path / "nowhere", SUITES, "amd64") == ""
