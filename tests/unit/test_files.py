"""Files of this machine: whole or not at all, and files at that."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_builder.errors import FileProblem
from oci_builder.files import atomic, explained, open_regular


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
