"""Bills of materials that are attached to images as they are pushed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from oci_builder.oci.mediatypes import INDEX
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.imported import config_of, save_layout
from tests.support.installed import distribution, layer
from tests.support.layouts import save_several
from tests.support.tiny import Tiny, build, make_tiny
from tests.support.wheels import sha256


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


def bills(registry: FakeRegistry, name: str = "team/app") -> list[tuple[str, dict[str, Any]]]:
    """The subject and the document of every bill that is listed in a repository."""
    found = []
    for key, (raw, media_type) in sorted(registry.manifests.items()):
        if key.startswith(f"{name}:sha256-"):
            assert media_type == INDEX
            for entry in json.loads(raw)["manifests"]:
                manifest = json.loads(registry.manifests[f"{name}:{entry['digest']}"][0])
                assert manifest["artifactType"] == entry["artifactType"]
                document = json.loads(registry.blobs[manifest["layers"][0]["digest"]])
                found.append((manifest["subject"]["digest"], document))
    return found


def test_a_build_attaches_the_bill_it_writes(tiny: Tiny, registry: FakeRegistry, tmp_path: Path) -> None:
    path = tmp_path / "x.cdx.json"
    ending = build(tiny, "--push", f"{registry.host}/team/app:1", "--sbom", str(path))
    assert ending.code == 0, ending.said
    assert "attached" in ending.said
    ((subject, document),) = bills(registry)
    assert f"team/app:{subject}" in registry.manifests
    assert document == json.loads(path.read_bytes())
    wheels = {each["hashes"][0]["content"] for each in document["components"] if each["purl"].startswith("pkg:pypi/")}
    assert wheels == {sha256(wheel) for wheel in tiny.wheels.iterdir()}


def test_a_format_alone_writes_no_file(tiny: Tiny, registry: FakeRegistry) -> None:
    assert build(tiny, "--push", f"{registry.host}/team/app:1", "--sbom", "spdx").code == 0
    ((_, document),) = bills(registry)
    assert document["spdxVersion"] == "SPDX-2.3"
    assert not list(tiny.root.rglob("*.spdx.json"))


def test_the_same_build_sends_nothing_again(tiny: Tiny, registry: FakeRegistry) -> None:
    flags = ("--push", f"{registry.host}/team/app:1", "--sbom", "cyclonedx")
    build(tiny, *flags)
    before = len(registry.methods())
    assert build(tiny, *flags).said.count("was there") == 2
    # Whether it may push is asked all the same, by an upload that is given up again.
    assert {line.partition(" ")[0] for line in registry.methods()[before:]} <= {"HEAD", "GET", "POST", "DELETE"}


def test_several_names_in_one_repository_share_a_bill(tiny: Tiny, registry: FakeRegistry) -> None:
    names = [f"{registry.host}/team/{name}" for name in ("app:1", "app:2", "other:1")]
    build(tiny, *(word for name in names for word in ("--push", name)), "--sbom", "spdx")
    assert len(bills(registry)) == 1 == len(bills(registry, "team/other"))


def test_a_format_without_a_push_is_a_slip(tiny: Tiny) -> None:
    ending = build(tiny, "--sbom", "spdx")
    assert ending.code == 2 and "goes with --push" in ending.said


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    tar = layer(distribution("tool", "2"))
    return save_layout(tmp_path / "layout", [tar], config_of([tar]))


def test_a_file_is_pushed_with_a_bill_made_of_it(
    layout: Path, registry: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["push", str(layout), f"{registry.host}/team/app:1", "--cache-dir", str(tmp_path / "cache"), "--json"]
    assert main([*words, "--sbom", "cyclonedx"]) == 0
    (pushed,) = json.loads(capsys.readouterr().out)
    ((subject, document),) = bills(registry)
    assert subject == pushed["digest"] == pushed["attached"][0]["subject"]
    assert document["metadata"]["component"]["version"] == subject
    assert [each["purl"] for each in document["components"]] == ["pkg:pypi/tool@2"]


def test_each_image_of_a_layout_gets_its_own_bill(registry: FakeRegistry, tmp_path: Path) -> None:
    tar = layer(distribution("tool", "2"))
    configs = [config_of([tar]), config_of([tar], architecture="arm64", variant="v8")]
    both = save_several(tmp_path / "both", tar, configs)
    words = ["push", str(both), f"{registry.host}/team/app:1", "--cache-dir", str(tmp_path / "cache"), "--sbom"]
    assert main([*words, "spdx"]) == 0
    listed = {each["digest"] for each in json.loads(registry.manifests["team/app:1"][0])["manifests"]}
    assert {subject for subject, _ in bills(registry)} == listed
    (tmp_path / "x.spdx.json").write_text('{"spdxVersion":"SPDX-2.3"}')
    assert main([*words, str(tmp_path / "x.spdx.json")]) == 2


def test_a_file_is_pushed_with_a_bill_that_was_written_before(
    layout: Path, registry: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["push", str(layout), f"{registry.host}/team/app:1", "--cache-dir", str(tmp_path / "cache"), "--sbom"]
    path = tmp_path / "x.spdx.json"
    path.write_text('{"spdxVersion":"SPDX-2.3","mine":true}')
    assert main([*words, str(path)]) == 0
    assert [document for _, document in bills(registry)] == [json.loads(path.read_bytes())]
    path.write_text('{"bomFormat":"CycloneDX"}')
    assert main([*words, str(path)]) == 2
    assert "its name says spdx" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "none.cdx.json")]) == 1
    assert main([*words, "x.json"]) == 2
