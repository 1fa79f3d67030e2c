"""Zip archives of the internet."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest

from oci_builder.errors import OcibuildError, UnsafeArchive
from oci_builder.tree.zipread import extract_zip


def made(place: Path, *members: tuple[str, int, bytes]) -> Path:
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode, data in members:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, data)
    return place


def extract(archive: Path, **limits: int) -> Path:
    into = archive.parent / "into"
    extract_zip(archive, into, **{"max_members": 10, "max_bytes": 10_000, **limits})
    return into


def test_files_lie_in_their_folders_and_can_be_executed_if_they_could(tmp_path: Path) -> None:
    members = (("bin/", 0o40755, b""), ("bin/run", 0o100755, b"#!"), ("doc/a.txt", 0o100600, b"a"))
    into = extract(made(tmp_path / "x.zip", *members))
    assert (into / "bin" / "run").read_bytes() == b"#!" and (into / "doc" / "a.txt").read_bytes() == b"a"
    assert os.access(into / "bin" / "run", os.X_OK)
    assert stat.S_IMODE((into / "doc" / "a.txt").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "member",
    [
        ("../out", 0o100644, b"x"),
        ("/etc/out", 0o100644, b"x"),
        ("a/../../out", 0o100644, b"x"),
        ("link", 0o120777, b"/etc"),
        ("pipe", 0o010644, b""),
        ("nul\x00name/../../x", 0o100644, b"x"),
    ],
)
def test_nothing_leads_out_of_the_folder(tmp_path: Path, member: tuple[str, int, bytes]) -> None:
    try:
        into = extract(made(tmp_path / "x.zip", member))
    except OcibuildError:
        pass
    else:
        assert all(path.is_relative_to(into) and not path.is_symlink() for path in into.rglob("*"))
    assert {path.name for path in tmp_path.iterdir()} <= {"x.zip", "into"}


def test_a_file_of_a_name_that_another_has_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), pytest.raises(UnsafeArchive):
        extract(made(tmp_path / "x.zip", ("a", 0o100644, b"1"), ("a", 0o100644, b"2")))


def test_what_is_too_much_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    archive = made(tmp_path / "x.zip", *((f"{number}", 0o100644, b"0" * 3000) for number in range(4)))
    for limits in ({"max_members": 3}, {"max_bytes": 11_999}):
        with pytest.raises(UnsafeArchive, match="more than"):
            extract(archive, **limits)
        assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"no zip at all"])
def test_what_is_no_zip_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(UnsafeArchive, match=r"x\.zip"):
        extract(tmp_path / "x.zip")
