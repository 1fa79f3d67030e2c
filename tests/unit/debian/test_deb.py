"""Packages read, and packages that should not be."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from oci_builder.debian.deb import DebFile, read_deb
from oci_builder.errors import PackageError, UnsafePath
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Kind
from tests.support.debian import MTIME, Deb, ar


def read(folder: Path, data: bytes) -> DebFile:
    (folder / "x.deb").write_bytes(data)
    return read_deb(folder / "x.deb", folder / "spool", origin="x 1.0-1")


def test_every_kind_of_entry_is_read(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "usr/": b"",
        "usr/a": b"one",
        "usr/b": b"",
        "usr/link": "-> a",
        "usr/hard": "=> usr/a",
    }
    package = read(tmp_path, Deb(name="x", files=files, modes={"usr/a": 0o4755}).build())
    assert package.control == b"Package: x\nVersion: 1.0-1\nArchitecture: all\n"
    assert [(entry.path, entry.kind, entry.target) for entry in package.entries] == [
        ("usr", Kind.DIRECTORY, ""),
        ("usr/a", Kind.FILE, ""),
        ("usr/b", Kind.FILE, ""),
        ("usr/link", Kind.SYMLINK, "a"),
        ("usr/hard", Kind.HARDLINK, "usr/a"),
    ]
    assert {(entry.mtime, entry.origin) for entry in package.entries} == {(MTIME, "x 1.0-1")}
    assert package.entries[1].mode == 0o4755


def test_contents_are_spooled_one_after_the_other(tmp_path: Path) -> None:
    package = read(tmp_path, Deb(name="x", files={"a": b"one", "b": b"two" * 9}).build())
    with MappedFiles() as sources:
        read_back = [sources.read(entry.content, what="x") for entry in package.entries if entry.content]
    assert read_back == [b"one", b"two" * 9]


def test_a_package_of_ubuntus_is_packed_with_zstd(tmp_path: Path) -> None:
    data = Deb(name="x", files={"usr/a": b"one" * 999}, scripts={"conffiles": b"/usr/a\n"})
    plain = read(tmp_path, data.build())
    members = {"debian-binary": b"2.0\n"}
    for name, part in (("control", data.control_tar()), ("data", data.data_tar())):
        members[f"{name}.tar.zst"] = zstandard.compress(part, 3)
    packed = read(tmp_path, ar(members))
    assert packed.control == plain.control and packed.conffiles == plain.conffiles == ("usr/a",)
    assert [(each.path, each.sha256) for each in packed.entries] == [(e.path, e.sha256) for e in plain.entries]
    cut = zstandard.compress(data.data_tar(), 3)[:-9]
    with pytest.raises(PackageError, match=r"not a readable \.deb: the zstd stream is cut off"):
        read(tmp_path, ar({**members, "data.tar.zst": cut}))
    with pytest.raises(PackageError, match=r"not a readable \.deb"):
        read(tmp_path, ar({**members, "data.tar.zst": b"no zstd at all"}))


@pytest.mark.parametrize("path", ["../evil", "./a/../../evil", "/etc/passwd", "a/.wh.b"])
def test_a_path_that_leaves_the_tree_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(UnsafePath):
        read(tmp_path, Deb(name="x", files={path: b""}).build())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not an ar archive"),
        (b"!<arch>\n", "holds nothing"),
        (ar({"debian-binary": b"2.0\n"}), "not a .deb of format 2"),
        (ar({"debian-binary": b"2.0\n", "control.tar.lz4": b"", "data.tar.xz": b""}), r"packed with \.lz4"),
        (ar({"debian-binary": b"2.0\n", "control.tar.xz": b"junk", "data.tar.xz": b""}), "not a readable .deb"),
    ],
)
def test_what_is_no_package_says_why(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(PackageError, match=why):
        read(tmp_path, data)


def test_a_package_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = Deb(name="x", files={"a": b"content" * 99}).build()
    for length in range(0, len(whole) - 8, 23):
        with pytest.raises(PackageError):
            read(tmp_path, whole[:length])
