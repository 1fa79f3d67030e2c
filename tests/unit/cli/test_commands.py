"""The small commands: schema, verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oci_builder.cli import main


@pytest.mark.parametrize("kind", ["image", "layer"])
def test_a_schema_is_json_on_stdout(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", kind]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["title"] == f"{kind}.toml"
    assert err == ""


def test_a_file_that_is_no_image_does_not_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"\0" * 10240)
    assert main(["verify", str(path)]) in (1, 3)
    assert str(path) in capsys.readouterr().err
