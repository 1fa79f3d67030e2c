"""Copying files of this machine into an image."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest

from oci_builder.confined import Within
from oci_builder.errors import FileProblem, OutsideProject, UnsafePath
from oci_builder.tree.content import MappedFiles
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


def make_copy(source: str, folder: Path, root: Path | None, dest: str, **more: Any) -> Copy:
    return Copy(source=source, folder=folder, within=Within(folder, root) if root else None, dest=dest, **more)


def entries(copy: Copy) -> dict[str, Entry]:
    return {entry.path: entry for entry in copied(copy)}


def test_a_folders_content_lands_in_dest(app: Path) -> None:
    found = entries(make_copy(source="app", folder=app.parent, root=app.parent, dest="/srv/app"))
    assert list(found) == [
        "srv/app",
        "srv/app/lib",
        "srv/app/lib/a.py",
        "srv/app/lib/a.pyc",
        "srv/app/main.py",
        "srv/app/run.sh",
    ]


def test_a_file_takes_the_name_of_dest_or_goes_into_the_folder(app: Path) -> None:
    assert list(entries(make_copy(source="main.py", folder=app, root=app, dest="/x.py"))) == ["x.py"]
    assert list(entries(make_copy(source="main.py", folder=app, root=app, dest="/srv/"))) == ["srv/main.py"]
    assert list(entries(make_copy(source="main.py", folder=app, root=app, dest="/"))) == ["main.py"]


def test_modes_follow_the_owners_x_bit_and_nothing_else(app: Path) -> None:
    (app / "main.py").chmod(0o606)
    found = entries(make_copy(source="app", folder=app.parent, root=app.parent, dest="/a"))
    assert {path: found[path].mode for path in ("a/main.py", "a/run.sh", "a/lib")} == {
        "a/main.py": 0o644,
        "a/run.sh": 0o755,
        "a/lib": 0o755,
    }


def test_a_mode_and_an_owner_are_given_to_every_file(app: Path) -> None:
    found = entries(make_copy(source="app", folder=app.parent, root=app.parent, dest="/a", mode=0o400, uid=7, gid=8))
    assert (found["a/main.py"].mode, found["a/lib"].mode) == (0o400, 0o755)
    assert {(entry.uid, entry.gid) for entry in found.values()} == {(7, 8)}


@pytest.mark.parametrize("pattern", ["*/*.pyc", "lib/*.pyc", "**/*.pyc", "**/a.pyc"])
def test_excluded_files_stay_behind(app: Path, pattern: str) -> None:
    assert "a/lib/a.pyc" not in entries(
        make_copy(source="app", folder=app.parent, root=app.parent, dest="/a", exclude=(pattern,))
    )


def test_an_excluded_folder_takes_all_it_holds_with_it(app: Path) -> None:
    assert not [
        path
        for path in entries(make_copy(source="app", folder=app.parent, root=app.parent, dest="/a", exclude=("lib",)))
        if "lib" in path
    ]


def test_only_what_is_included_is_taken(app: Path) -> None:
    modules = make_copy(source="app", folder=app.parent, root=app.parent, dest="/a", include=("**/*.py",))
    assert list(entries(modules)) == ["a", "a/lib/a.py", "a/main.py"]
    folder = make_copy(source="app", folder=app.parent, root=app.parent, dest="/a", include=("lib/",))
    assert list(entries(folder)) == ["a", "a/lib/a.py", "a/lib/a.pyc"]


def test_links_inside_the_folder_are_kept_as_links(app: Path) -> None:
    (app / "lib" / "link").symlink_to("../main.py")
    link = entries(make_copy(source="app", folder=app.parent, root=app.parent, dest="/a"))["a/lib/link"]
    assert (link.kind, link.target) == (Kind.SYMLINK, "../main.py")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret"])
def test_links_that_leave_the_folder_are_refused(app: Path, target: str) -> None:
    (app / "lib" / "link").symlink_to(target)
    with pytest.raises(UnsafePath, match="leaves the folder"):
        entries(make_copy(source="app", folder=app.parent, root=app.parent, dest="/a"))


def test_a_pipe_is_refused(app: Path) -> None:
    os.mkfifo(app / "pipe")
    with pytest.raises(FileProblem, match="neither a file nor a folder"):
        entries(make_copy(source="app", folder=app.parent, root=app.parent, dest="/a"))


def test_an_absent_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match=r"nowhere: there is nothing to copy here"):
        entries(make_copy(source="nowhere", folder=tmp_path, root=tmp_path, dest="/a"))


@pytest.mark.parametrize(
    ("source", "link", "target"),
    [
        ("lnk/secret", "lnk", "../outside"),
        ("lnk/secret", "lnk", "{root}/outside"),
        ("lib/lnk/secret", "lib/lnk", "../../outside"),
        ("lib/one/secret", "lib/one", "../two"),
        ("../outside/secret", None, ""),
        ("..", None, ""),
        ("lib/../../outside", None, ""),
        ("lnk/..", "lnk", "../outside/inner"),
        ("lnk/app/lnk/secret", "lnk", "/"),
    ],
)
def test_what_leads_out_of_the_project_is_refused_unless_it_may(
    app: Path, source: str, link: str | None, target: str
) -> None:
    outside = app.parent / "outside"
    (outside / "inner").mkdir(parents=True)
    (outside / "secret").write_text("s")
    (app / "two").symlink_to("../outside")
    if link:
        (app / link).symlink_to(target.format(root=app.parent))
    with pytest.raises(OutsideProject, match="leads out of the project"):
        entries(make_copy(source=source, folder=app, root=app, dest="/a"))
    if "lnk/app" not in source:
        assert entries(make_copy(source=source, folder=app, root=None, dest="/a", exclude=("app", "secret", "outside")))


@pytest.mark.parametrize("target", ["lib", "./lib/../lib", "two/../lib", "{root}/app/lib"])
def test_links_that_stay_in_the_project_are_followed(app: Path, target: str) -> None:
    (app / "two").symlink_to("lib")
    (app / "lnk").symlink_to(target.format(root=app.parent))
    if target.startswith("two"):
        (app / "two").unlink()
        (app / "two").mkdir()
    assert list(entries(make_copy(source="lnk/a.py", folder=app, root=app, dest="/x.py"))) == ["x.py"]
    assert list(entries(make_copy(source="../app/main.py", folder=app, root=app.parent, dest="/x.py"))) == ["x.py"]


def test_links_in_a_circle_end(app: Path) -> None:
    (app / "one").symlink_to("two")
    (app / "two").symlink_to("one")
    with pytest.raises(FileProblem, match="too many levels of symbolic links"):
        entries(make_copy(source="one/x", folder=app, root=app, dest="/a"))


def content(entry: Entry) -> bytes:
    assert entry.content is not None
    with MappedFiles() as sources:
        return sources.read(entry.content, what=entry.path)


def test_what_is_read_is_what_was_found(app: Path) -> None:
    outside = app.parent / "outside"
    outside.mkdir()
    (outside / "a.py").write_text("secret")
    (app / "lib" / "a.py").write_text("public")
    found = entries(make_copy(source="app", folder=app.parent, root=app.parent, dest="/a"))["a/lib/a.py"]
    assert content(found) == b"public"
    (app / "lib").rename(app / "moved")
    (app / "lib").symlink_to(outside)
    with pytest.raises(FileProblem, match="it was changed while it was read"):
        content(found)


def test_a_file_that_is_written_to_meanwhile_is_refused(app: Path) -> None:
    found = entries(make_copy(source="main.py", folder=app, root=app, dest="/x.py"))["x.py"]
    (app / "main.py").write_text("print(2)\n")
    os.utime(app / "main.py", (1, 1))
    with pytest.raises(FileProblem, match=r"main.py: it was changed while it was read"):
        content(found)


def test_a_file_that_cannot_be_read_is_named(app: Path) -> None:
    (app / "main.py").chmod(0)
    found = entries(make_copy(source="app", folder=app.parent, root=app.parent, dest="/a"))["a/main.py"]
    child = os.fork()
    if not child:
        # Root may read anything: as somebody else, then.
        try:
            os.setuid(65534)
            content(found)
        except FileProblem as error:
            os._exit(0 if str(error).endswith("main.py: permission denied") else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_folder_of_more_files_than_may_be_open_is_copied(app: Path) -> None:
    for number in range(300):
        (app / "lib" / str(number)).mkdir()
        (app / "lib" / str(number) / "f").write_text(str(number))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 8, limits[1]))
    try:
        found = entries(make_copy(source="app", folder=app.parent, root=app.parent, dest="/a"))
        read = {path: content(entry) for path, entry in found.items() if entry.kind is Kind.FILE}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert all(read[f"a/lib/{number}/f"] == str(number).encode() for number in range(300))
