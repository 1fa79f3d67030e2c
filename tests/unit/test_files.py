"""Files of this machine: whole or not at all, and files at that."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_builder.errors import FileProblem
from oci_builder.files import explained, open_regular
from oci_builder.outputs import atomic, check_output


def make_socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.close()


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a named pipe, not a file": os.mkfifo,
    "a socket, not a file": make_socket,
    "a device, not a file": lambda path: path.symlink_to("/dev/zero"),
    "is a directory": Path.mkdir,
}


@pytest.mark.parametrize(("why", "make"), NO_FILES.items(), ids=NO_FILES)
def test_what_is_no_file_is_not_opened(tmp_path: Path, why: str, make: Callable[[Path], object]) -> None:
    make(tmp_path / "x")
    with pytest.raises(FileProblem, match=f"x: {why}"), explained(tmp_path / "x"):
        open_regular(tmp_path / "x")


def test_a_pipe_that_takes_the_place_of_a_file_while_it_is_opened_does_not_hold_us(tmp_path: Path) -> None:
    path, other, stop = tmp_path / "x", tmp_path / "y", threading.Event()
    path.write_text("x")
    os.mkfifo(other)

    def swap() -> None:
        while not stop.is_set():
            os.rename(path, tmp_path / "z")
            os.rename(other, path)
            os.rename(tmp_path / "z", other)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(3000):
            try:
                with open_regular(path) as stream:
                    assert stream.read() == b"x"
            except OSError as error:
                assert error.strerror in ("a named pipe, not a file", os.strerror(2))
    finally:
        stop.set()
        swapper.join()


def test_a_pipe_beside_the_output_is_let_be(tmp_path: Path) -> None:
    pipe = tmp_path / ".o.tar.1-0123456789abcdef"
    os.mkfifo(pipe)
    with atomic(tmp_path / "o.tar") as sink:
        sink.write(b"x")
    assert (tmp_path / "o.tar").read_bytes() == b"x"
    assert pipe.is_fifo()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_file_that_is_replaced_gives_its_mode_and_owner(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    before = path.stat()
    with atomic(path) as sink:
        half = next(other for other in tmp_path.iterdir() if other != path)
        assert stat.S_IMODE(half.stat().st_mode) == 0o600, "nobody else reads it before he may"
        sink.write(b"new")
    after = path.stat()
    assert path.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_what_a_link_leads_to_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to("middle")
    (tmp_path / "middle").symlink_to("far/out")
    for text in (b"new", b"newer"):  # at first it leads to nothing
        with atomic(tmp_path / "near", follow=True) as sink:
            sink.write(text)
        assert (tmp_path / "far" / "out").read_bytes() == text
    assert (tmp_path / "near").is_symlink() and (tmp_path / "middle").is_symlink()
    with atomic(tmp_path / "near") as sink:
        sink.write(b"own")
    assert not (tmp_path / "near").is_symlink()
    assert (tmp_path / "far" / "out").read_bytes() == b"newer"


def test_links_in_a_circle_take_no_file(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for act in (check_output, lambda path: atomic(path, follow=True).__enter__()):
        with pytest.raises(FileProblem, match="one: too many levels of symbolic links"):
            act(tmp_path / "one")


@pytest.mark.parametrize(("why", "make"), NO_FILES.items(), ids=NO_FILES)
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path, why: str, make: Callable[[Path], object]) -> None:
    make(tmp_path / "x")
    before = (tmp_path / "x").lstat()
    (tmp_path / "lnk").symlink_to("x")
    for path in (tmp_path / "x", tmp_path / "lnk"):
        with pytest.raises(FileProblem, match=f"{path.name}: {why}"), atomic(path, follow=True):
            pass
        with pytest.raises(FileProblem, match=f"{path.name}: {why}"):
            check_output(path)
    assert (tmp_path / "x").lstat() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lnk", "x"]


def test_a_file_lands_in_the_folder_that_was_opened_though_that_was_swapped_for_a_link(tmp_path: Path) -> None:
    place, outside = tmp_path / "place", tmp_path / "outside"
    place.mkdir()
    outside.mkdir()
    (outside / "out").write_bytes(b"canary")
    (outside / ".out.1-0123456789abcdef").write_bytes(b"canary")
    with atomic(place / "out") as sink:
        place.rename(tmp_path / "moved")
        place.symlink_to(outside)
        sink.write(b"new")
    assert (tmp_path / "moved" / "out").read_bytes() == b"new"
    with pytest.raises(ZeroDivisionError), atomic(place / "other"):
        place.unlink()
        place.symlink_to(tmp_path / "moved")
        raise ZeroDivisionError
    assert {path.read_bytes() for path in outside.iterdir()} == {b"canary"}
