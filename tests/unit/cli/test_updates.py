"""``ocibuild update``, ``build --since`` and ``verify --since``, as one types them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oci_builder import Builder, open_image
from oci_builder.cli import main
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.installed import distribution, image_file, layer
from tests.support.overlaid import layers_of, root_of
from tests.support.readers import read_image
from tests.support.tiny import Tiny, build, built, make_tiny

Tell = Callable[..., str]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Run a command where old.tar and new.tar lie, and give all that it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCIBUILD_CACHE_DIR", str(tmp_path / "cache"))
    noise = random.Random(7).randbytes(90_000)
    base = layer({"lib/noise.bin": noise})
    demo = distribution("demo", files={"demo.py": b"1" * 5000})
    image_file(tmp_path / "old.tar", base, layer(distribution("tool", "1"), demo))
    image_file(tmp_path / "new.tar", base, layer(distribution("tool", "2"), distribution("more", "3")))

    def run(*words: str, code: int = 0) -> str:
        found = main([*words, "--progress", "none"])
        printed = capsys.readouterr()
        said = printed.out + printed.err
        assert found == code, said
        return said

    return run


def test_an_update_is_told_with_what_travels_and_what_is_left_out(tell: Tell, tmp_path: Path) -> None:
    said = tell("update", "old.tar", "new.tar", "-o", "update.tar")
    assert "update.tar: " in said and " instead of " in said
    assert "paths added or changed" in said and "2 layers (" in said and "named and left out" in said
    assert root_of(layers_of(tmp_path / "update.tar", tmp_path / "old.tar")) == root_of(layers_of(tmp_path / "new.tar"))
    assert "update.tar: holds" in tell("verify", "update.tar", "--since", "old.tar")


def test_a_program_is_told_the_same_in_bytes(tell: Tell, tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(tell("update", "old.tar", "new.tar", "-o", "update.tar", "--json", "-q"))
    assert found["size"] == (tmp_path / "update.tar").stat().st_size < found["whole"]
    assert [each["left_out"] for each in found["layers"]] == [True, True, False]
    assert found["kind"] == "patch" and found["id"] != found["equals"]
    exact = json.loads(tell("update", "old.tar", "new.tar", "-o", "update.tar", "--json", "-q", "--exact"))
    assert exact["kind"] == "exact" and exact["id"] == exact["equals"] == found["equals"]
    assert [each["left_out"] for each in exact["layers"]] == [True, False]


def test_an_update_is_looked_into_once_its_other_layers_were(tell: Tell) -> None:
    tell("update", "old.tar", "new.tar", "-o", "update.tar")
    refused = tell("inspect", "update.tar", code=1)
    assert "layer 1 (sha256:" in refused and "`ocibuild inspect OLD`" in refused
    tell("inspect", "old.tar")
    history = tell("inspect", "update.tar")
    assert "ocibuild update: demo gone, more 3, tool 1 → 2" in history
    assert "0 files differ" in tell("diff", "new.tar", "update.tar")


def test_what_verify_says_of_an_update_alone_leads_on(tell: Tell) -> None:
    tell("update", "old.tar", "new.tar", "-o", "update.tar")
    assert "--since OLD" in tell("verify", "update.tar", code=3)
    assert "it is no update of new.tar" in tell("verify", "update.tar", "--since", "new.tar", code=3)


def test_an_update_can_be_proved_before_it_appears(tell: Tell, tmp_path: Path) -> None:
    tell("update", "old.tar", "new.tar", "-o", "update.tar", "--verify")
    receipt = {"Id": "sha256:" + "0" * 64, "RootFS": {"Layers": ["sha256:" + "0" * 64]}}
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    refused = tell("update", "receipt.json", "new.tar", "-o", "x.tar", "--exact", "--verify", code=1)
    assert "nothing is proved from bytes" in refused
    assert "nothing here knows what is in its layer 1" in tell(
        "update", "receipt.json", "new.tar", "-o", "x.tar", code=1
    )
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("update", "shop"), "`ocibuild lock shop --upgrade`"),
        (("update", "old.tar", "new.tar"), "name the file of the update with --out"),
        (("update", "old.tar", "new.tar", "-o", "x.zip"), "a file name ends in"),
        (("update", "old.tar", "new.tar", "-o", "x.tar", "--engine", "graph"), "--engine goes with --exact"),
        (("update", "old.tar", "new.tar", "-o", "x.tar", "--engine", "registry", "--verify"), "`ocibuild push` checks"),
        (("update", "old.tar", "new.tar", "-o", "-", "--json"), "both go to stdout"),
        (("update", "old.tar", "new.tar", "-o", "-", "--verify"), "nothing can be"),
        (("verify", "new.tar", "--since", "old.tar", "--rebuild"), "--since goes alone"),
        (("verify", "localhost:1/x:1", "--since", "old.tar"), "--since goes with a file"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_read(tell: Tell, words: tuple[str, ...], why: str) -> None:
    assert why in tell(*words, code=2)


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "tiny")


def test_a_build_writes_what_is_new_since_an_older_image(tiny: Tiny, tmp_path: Path) -> None:
    old = tmp_path / "old.tar"
    old.write_bytes(built(tiny))
    changed = ("--label", "changed=yes", "--user", "somebody:2000")
    new = tmp_path / "new.tar"
    new.write_bytes(built(tiny, *changed))
    update = tmp_path / "update.tar"
    for words in (("--since", str(old), "--out", str(update), "--verify"), ("--since", str(old), "--out", str(update))):
        done = build(tiny, *changed, *words)
        assert done.code == 0, done
    read_image(new)
    assert root_of(layers_of(update, old)) == root_of(layers_of(new))
    assert update.stat().st_size < new.stat().st_size / 2


def test_a_script_writes_updates_of_images_it_builds_or_opens(tiny: Tiny, tmp_path: Path) -> None:
    old, new = tmp_path / "old.tar", tmp_path / "new.tar"
    old.write_bytes(built(tiny))
    new.write_bytes(built(tiny, "--user", "somebody:2000"))
    update = open_image(new).write_update(str(old), tmp_path / "update.tar")
    assert update.travels == (tmp_path / "update.tar").stat().st_size < update.whole
    assert root_of(layers_of(tmp_path / "update.tar", old)) == root_of(layers_of(new))
    builder = Builder(tiny.root, cache=tiny.cache)
    back = builder.build("app").write_update(new, tmp_path / "back.tar", force=True)
    assert root_of(layers_of(tmp_path / "back.tar", new)) == root_of(layers_of(old))
    assert back.references[0].familiar == "app:latest"


def test_an_update_takes_no_images_place(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old.tar"
    old.write_bytes(built(tiny))
    monkeypatch.chdir(tmp_path)
    words = ["build", "app", "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--since", str(old)]
    assert main(words) == 2
    assert "an update is a file: name one with --out" in capsys.readouterr().err
    assert not (tmp_path / "app.tar").exists()
    assert "there is nothing to update" in build(tiny, "--since", str(old)).said


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


def test_images_of_a_registry_are_brought_up_to_each_other(tell: Tell, tmp_path: Path, registry: FakeRegistry) -> None:
    for name in ("old", "new"):
        tell("push", f"{name}.tar", f"{registry.host}/team/{name}:1", "--insecure")
    old, new = f"{registry.host}/team/old:1", f"{registry.host}/team/new:1"
    tell("update", old, new, "--out", "update.tar", "--insecure", "--tag", "app:2", "--verify")
    assert root_of(layers_of(tmp_path / "update.tar", tmp_path / "old.tar")) == root_of(layers_of(tmp_path / "new.tar"))
    assert "update.tar: holds" in tell("verify", "update.tar", "--since", old, "--insecure")
    tell("update", old, "new.tar", "--out", "again.tar", "--insecure", "--tag", "app:2")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "update.tar").read_bytes()


def test_what_a_registry_lacks_is_pushed_where_the_rest_is_and_nowhere_else(
    tell: Tell, tmp_path: Path, registry: FakeRegistry
) -> None:
    place = f"{registry.host}/team/app"
    told = tell(
        "update", "old.tar", "new.tar", "--engine", "registry", "--out", "blobs.tar", "--tag", "far.invalid/x:2"
    )
    assert "2 blobs for a registry" in told and "1 blob (" in told and "ocibuild push blobs.tar" in told
    refused = tell("push", "blobs.tar", f"{place}:2", "--insecure", code=1)
    assert "leaves out 1 blob that" in refused and "nothing was pushed" in refused and "first that it is" in refused
    assert all(method.startswith(("HEAD", "GET")) for method in registry.methods())
    tell("push", "old.tar", f"{place}:1", "--insecure")
    assert "(blobs: 2 sent, 1 there)" in tell("push", "blobs.tar", f"{place}:2", "--insecure")
    tell("pull", f"{place}:2", "--out", "pulled.tar", "--insecure")
    assert root_of(layers_of(tmp_path / "pulled.tar")) == root_of(layers_of(tmp_path / "new.tar"))
    # A second repository of the registry gets the rest from the first.
    tell("push", "blobs.tar", f"{place}:3", f"{registry.host}/nobody/else:3", "--insecure")
    assert {"team/app:3", "nobody/else:3"} <= registry.manifests.keys()
    # Of two registries, the one that lacks something keeps the other from getting anything.
    with fake_registry() as empty:
        before = len(registry.methods())
        tell("push", "blobs.tar", f"{place}:4", f"{empty.host}/team/app:4", "--insecure", code=1)
        assert all(line.startswith(("HEAD", "GET")) for line in (*registry.methods()[before:], *empty.methods()))
    assert "team/app:4" not in registry.manifests


def test_an_update_for_a_registry_is_of_images_and_of_two(tell: Tell, tmp_path: Path) -> None:
    words = ("--engine", "registry", "--out", "x.tar")
    assert "there is nothing to update" in tell("update", "old.tar", "old.tar", *words, code=1)
    receipt = {"Id": "sha256:" + "0" * 64, "RootFS": {"Layers": ["sha256:" + "0" * 64]}}
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    assert "as a reference or a file" in tell("update", "receipt.json", "new.tar", *words, code=1)
    image_file(tmp_path / "alien.tar", layer({"lib/other.bin": random.Random(8).randbytes(90_000)}))
    assert "and save 0 %" in tell("update", "alien.tar", "new.tar", *words, code=1)
    # What is left out of NEW itself has to be in OLD.
    tell("update", "old.tar", "new.tar", "--engine", "registry", "--out", "part.tar")
    assert "is not in it, and not in alien.tar either" in tell(
        "update", "alien.tar", "part.tar", *words, "--force", code=1
    )
    assert not (tmp_path / "x.tar").exists()
    tell("update", "old.tar", "part.tar", *words)
