"""The commands that look at images, looking at one of a registry; and verify, looking at whatever there is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.imported import config_of, save_layout
from tests.support.installed import distribution, layer
from tests.support.served import serve, serve_index

OLD = layer(distribution("tool", "1"))
NEW = layer(distribution("tool", "2"), distribution("demo", requires=["tool"]))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    """A registry with two images; we stand in an empty folder, with a cache of our own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCIBUILD_CACHE_DIR", str(tmp_path / "cache"))
    with fake_registry() as found:
        serve(found, "team/x:old", [OLD], config_of([OLD]))
        serve(found, "team/x:new", [NEW], config_of([NEW]))
        yield found


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert main([*words, "--progress", "none"]) == code
    printed = capsys.readouterr()
    return printed.out, printed.err


def document(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(said(capsys, *words, "--json", code=code)[0]))


def test_every_command_that_looks_at_images_looks_at_a_registrys(
    registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    new, old = (f"{registry.host}/team/x:{tag}" for tag in ("new", "old"))
    assert [each["name"] for each in document(capsys, "inspect", new)["packages"]] == ["demo", "tool"]
    assert "tool" in said(capsys, "tree", new)[0]
    assert document(capsys, "why", new, "tool")["required_by"]
    assert document(capsys, "diff", old, new)["packages"]
    assert json.loads(said(capsys, "sbom", new)[0])["bomFormat"] == "CycloneDX"
    assert said(capsys, "report", old, new, "--out", "x.html") == ("", "x.html: written\n")
    assert said(capsys, "verify", new) == ("", f"{new}: holds\n")
    assert said(capsys, "check", new) == ("nothing found\n", "")


def test_a_file_is_compared_with_what_a_registry_has(
    registry: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_layout(tmp_path / "layout", [NEW], config_of([NEW]))
    assert document(capsys, "diff", "layout", f"{registry.host}/team/x:new")["files"] == []


def test_a_path_that_exists_is_no_reference(
    registry: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / registry.host / "team" / "x:new"
    place.parent.mkdir(parents=True)
    save_layout(place, [OLD], config_of([OLD]))
    assert [each["version"] for each in document(capsys, "inspect", f"{registry.host}/team/x:new")["packages"]] == ["1"]
    assert registry.methods() == []


def test_of_several_platforms_one_is_chosen(registry: FakeRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    arm = config_of([NEW], architecture="arm64", variant="v8")
    serve_index(registry, "team/x:both", [([OLD], config_of([OLD])), ([NEW], arm)])
    name = f"{registry.host}/team/x:both"
    assert document(capsys, "inspect", name, "--platform", "linux/arm64")["platform"] == "linux/arm64/v8"
    assert "choose one with --platform" in said(capsys, "inspect", name, code=1)[1]
    assert said(capsys, "verify", name)[1] == f"{name}: holds (2 images)\n"
    assert len(document(capsys, "verify", name, "--platform", "linux/arm64")["images"]) == 1


def test_a_login_is_read_once_for_both_images(
    registry: FakeRegistry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("me:secret\n"))
    new, old = (f"{registry.host}/team/x:{tag}" for tag in ("new", "old"))
    assert said(capsys, "report", old, new, "--creds-stdin", "--out", "x.html")[1] == "x.html: written\n"


@pytest.mark.parametrize("words", [["inspect"], ["verify"]])
def test_a_word_that_is_neither_file_nor_reference_says_what_would_be(
    registry: FakeRegistry, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert "nothing:latest" in said(capsys, *words, "nothing", code=2)[1]


def test_verify_says_no_for_a_registry_that_serves_something_else(
    registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    for digest, blob in registry.blobs.items():
        registry.blobs[digest] = blob[:-1] + bytes([blob[-1] ^ 1])
    found = document(capsys, "verify", f"{registry.host}/team/x:new", code=3)
    assert not found["holds"] and len(found["findings"]) == 2


def test_verify_tells_a_program_what_an_image_turned_out_to_be(
    registry: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = save_layout(tmp_path / "layout", [NEW], config_of([NEW]))
    found = document(capsys, "verify", str(layout))
    assert found["holds"] and found["findings"] == [] == found["remarks"]
    (image,) = found["images"]
    assert image["platform"] == "linux/amd64"
    assert image["layers"][0]["entries"] > 5
    remote = document(capsys, "verify", f"{registry.host}/team/x:new")["images"]
    assert [layer["diff_id"] for layer in remote[0]["layers"]] == [layer["diff_id"] for layer in image["layers"]]


def test_a_rebuild_is_compared_with_a_file_alone(registry: FakeRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--rebuild compares files" in said(capsys, "verify", f"{registry.host}/team/x:new", "--rebuild", code=2)[1]
