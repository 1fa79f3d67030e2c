"""Signed indexes, and forgeries of them."""

from __future__ import annotations

import lzma
import time
from pathlib import Path

import pytest

from oci_builder.debian.recipe import Suite
from oci_builder.debian.signed import Release, unpack_index, verify_release
from oci_builder.errors import ArchiveIndexError, FileProblem
from tests.support.debian import clearsigned, public_key, release

SUITE = Suite("debian", "bookworm")
PATH = "main/binary-amd64/Packages"
INDEX = b"Package: a\n"
FILES = {PATH: INDEX, f"{PATH}.xz": lzma.compress(INDEX)}
DAY = 86400


@pytest.fixture
def keys(tmp_path: Path) -> list[Path]:
    (tmp_path / "key.gpg").write_bytes(public_key())
    return [tmp_path / "key.gpg"]


def verified(document: bytes, keys: list[Path], now: int | None = None) -> Release:
    return verify_release(document, SUITE, keys=keys, now=int(time.time()) if now is None else now)


def test_a_signed_index_is_believed(keys: list[Path]) -> None:
    found = verified(clearsigned(release("bookworm", FILES, date=1_700_000_000)), keys)
    assert (found.date, len(found.signers), found.by_hash) == (1_700_000_000, 1, False)
    assert unpack_index(FILES[f"{PATH}.xz"], found, PATH) == INDEX


@pytest.mark.parametrize(("before", "after"), [(b"Codename: bookworm\n\n", b""), (b"", b"Codename: bookworm\n")])
def test_text_around_the_signed_block_is_refused(before: bytes, after: bytes, keys: list[Path]) -> None:
    with pytest.raises(ArchiveIndexError, match="not one signed block"):
        verified(before + clearsigned(release("bookworm", FILES)) + after, keys)


def test_empty_lines_around_the_signed_block_are_nothing(keys: list[Path]) -> None:
    assert verified(b"\n" + clearsigned(release("bookworm", FILES)) + b"\n\n", keys).files


def test_a_changed_letter_breaks_the_signature(keys: list[Path]) -> None:
    document = clearsigned(release("bookworm", FILES)).replace(b"Origin: Debian", b"Origin: Debiam")
    with pytest.raises(ArchiveIndexError, match="no valid signature"):
        verified(document, keys)


@pytest.mark.parametrize("document", [b"", b"Codename: bookworm\n", b"\xff" * 99])
def test_what_is_not_signed_is_refused(document: bytes, keys: list[Path]) -> None:
    with pytest.raises(ArchiveIndexError):
        verified(document, keys)


def test_somebody_elses_signature_does_not_count(keys: list[Path]) -> None:
    with pytest.raises(ArchiveIndexError, match="no valid signature"):
        verified(clearsigned(release("bookworm", FILES), who="stranger"), keys)


def test_without_keys_nothing_is_believed() -> None:
    with pytest.raises(ArchiveIndexError):
        verified(clearsigned(release("bookworm", FILES)), [])


def test_an_index_from_the_future_is_refused(keys: list[Path]) -> None:
    document = clearsigned(release("bookworm", FILES, date=1_700_000_000 + DAY))
    with pytest.raises(ArchiveIndexError, match="future") as raised:
        verified(document, keys, now=1_700_000_000)
    assert "clock" in (raised.value.hint or "")


def test_an_expired_index_is_refused(keys: list[Path]) -> None:
    until = "Valid-Until: Wed, 15 Nov 2023 00:00:00 UTC\n"
    document = clearsigned(release("bookworm", FILES, date=1_700_000_000, more=until))
    assert verified(document, keys, now=1_700_000_000 + 600).date == 1_700_000_000
    with pytest.raises(ArchiveIndexError, match="expired on Wed, 15 Nov 2023"):
        verified(document, keys, now=1_700_000_000 + 30 * DAY)


def test_a_list_of_packages_that_was_changed_is_refused(keys: list[Path]) -> None:
    found = verified(clearsigned(release("bookworm", FILES)), keys)
    for packed in (lzma.compress(INDEX + b"x"), FILES[f"{PATH}.xz"][:-1], b""):
        with pytest.raises(ArchiveIndexError, match="not the one InRelease names"):
            unpack_index(packed, found, PATH)


def test_a_packed_list_that_unpacks_to_something_else_is_refused(keys: list[Path]) -> None:
    bomb = lzma.compress(bytes(1 << 20))
    found = verified(clearsigned(release("bookworm", {PATH: INDEX, f"{PATH}.xz": bomb})), keys)
    with pytest.raises(ArchiveIndexError, match="not the one InRelease names"):
        unpack_index(bomb, found, PATH)


def test_a_packed_list_that_does_not_unpack_is_refused(keys: list[Path]) -> None:
    found = verified(clearsigned(release("bookworm", {PATH: INDEX, f"{PATH}.xz": b"junk, and more of it"})), keys)
    with pytest.raises(ArchiveIndexError, match="cannot be unpacked"):
        unpack_index(b"junk, and more of it", found, PATH)


def test_a_missing_architecture_is_named(keys: list[Path]) -> None:
    found = verified(clearsigned(release("bookworm", FILES)), keys)
    with pytest.raises(ArchiveIndexError, match="lists no main/binary-arm64/Packages"):
        found.listed("main/binary-arm64/Packages")


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "key.gpg").write_bytes(b"hello")
    with pytest.raises(FileProblem, match=r"key\.gpg"):
        verified(clearsigned(release("bookworm", FILES)), [tmp_path / "key.gpg"])
