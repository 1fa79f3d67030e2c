"""An engine that does not answer is told of before an image is made for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.errors import LoadFailed
from oci_builder.export.loading import expect_engine


def docker(folder: Path, text: str) -> dict[str, str]:
    """An environment whose docker is the script ``text``."""
    folder.mkdir(exist_ok=True)
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return {"PATH": str(folder)}


def test_a_daemon_that_is_not_there_is_told_of_in_its_clients_words(tmp_path: Path) -> None:
    environ = docker(tmp_path / "bin", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(LoadFailed, match=r"^docker: Cannot connect to the Docker daemon$") as caught:
        expect_engine(environ)
    assert "--out FILE" in str(caught.value.hint)


def test_a_client_that_cannot_be_started_is_told_of(tmp_path: Path) -> None:
    environ = docker(tmp_path / "bin", "")
    (tmp_path / "bin" / "docker").write_text("#!/nonexistent/program\n")
    with pytest.raises(LoadFailed, match="does not start"):
        expect_engine(environ)


def test_a_daemon_that_answers_is_taken(tmp_path: Path) -> None:
    expect_engine(docker(tmp_path / "bin", '[ "$1" = version ]'))
