from __future__ import annotations

import contextlib
import tarfile
from pathlib import Path

import pytest

from oci_builder.errors import UnsafeArchive
from oci_builder.tree.tarread import extract_archive
from tests.support.sdists import symlink, write_tar


def device(name: str) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type = tarfile.CHRTYPE
    return header


def fifo(name: str) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type = tarfile.FIFOTYPE
    return header


def test_a_plain_archive_is_unpacked_once_and_its_folder_returned(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar.gz", {"a/x": "1", "a/y": "2"}, [symlink("a/z", "x")])
    folder = extract_archive(path, tmp_path / "into", max_members=3, max_bytes=2)
    assert folder == tmp_path / "into" / "a"
    assert {entry.name: entry.read_text() for entry in folder.iterdir()} == {"x": "1", "y": "2", "z": "1"}


def test_an_archive_without_one_folder_at_its_top_is_the_folder_itself(tmp_path: Path) -> None:
    for number, files in enumerate(({"a/x": "1", "y": "2"}, {"x": "1"})):
        path = write_tar(tmp_path / f"{number}.tar.gz", files)
        assert extract_archive(path, tmp_path / f"{number}", max_members=3, max_bytes=2) == tmp_path / f"{number}"


@pytest.mark.parametrize(
    "files, more",
    [
        ({"../x": "1"}, []),
        ({"/x": "1"}, []),
        ({"a/../../x": "1"}, []),
        ({}, [symlink("a", "/etc")]),
        ({}, [symlink("a", "../x")]),
        ({}, [device("null")]),
        ({}, [fifo("pipe")]),
    ],
)
def test_what_would_land_outside_or_is_no_file_is_refused(
    tmp_path: Path, files: dict[str, str], more: list[tarfile.TarInfo]
) -> None:
    path = write_tar(tmp_path / "inner" / "a.tar.gz", files, more)
    with pytest.raises(UnsafeArchive, match=r"a\.tar\.gz"):
        extract_archive(path, tmp_path / "into", max_members=10, max_bytes=100_000)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"inner", "into"}


def test_the_chain_of_links_that_gets_out_of_tarsafe_alone_leads_nowhere(tmp_path: Path) -> None:
    more = [symlink("a", "."), symlink("b", "a/.."), tarfile.TarInfo("b/evil")]
    path = write_tar(tmp_path / "inner" / "a.tar.gz", {}, more)
    # Since 3.11.13, 3.12.11 and 3.13.4 (CVE-2025-4330) the filter writes b as a link to ".", which stays inside.
    with contextlib.suppress(UnsafeArchive):
        extract_archive(path, tmp_path / "into", max_members=10, max_bytes=100_000)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"inner", "into"}
    assert {entry.name for entry in (tmp_path / "inner").iterdir()} == {"a.tar.gz"}


def test_limits_of_members_and_bytes_are_kept(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar.gz", {"x": "1" * 1000, "y": ""})
    with pytest.raises(UnsafeArchive, match="more than 1 members"):
        extract_archive(path, tmp_path / "into", max_members=1, max_bytes=10_000_000)
    with pytest.raises(UnsafeArchive, match="more than 999 bytes"):
        extract_archive(path, tmp_path / "into", max_members=10, max_bytes=999)


def test_a_bomb_is_noticed_before_it_is_unpacked(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar.gz", {"x": b"\0" * 10_000_000})
    with pytest.raises(UnsafeArchive, match="unpacks to more than"):
        extract_archive(path, tmp_path / "into", max_members=10, max_bytes=100_000)


@pytest.mark.parametrize("content", [b"", b"not gzip at all", b"\x1f\x8b\x08\0\0\0\0\0\0\xffcut"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(UnsafeArchive):
        extract_archive(path, tmp_path / "into", max_members=10, max_bytes=100_000)
