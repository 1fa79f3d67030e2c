"""The commands that look at images: inspect, tree, why, diff, sbom, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from tests.support.installed import distribution, image_file, layer, package, unpacked

ODD = "odd \x1b[31m[red]x[/red] \u202e"


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the images old.tar and new.tar; we stand in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "40")
    base = layer(package("libc6"))
    demo = distribution("demo", metadata=[f"License: {ODD}"], requires=["tool"], files={"demo.py": b"1" * 5000})
    image_file(tmp_path / "old.tar", base, layer(distribution("tool", "1")), run={"Env": ["A=1"]})
    image_file(tmp_path / "new.tar", base, layer(demo, distribution("tool", "2")), run={"Env": ["A=2"], "User": "1:1"})
    return tmp_path


def out(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What a command prints to stdout; what it says beside that must be nothing."""
    assert main(list(words)) == code
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    return dict(json.loads(out(capsys, *words, "--json")))


@pytest.mark.usefixtures("images")
def test_inspect_lists_documents_layers_and_packages(capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys, "inspect", "new.tar")
    assert "platform  linux/amd64\n" in text and "user      1:1\n" in text
    row = next(line for line in text.splitlines() if line.startswith("tool"))
    assert row.split()[:2] == ["tool", "2"]
    assert all(line == line.rstrip() for line in text.splitlines())
    found = document(capsys, "inspect", "new.tar")
    assert [(each["name"], each["version"], each["layers"]) for each in found["packages"]] == [
        ("demo", "1.0", [2]),
        ("tool", "2", [2]),
        ("libc6", "1", [1]),
    ]
    assert [layer["packages"] for layer in found["layers"]] == [["libc6 1"], ["demo 1.0", "tool 2"]]


@pytest.mark.usefixtures("images")
def test_text_of_an_image_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys, "inspect", "new.tar")
    assert "odd \\x1b[31m[red]x[/red]" in text
    assert "\x1b" not in text and "\u202e" not in text


def test_a_folder_is_an_image_and_a_name_means_what_a_build_wrote(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpacked(images / "new.tar", images / "layout")
    (images / "new").mkdir()
    ids = {document(capsys, "inspect", text)["id"] for text in ("new.tar", "layout", "new")}
    assert len(ids) == 1


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("words", [["inspect"], ["tree"], ["why"], ["sbom"], ["report"], ["diff"]])
def test_an_image_that_is_not_there_is_a_mistake(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    more = {"why": ["demo"], "diff": ["new"]}.get(words[0], [])
    assert main([*words, "nowhere", *more]) == 2
    assert "no image file 'nowhere' (looked in nowhere, nowhere.tar)" in capsys.readouterr().err


@pytest.mark.usefixtures("images")
def test_tree_shows_what_is_large_first(capsys: pytest.CaptureFixture[str]) -> None:
    lines = out(capsys, "tree", "new.tar", "--depth", "3", "--at-least", "40").splitlines()
    assert [line.split("%")[1].strip() for line in lines] == ["new.tar", "layer 2  a test", "demo 1.0", "demo.py"]
    assert "100.0 %" in lines[0]
    found = document(capsys, "tree", "new.tar", "--depth", "1")
    assert found["below"][0]["name"] == "layer 2"


@pytest.mark.usefixtures("images")
def test_why_names_who_requires_a_package(capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys, "why", "new", "Tool")
    assert "required by\n  demo 1.0  (tool)\n" in text
    assert "demo → tool" in text and "layer 2" in text
    assert "required by nothing" in out(capsys, "why", "new", "demo")
    assert document(capsys, "why", "new", "libc6")["kind"] == "debian"
    assert main(["why", "new", "nowhere"]) == 2
    assert "no package 'nowhere' (looked in new.tar)" in capsys.readouterr().err


@pytest.mark.usefixtures("images")
def test_diff_shows_what_changed_and_says_so_by_its_exit_code_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys, "diff", "old.tar", "new.tar")
    assert [line.split()[:3] for line in text.splitlines() if line.startswith(("demo", "tool"))] == [
        ["demo", "-", "1.0"],
        ["tool", "1", "2"],
    ]
    assert 'config.Env.A    "1"' in text and "to transfer in 1 layer," in text
    assert out(capsys, "diff", "old.tar", "new.tar", "--exit-code", code=3) == text
    assert "no difference" in out(capsys, "diff", "old.tar", "old.tar", "--exit-code")
    assert document(capsys, "diff", "old.tar", "new.tar")["new_layers"] == [2]


def test_sbom_goes_to_stdout_or_to_a_file_whose_name_says_the_format(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(out(capsys, "sbom", "new"))["bomFormat"] == "CycloneDX"
    printed = out(capsys, "sbom", "new", "--format", "spdx")
    assert out(capsys, "sbom", "new", "--out", "x.spdx.json") == ""
    # A terminal gets no letter that turns those after it round, and a program the same document.
    assert json.loads((images / "x.spdx.json").read_text()) == json.loads(printed)
    assert "\u202e" in (images / "x.spdx.json").read_text() and "\u202e" not in printed
    assert main(["sbom", "new", "--out", "x.json"]) == 2
    assert main(["sbom", "new", "--out", "x.cdx.json", "--format", "spdx"]) == 2


def test_report_writes_one_page(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "old", "new", "--out", "x.html", "--progress", "none"]) == 0
    assert capsys.readouterr().err == "x.html: written\n"
    page = (images / "x.html").read_text()
    assert page.startswith("<!doctype html>") and '"before":"old.tar"' in page
    assert main(["report", "new", "--out", "nowhere/x.html", "--progress", "none"]) == 1
    assert capsys.readouterr().err.startswith("ocibuild: nowhere/x.html: no such file")
