"""Copying files of this machine into an image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oci_builder.errors import FileProblem, UnsafePath
from oci_builder.tree.copying import Copy, copied
from oci_builder.tree.entry import Entry, Kind


@pytest.fixture
def app(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    (root / "lib").mkdir(parents=True)
    (root / "main.py").write_text("print(1)\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o700)
    (root / "lib" / "a.py").write_text("")
    (root / "lib" / "a.pyc").write_text("")
    return root


def entries(copy: Copy) -> dict[str, Entry]:
    return {entry.path: entry for entry in copied(copy)}


def test_a_folders_content_lands_in_dest(app: Path) -> None:
    found = entries(Copy(source=app, dest="/srv/app"))
    assert list(found) == [
        "srv/app",
        "srv/app/lib",
        "srv/app/lib/a.py",
        "srv/app/lib/a.pyc",
        "srv/app/main.py",
        "srv/app/run.sh",
    ]


def test_a_file_takes_the_name_of_dest_or_goes_into_the_folder(app: Path) -> None:
    assert list(entries(Copy(source=app / "main.py", dest="/x.py"))) == ["x.py"]
    assert list(entries(Copy(source=app / "main.py", dest="/srv/"))) == ["srv/main.py"]
    assert list(entries(Copy(source=app / "main.py", dest="/"))) == ["main.py"]


def test_modes_follow_the_owners_x_bit_and_nothing_else(app: Path) -> None:
    (app / "main.py").chmod(0o606)
    found = entries(Copy(source=app, dest="/a"))
    assert {path: found[path].mode for path in ("a/main.py", "a/run.sh", "a/lib")} == {
        "a/main.py": 0o644,
        "a/run.sh": 0o755,
        "a/lib": 0o755,
    }


def test_a_mode_and_an_owner_are_given_to_every_file(app: Path) -> None:
    found = entries(Copy(source=app, dest="/a", mode=0o400, uid=7, gid=8))
    assert (found["a/main.py"].mode, found["a/lib"].mode) == (0o400, 0o755)
    assert {(entry.uid, entry.gid) for entry in found.values()} == {(7, 8)}


@pytest.mark.parametrize("pattern", ["*.pyc", "lib/*.pyc", "**/*.pyc", "**/a.pyc"])
def test_excluded_files_stay_behind(app: Path, pattern: str) -> None:
    assert "a/lib/a.pyc" not in entries(Copy(source=app, dest="/a", exclude=(pattern,)))


def test_an_excluded_folder_takes_all_it_holds_with_it(app: Path) -> None:
    assert not [path for path in entries(Copy(source=app, dest="/a", exclude=("lib",))) if "lib" in path]


def test_only_what_is_included_is_taken(app: Path) -> None:
    assert list(entries(Copy(source=app, dest="/a", include=("**/*.py",)))) == ["a", "a/lib/a.py", "a/main.py"]
    assert list(entries(Copy(source=app, dest="/a", include=("lib/",)))) == ["a", "a/lib/a.py", "a/lib/a.pyc"]


def test_links_inside_the_folder_are_kept_as_links(app: Path) -> None:
    (app / "lib" / "link").symlink_to("../main.py")
    link = entries(Copy(source=app, dest="/a"))["a/lib/link"]
    assert (link.kind, link.target) == (Kind.SYMLINK, "../main.py")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret"])
def test_links_that_leave_the_folder_are_refused(app: Path, target: str) -> None:
    (app / "lib" / "link").symlink_to(target)
    with pytest.raises(UnsafePath, match="leaves the folder"):
        entries(Copy(source=app, dest="/a"))


def test_a_pipe_is_refused(app: Path) -> None:
    os.mkfifo(app / "pipe")
    with pytest.raises(FileProblem, match="neither a file nor a folder"):
        entries(Copy(source=app, dest="/a"))


def test_an_absent_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match=r"nowhere: there is nothing to copy here"):
        entries(Copy(source=tmp_path / "nowhere", dest="/a"))
