"""What is told of an image that was made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.assemble.loading import EngineLoad
from oci_builder.cli import main
from oci_builder.cli.loaded import told_of_loaded
from oci_builder.cli.result import Result
from oci_builder.export.docker_archive import write_file
from oci_builder.platforms import AMD64, ARM64
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.images import random_image


def made(store: Store, path: Path) -> Result:
    image = random_image(store, layers=2)
    references = (Reference.parse("mypy:1"), Reference.parse("team/mypy"))
    size = write_file(image, path, references=references, store=store, reporter=Quiet())
    return Result(image=image, path=path, size=size, references=references, seconds={"layers": 0.5, "total": 1.25})


def loaded_by(engine: str, result: Result, *, by_manifest: bool = False) -> EngineLoad:
    """What becomes of an image in an engine that had the first of its layers."""
    image = result.image
    return EngineLoad(
        engine=engine,
        id=image.digest if by_manifest else image.id,
        said="Copying blob it\nLoaded image: mypy:1\n",
        travelled=1_000_000,
        whole=3_000_000,
        left_out=frozenset({image.layers[0].descriptor.digest}),
    )


def test_what_travelled_to_an_engine_is_told_with_what_it_calls_the_image(store: Store, tmp_path: Path) -> None:
    result = made(store, tmp_path / "mypy.tar")
    said, sizes = told_of_loaded(loaded_by("docker", result), result.image)
    assert said == "docker: Loaded image: mypy:1"
    assert sizes == "1.0 MB went there instead of 3.0 MB: 1 of 2 layers was there"
    other = told_of_loaded(loaded_by("docker", result, by_manifest=True), result.image)[1]
    assert other.endswith(f"it goes by the manifest, and calls the image {result.image.digest.hex[:12]}")


def test_the_last_line_has_file_platform_size_id_tags_layers_and_seconds(store: Store, tmp_path: Path) -> None:
    result = made(store, tmp_path / "mypy.tar")
    file, rest = result.summary().split(": ", 1)
    platform, size, image, *tags, layers, seconds = rest.split(", ")
    assert (file, platform) == (str(tmp_path / "mypy.tar"), "linux/amd64")
    assert size.endswith("B")
    assert image == f"image {result.image.id.hex[:12]}"
    assert tags == ["mypy:1", "team/mypy:latest"]
    assert (layers, seconds) == ("2 layers", "1.2 s")


def test_what_follows_is_a_command_that_runs_the_image(store: Store, tmp_path: Path) -> None:
    result = made(store, tmp_path / "my image.tar")
    load = f"docker load -i '{tmp_path}/my image.tar' && docker run --rm "
    assert result.next_step("docker", AMD64) == f"{load}mypy:1"
    assert result.next_step("docker", ARM64) == f"{load}--platform linux/amd64 mypy:1"
    assert replace(result, path=Path("/dev/stdout")).next_step("docker", AMD64) == ""
    loaded = loaded_by("podman", result)
    assert replace(result, path=None, loaded=loaded).next_step("podman", AMD64) == "podman run --rm mypy:1"
    folder = tmp_path / "layout"
    folder.mkdir()
    assert replace(result, path=folder).next_step("docker", AMD64) == f"podman run --rm oci:{folder}"


def test_json_is_data_and_the_summary_is_talk(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = made(store, tmp_path / "mypy.tar")
    result.tell(as_json=True, quiet=False)
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert err == result.summary() + "\n"
    assert document["id"] == str(result.image.id)
    assert document["digest"] == str(result.image.digest)
    assert document["size"] == (tmp_path / "mypy.tar").stat().st_size
    assert document["tags"] == ["mypy:1", "team/mypy:latest"]
    assert [layer["holds"] for layer in document["layers"]] == [["part 0"], ["part 1"]]
    assert document["layers"][0]["diff_id"] == str(result.image.layers[0].diff_id)
    assert document["seconds"] == {"layers": 0.5, "total": 1.25}


def test_quiet_says_nothing(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(store, tmp_path / "mypy.tar").tell(as_json=False, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_a_file_that_holds_passes_and_one_that_was_changed_exits_with_3(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mypy.tar"
    result = made(store, path)
    assert main(["verify", str(path)]) == 0
    assert capsys.readouterr() == ("", f"{path}: holds\n")
    data = path.read_bytes()
    changed = data.replace(result.image.config, result.image.config.replace(b"amd64", b"arm64"))
    path.write_bytes(changed)
    assert main(["verify", str(path)]) == 3
    assert str(path) in capsys.readouterr().err
