"""The small commands: schema, cache, verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.store import Store


@pytest.mark.parametrize("kind", ["image", "layer"])
def test_a_schema_is_json_on_stdout(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", kind]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["title"] == f"{kind}.toml"
    assert err == ""


def test_a_cache_can_be_looked_at_and_emptied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "cache")
    store.put_bytes(b"12345")
    (store.root / "mine.txt").touch()
    where = ["--cache-dir", str(store.root)]
    assert main(["cache", "info", "--json", *where]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["folder"], found["files"], found["size"]) == (str(store.root), 1, 5)
    assert found["kinds"]["blobs"]["size"] == 5
    assert main(["cache", "clear", *where]) == 0
    assert list(store.root.iterdir()) == [store.root / "mine.txt"]
    assert main(["cache", "clear", *where]) == 0
    capsys.readouterr()
    assert main(["cache", "info", *where]) == 0
    assert capsys.readouterr().out == f"{store.root}: 0 files, 0 B\n"


def test_a_file_that_is_no_image_does_not_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"\0" * 10240)
    assert main(["verify", str(path)]) in (1, 3)
    assert str(path) in capsys.readouterr().err
