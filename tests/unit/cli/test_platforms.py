"""One recipe, two platforms, one machine: what their images have in common is made, stored and sent once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from oci_builder.platforms import ARM64
from oci_builder.verify.verify import verify_file
from oci_builder.wheels.lock_writing import encode
from oci_builder.wheels.target import Target
from tests.support.elves import ElfSpec, make_elf
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.targets import TARGET, wheel_of
from tests.support.tiny import IMAGE, NAME, Tiny, make_tiny
from tests.support.wheels import make_wheel

ON_ARM = Target(platform=ARM64, promise=TARGET.promise)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Three wheels for any platform, and one that there is for each."""
    tiny = make_tiny(tmp_path_factory.mktemp("platforms") / "project")
    both = IMAGE.replace('["linux/amd64"]', '["linux/amd64", "linux/arm64"]')
    (tiny.image / "image.toml").write_text(both)
    for machine in ("x86_64", "aarch64"):
        library = make_elf(ElfSpec(machine=machine))
        make_wheel(tiny.wheels, "fast", tag=f"cp311-cp311-manylinux_2_17_{machine}", files={"fast.so": library})
    tiny.require("whole==3.0", "fast")
    pins = {path.name: wheel_of(path).pin for path in sorted(tiny.wheels.iterdir())}
    chosen = {
        target: [pin for name, pin in pins.items() if other not in name]
        for target, other in ((TARGET, "aarch64"), (ON_ARM, "x86_64"))
    }
    (tiny.image / "pylock.toml").write_bytes(encode(chosen, fingerprint=""))
    return tiny


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


def build(tiny: Tiny, *flags: object) -> None:
    places = ("--project-dir", tiny.root, "--cache-dir", tiny.cache, "--progress", "none")
    assert main([str(word) for word in ("build", NAME, *places, *flags)]) == 0


def layers(manifest: Any, config: Any) -> dict[str, str]:
    """The digests of an image's layers, by what made them."""
    names = [step["created_by"] for step in config["history"] if not step.get("empty_layer")]
    return dict(zip(names, (layer["digest"] for layer in manifest["layers"]), strict=True))


def shared(first: dict[str, str], second: dict[str, str]) -> tuple[list[str], list[str]]:
    """The layers that two images have in common, and the others of the first."""
    same = [name for name, digest in first.items() if second.get(name) == digest]
    return same, [name for name in first if name not in same]


def test_wheels_for_any_platform_are_the_same_layer_in_both_images_and_sent_once(
    project: Tiny, registry: FakeRegistry
) -> None:
    build(project, "--push", f"{registry.host}/team/app:1")
    index = json.loads(registry.manifests["team/app:1"][0])
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    manifests = [json.loads(registry.manifests[f"team/app:{entry['digest']}"][0]) for entry in index["manifests"]]
    configs = [json.loads(registry.blobs[manifest["config"]["digest"]]) for manifest in manifests]
    same, others = shared(*(layers(*each) for each in zip(manifests, configs, strict=True)))
    # The packages of this base are for any machine too.
    wheels = "ocibuild wheels: many 1.0, tool 2.0, whole 3.0"
    assert same == ["ocibuild base tiny", wheels, "ocibuild user sandbox"]
    assert others == ["ocibuild wheels: fast 1.0"]
    ends = [path for method, path, _ in registry.asked if method == "PUT" and "/uploads/" in path]
    sent = [path.partition("digest=")[2] for path in ends]
    assert len(sent) == len(set(sent)) == len(registry.blobs)


def test_a_layout_holds_both_and_a_file_the_one_that_is_asked_for(project: Tiny, tmp_path: Path) -> None:
    build(project, "--out", f"{tmp_path}/app/")
    blobs = tmp_path / "app" / "blobs" / "sha256"
    index = json.loads((tmp_path / "app" / "index.json").read_bytes())
    while "platform" not in index["manifests"][0]:
        index = json.loads((blobs / index["manifests"][0]["digest"].partition(":")[2]).read_bytes())
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    digests = {entry["platform"]["architecture"]: entry["digest"] for entry in index["manifests"]}
    for architecture, digest in digests.items():
        build(project, "--out", tmp_path / "app.tar", "--platform", f"linux/{architecture}")
        report = verify_file(tmp_path / "app.tar")
        assert report.findings == ()
        assert str(report.manifest_digest) == digest
