"""Images to registries and folders and back, from the command line."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.verify.verify import verify_file
from tests.support.fakeregistry import FakeRegistry, Handler, break_after, error, fake_registry, give, refuse
from tests.support.registries import PASSWORD, USER
from tests.support.tiny import Ending, Tiny, build, make_tiny, unsound


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


def without_out(tiny: Tiny, *flags: str) -> Ending:
    """Build without naming a file."""
    words = tiny.words(*flags)
    at = words.index("--out")
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(words[:at] + words[at + 2 :])
    return Ending(code, said.getvalue())


def run(*words: str | Path, code: int = 0) -> None:
    assert main([str(word) for word in words]) == code


def test_build_pushes_and_writes_no_file(tiny: Tiny, registry: FakeRegistry) -> None:
    ending = without_out(tiny, "--push", f"{registry.host}/team/app:1")
    assert ending.code == 0, ending.said
    assert "sent" in ending.said and "team/app:1" in registry.manifests
    assert list(tiny.root.glob("*.tar")) == []


def test_with_out_it_does_both(tiny: Tiny, registry: FakeRegistry) -> None:
    flags = ["--push", f"{registry.host}/team/app:1", "--push", f"{registry.host}/team/app:2", "--out"]
    ending = build(tiny, *flags, str(tiny.out))
    assert ending.code == 0, ending.said
    digest = verify_file(tiny.out).manifest_digest
    assert {"team/app:1", "team/app:2", f"team/app:{digest}"} <= registry.manifests.keys()


def test_an_unchanged_image_is_pushed_by_one_question(tiny: Tiny, registry: FakeRegistry) -> None:
    flags = ["--push", f"{registry.host}/team/app:1"]
    build(tiny, *flags)
    before = len(registry.methods())
    assert "was there" in build(tiny, *flags).said
    assert registry.methods()[before:] == ["HEAD /v2/team/app/manifests/1"]


def test_a_push_that_is_refused_is_an_error(tiny: Tiny, registry: FakeRegistry) -> None:
    registry.does("PUT .*/manifests/", refuse(403), lasting=True)
    ending = build(tiny, "--push", f"{registry.host}/team/app:1")
    assert ending.code == 1
    assert "403" in ending.said and "forbids it, and did not ask for a login" in ending.said


@pytest.mark.parametrize("how", [("--out", "app/"), ("--format", "oci-dir"), ("--format", "oci-dir", "--out", "app")])
def test_a_folder_is_an_oci_layout(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]) -> None:
    monkeypatch.chdir(tiny.root)
    ending = without_out(tiny, *how)
    assert ending.code == 0, ending.said
    assert (tiny.root / "app" / "oci-layout").is_file()
    assert len(json.loads((tiny.root / "app" / "index.json").read_bytes())["manifests"]) == 1


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--out", "x/", "--format", "tar"], "writes a file"),
        (["--out", "none/x/"], "no folder"),
        (["--out", "build/"], "not empty"),
        (["--push", "x@sha256:" + "0" * 64], "has a tag"),
        (["--cache-from", "host/cache:1"], "a whole repository"),
    ],
)
def test_flags_that_cannot_be_are_refused_before_anything_is_built(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, flags: list[str], why: str
) -> None:
    monkeypatch.chdir(tiny.root)
    ending = build(tiny, *flags)
    assert ending.code in (1, 2) and why in ending.said
    assert "layers" not in ending.said


def test_a_file_goes_there_and_comes_back(tiny: Tiny, registry: FakeRegistry, tmp_path: Path) -> None:
    build(tiny, "--out", str(tiny.out))
    reference, cache = f"{registry.host}/team/app:1", f"--cache-dir={tmp_path}/other"
    run("push", tiny.out, reference, cache)
    run("pull", reference, "--out", tmp_path / "back.tar", cache)
    sent, back = verify_file(tiny.out), verify_file(tmp_path / "back.tar")
    assert back.findings == ()
    assert (back.manifest_digest, back.image_id) == (sent.manifest_digest, sent.image_id)


def test_a_layout_goes_there_too_and_a_second_pull_fetches_nothing(
    tiny: Tiny, registry: FakeRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(tiny, "--out", f"{tmp_path}/app/")
    reference, cache = f"{registry.host}/team/app:1", f"--cache-dir={tmp_path}/other"
    run("push", tmp_path / "app", reference, cache)
    run("pull", reference, "--out", f"{tmp_path}/one/", cache)
    capsys.readouterr()
    run("pull", reference, "--out", f"{tmp_path}/two/", "--json", cache)
    assert json.loads(capsys.readouterr().out)["received"] == 0
    names = [sorted(path.name for path in (tmp_path / where / "blobs/sha256").iterdir()) for where in ("app", "two")]
    assert names[0] == names[1]


def test_what_is_not_there_cannot_be_pulled(registry: FakeRegistry, tmp_path: Path) -> None:
    out = tmp_path / "x.tar"
    run("pull", f"{registry.host}/team/none:1", "--out", out, f"--cache-dir={tmp_path}/cache", code=1)
    assert not out.exists()


@pytest.mark.parametrize("name", ["image.tar", "image/"])
@pytest.mark.parametrize("how", ["changed", "cut"])
def test_a_pull_that_gets_other_bytes_leaves_nothing(
    tiny: Tiny, registry: FakeRegistry, tmp_path: Path, name: str, how: str
) -> None:
    build(tiny, "--push", f"{registry.host}/team/app:1")
    largest = max(registry.blobs, key=lambda digest: len(registry.blobs[digest]))
    whole = registry.blobs[largest]
    wrong = give(whole[:-1] + b"x") if how == "changed" else break_after(whole[:-1], promised=len(whole) - 1)
    registry.does(f"GET .*{largest}", wrong, lasting=True)
    cache = tmp_path / "cache"
    run("pull", f"{registry.host}/team/app:1", "--out", f"{tmp_path}/{name}", "--cache-dir", cache, code=1)
    assert not (tmp_path / name).exists() or list((tmp_path / name).iterdir()) == []
    assert not (cache / "v1" / "blobs" / "sha256" / largest.removeprefix("sha256:")).exists()
    assert unsound(cache) == []


def test_another_machine_takes_the_layers_from_the_cache_and_needs_no_wheel(tiny: Tiny, registry: FakeRegistry) -> None:
    cache = f"{registry.host}/team/cache"
    first = build(tiny, "--out", str(tiny.out), "--cache-to", cache)
    assert first.code == 0, first.said
    expected = tiny.out.read_bytes()
    shutil.rmtree(tiny.cache)
    for folder in (tiny.wheels, tiny.debs):
        shutil.rmtree(folder)
        folder.mkdir()
    second = build(tiny, "--out", str(tiny.out), "--cache-from", cache)
    assert second.code == 0, second.said
    assert tiny.out.read_bytes() == expected


def test_a_dead_cache_fails_no_build(tiny: Tiny) -> None:
    ending = build(tiny, "--out", str(tiny.out), "--cache-from", "127.0.0.1:1/x", "--cache-to", "127.0.0.1:1/x")
    assert ending.code == 0
    assert ending.said.count("is not used") == 1


def guarded(request: Handler) -> None:
    """Ask for Basic, take whatever comes."""
    if request.headers.get("Authorization"):
        request.registry.serve(request)
        return
    request.body()
    request.say(401, error("UNAUTHORIZED", "who are you?"), WWW_Authenticate="Basic realm=x")


def seen(registry: FakeRegistry) -> set[str | None]:
    return {headers.get("Authorization") for _, _, headers in registry.asked}


@pytest.mark.parametrize("how", ["environment", "stdin"])
def test_a_login_of_this_run_goes_to_the_registry_it_is_for(
    tiny: Tiny, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    registry.does("/v2/team/", guarded, lasting=True)
    flags = ["--push", f"{registry.host}/team/app:1"]
    if how == "stdin":
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{USER}:{PASSWORD}\n"))
        flags.append("--creds-stdin")
    else:
        monkeypatch.setenv("OCIBUILD_REGISTRY_USER", USER)
        monkeypatch.setenv("OCIBUILD_REGISTRY_PASSWORD", PASSWORD)
    ending = build(tiny, *flags, "--debug")
    assert ending.code == 0, ending.said
    assert PASSWORD not in ending.said
    assert "Basic c29tZWJvZHk6Y29ycmVjdCBob3JzZQ==" in seen(registry)


def test_a_login_of_this_run_is_for_one_registry_only(
    tiny: Tiny, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCIBUILD_REGISTRY_USER", USER)
    ending = build(tiny, "--push", f"{registry.host}/team/app:1")
    assert ending.code == 2 and "go together" in ending.said
    monkeypatch.setenv("OCIBUILD_REGISTRY_PASSWORD", PASSWORD)
    ending = build(tiny, "--push", f"{registry.host}/team/app:1", "--push", "elsewhere.test/team/app:1")
    assert ending.code == 2 and "is for one registry" in ending.said
    assert registry.asked == []
