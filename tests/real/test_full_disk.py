"""apt-get on a disk that is full: it would wait for ever, and is ended in seconds, with the reason."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from oci_builder.debian.aptrun import run_watched
from oci_builder.errors import FileProblem, ToolFailed
from oci_builder.files import is_full
from tests.real.test_bad_input import small_disk


def test_a_program_that_fills_the_disk_and_waits_is_ended(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        folder = disk / "scratch"
        folder.mkdir()
        began = time.monotonic()
        with pytest.raises(FileProblem) as caught:
            run_watched(["sh", "-c", "head -c 2M /dev/zero > all; sleep 300"], folder=folder, cwd=folder)
        assert time.monotonic() - began < 60
    assert is_full(caught.value)
    assert str(caught.value) == f"{disk}: no space left on device, for the packages of the base"
    assert "--cache-dir" in str(caught.value.hint)


def test_its_children_end_with_it(tmp_path: Path) -> None:
    command = "sleep 300 & echo $! > pid"
    assert run_watched(["sh", "-c", command], folder=tmp_path, cwd=tmp_path).returncode == 0
    child = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 30
    while Path(f"/proc/{child}/stat").exists() and time.monotonic() < until:
        if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{child}").exists()


def test_what_a_program_says_is_read_in_the_words_of_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    done = run_watched(["sh", "-c", 'echo "$LC_ALL"; echo wrong >&2; exit 3'], folder=tmp_path, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "C\n", "wrong\n")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="does not start"):
        run_watched(["true"], folder=tmp_path, cwd=Path(os.devnull))
