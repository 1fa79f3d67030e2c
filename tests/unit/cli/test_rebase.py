"""``ocibuild rebase``, as one types it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.overlaid import layers_of
from tests.support.rebasing import APP_RUN, BASE_RUN, base_layer, own_layer, save

Tell = Callable[..., str]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Run a command where image.tar, old.tar and new.tar lie, and give all that it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCIBUILD_CACHE_DIR", str(tmp_path / "cache"))
    save(tmp_path / "old.tar", [base_layer()], BASE_RUN)
    save(tmp_path / "new.tar", [base_layer({"etc/motd": b"newer"})], BASE_RUN)
    save(tmp_path / "image.tar", [base_layer(), own_layer()], APP_RUN)

    def run(*words: str, code: int = 0) -> str:
        found = main([*words, "--progress", "none"])
        printed = capsys.readouterr()
        said = printed.out + printed.err
        assert found == code, said
        return said

    return run


def test_without_a_place_to_write_to_it_is_only_said_what_would_be(tell: Tell, tmp_path: Path) -> None:
    said = tell("rebase", "image.tar", "--onto", "new.tar", "--base", "old.tar")
    assert "1 layer of its own on 1 layer of new.tar instead of old.tar" in said
    assert "nothing speaks against it; --out and --push write it" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "image.tar", "new.tar", "old.tar"]


def test_what_is_written_has_the_names_of_the_image_or_those_that_are_asked_for(tell: Tell, tmp_path: Path) -> None:
    tell("rebase", "image.tar", "--onto", "new.tar", "--base", "old.tar", "-o", "out.tar", "--verify")
    assert layers_of(tmp_path / "out.tar")[1:] == layers_of(tmp_path / "image.tar")[1:]
    tell("rebase", "image.tar", "--onto", "new.tar", "--base", "old.tar", "-o", "named.tar", "-t", "app:7")
    assert "docker.io/library/app:7" in (tmp_path / "named.tar").read_text("latin-1")
    assert "docker.io/library/new:1" in (tmp_path / "out.tar").read_text("latin-1")


def test_a_refusal_is_told_to_programs_as_well_and_writes_nothing(tell: Tell, tmp_path: Path) -> None:
    save(tmp_path / "bad.tar", [base_layer({"usr/bin/sh": None})], BASE_RUN)
    said = tell("rebase", "image.tar", "--onto", "bad.tar", "--base", "old.tar", "-o", "x.tar", "--json", code=3)
    document, rest = json.JSONDecoder().raw_decode(said)
    found: dict[str, Any] = document
    assert {each["kind"] for each in found["findings"]} == {"interpreter", "path"}
    assert "would not run on bad.tar as it does on old.tar" in said[rest:]
    assert not (tmp_path / "x.tar").exists()


def test_an_update_brings_a_target_that_has_the_image_onto_the_new_base(tell: Tell, tmp_path: Path) -> None:
    words = ["rebase", "image.tar", "--onto", "new.tar", "--base", "old.tar", "--since", "image.tar"]
    found: dict[str, Any] = json.loads(tell(*words, "-o", "update.tar", "--force", "--json", "-q"))
    assert found["update"]["equals"] == found["id"]
    assert found["update"]["changed"] == 1
    tell("rebase", "image.tar", "--onto", "new.tar", "--base", "old.tar", "-o", "out.tar")
    assert "holds" in tell("verify", "update.tar", "--since", "image.tar")
    assert found["size"] == (tmp_path / "update.tar").stat().st_size


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--since", "old.tar"), "name one with --out"),
        (("-o", "x.zip"), "a file name ends in"),
        (("--verify",), "name one with --out"),
        (("-o", "x.tar", "--force"), "--force goes with --since"),
        (("--offline", "--push", "x/y:1"), "exclude each other"),
        (("--push", f"x/y@sha256:{'0' * 64}"), "has a tag, and no digest"),
        (("-o", "-", "--json"), "both go to stdout"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_read(
    tell: Tell, words: tuple[str, ...], why: str
) -> None:
    assert why in tell("rebase", "nowhere.tar", "--onto", "new.tar", *words, code=2)


def test_nothing_is_no_base(tell: Tell) -> None:
    assert "nothing that an image could be put onto" in tell("rebase", "image.tar", "--onto", "scratch", code=2)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


def test_the_base_that_labels_name_is_found_in_its_registry(tell: Tell, tmp_path: Path, registry: FakeRegistry) -> None:
    base, image = f"{registry.host}/team/base", f"{registry.host}/team/app"
    pushed: list[dict[str, Any]] = json.loads(tell("push", "old.tar", f"{base}:1", "--insecure", "--json", "-q"))
    tell("push", "new.tar", f"{base}:2", "--insecure")
    named = {
        "org.opencontainers.image.base.name": f"{base}:1",
        "org.opencontainers.image.base.digest": pushed[0]["digest"],
    }
    save(tmp_path / "image.tar", [base_layer(), own_layer()], {**APP_RUN, "Labels": named})
    tell("push", "image.tar", f"{image}:1", "--insecure")
    tell("rebase", f"{image}:1", "--onto", f"{base}:2", "--push", f"{image}:2", "--insecure")
    tell("pull", f"{image}:2", "--insecure", "-o", "out.tar")
    assert layers_of(tmp_path / "out.tar") == [*layers_of(tmp_path / "new.tar"), *layers_of(tmp_path / "image.tar")[1:]]
    # It says so of its new base: the next time, that is the old one.
    again = tell("rebase", f"{image}:2", "--onto", "old.tar", "--insecure")
    assert f"instead of {base}@sha256:" in again


def test_without_a_network_no_registry_is_asked(tell: Tell, tmp_path: Path, registry: FakeRegistry) -> None:
    named = {"org.opencontainers.image.base.name": f"{registry.host}/team/base:1"}
    save(tmp_path / "image.tar", [base_layer(), own_layer()], {**APP_RUN, "Labels": named})
    said = tell("rebase", "image.tar", "--onto", "new.tar", "--offline", "--insecure", code=1)
    assert "which would have to be asked for" in said and "--base" in said
    said = tell("rebase", f"{registry.host}/team/app:1", "--onto", "new.tar", "--offline", code=2)
    assert "is in a registry; bring it as a file" in said
    assert registry.methods() == []


def test_a_base_that_its_registry_has_no_more_is_to_be_named(
    tell: Tell, tmp_path: Path, registry: FakeRegistry
) -> None:
    named = {
        "org.opencontainers.image.base.name": f"{registry.host}/team/base:1",
        "org.opencontainers.image.base.digest": f"sha256:{'7' * 64}",
    }
    save(tmp_path / "image.tar", [base_layer(), own_layer()], {**APP_RUN, "Labels": named})
    said = tell("rebase", "image.tar", "--onto", "new.tar", "--insecure", code=1)
    assert "name the version of the base that it was made on with --base" in said
