"""A build that has nothing to do does nothing, and only then."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from oci_builder.cli import build, main, uptodate
from oci_builder.cli.recipe import open_source
from oci_builder.cli.request import BuildRequest
from oci_builder.cli.settings import make_settings
from oci_builder.recipes import ImageSource
from oci_builder.uptodate.memory import Memory, PreviousBuild
from oci_builder.verify.verify import verify_file
from tests.support.fakeregistry import FakeRegistry, fake_registry, refuse
from tests.support.projects import make_project
from tests.support.tiny import CHECKOUT, NAME, Tiny, make_tiny, unsound

NOTHING = "nothing to do"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A project we stand in, with a lock and an image that were just made."""
    tiny = make_tiny(tmp_path / "project")
    monkeypatch.chdir(tiny.root)
    tiny.lock()
    # The first looks about; what loading it changed (compiled modules, say) is settled for the second.
    assert main(command(tiny)) == main(command(tiny)) == 0
    return tiny


def command(tiny: Tiny, *words: str) -> list[str]:
    # pytest changes it between a test's set-up and the test itself.
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    return [NAME, "--cache-dir", str(tiny.cache), "--progress", "none", *words]


def said(tiny: Tiny, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(command(tiny, *words)) == 0
    return capsys.readouterr().err


def test_the_same_again_leaves_the_file_alone(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    before = tiny.out.stat()
    assert NOTHING in said(tiny, capsys)
    assert tiny.out.stat() == before


def test_json_tells_the_same_image(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    documents = []
    for _ in range(2):
        assert main(command(tiny, "--json")) == 0
        captured = capsys.readouterr()
        documents.append(json.loads(captured.out))
    assert NOTHING in captured.err
    for document in documents:
        del document["seconds"]
    assert documents[0] == documents[1]


def overwrite(path: Path) -> None:
    """Other bytes of the same size and age."""
    info = path.stat()
    path.write_bytes(bytes(info.st_size))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


CHANGES: dict[str, Callable[[Tiny], object]] = {
    "the image is gone": lambda tiny: tiny.out.unlink(),
    "the image holds something else": lambda tiny: overwrite(tiny.out),
    "the recipe says something else": lambda tiny: (tiny.image / "image.toml").write_text(
        (tiny.image / "image.toml").read_text() + '\n[config]\ncmd = ["python3", "-V"]\n'
    ),
    "the base's recipe was touched": lambda tiny: os.utime(tiny.base / "layer.toml"),
    "the cache was cleared": lambda tiny: main(["cache", "clear", "--cache-dir", str(tiny.cache)]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed(tiny: Tiny, change: Callable[[Tiny], object], capsys: pytest.CaptureFixture[str]) -> None:
    assert NOTHING in said(tiny, capsys)
    change(tiny)
    assert NOTHING not in said(tiny, capsys)
    assert NOTHING in said(tiny, capsys)


WITHOUT_A_SAY: dict[str, Callable[[Tiny], object]] = {
    "a file that nothing names": lambda tiny: (tiny.image / "new").write_text("x"),
    "a base that nothing names": lambda tiny: (tiny.root / "layers" / "other").mkdir(),
    "a key of a base that is made": lambda tiny: (tiny.base / "keys").mkdir(),
    "a file beside the project's folders": lambda tiny: (tiny.root / "README.md").write_text("x"),
}


@pytest.mark.parametrize("change", WITHOUT_A_SAY.values(), ids=WITHOUT_A_SAY)
def test_what_moves_no_byte_is_no_reason_to_build(
    tiny: Tiny, change: Callable[[Tiny], object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert NOTHING in said(tiny, capsys)
    change(tiny)
    assert NOTHING in said(tiny, capsys)


def test_a_base_of_that_name_that_would_be_found_first_is_noticed(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny.root / "first").mkdir()
    words = ("--layers", "first", "--layers", "layers")
    said(tiny, capsys, *words)
    assert NOTHING in said(tiny, capsys, *words)
    shutil.copytree(tiny.base, tiny.root / "first" / tiny.base.name)
    assert NOTHING not in said(tiny, capsys, *words)


def test_a_file_that_is_gone_or_changed_is_written_again_and_nothing_is_made(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = tiny.out.read_bytes()
    damages: list[Callable[[Path], object]] = [Path.unlink, overwrite]
    for damage in damages:
        damage(tiny.out)
        lines = said(tiny, capsys)
        assert NOTHING not in lines and "app.tar: " in lines
        assert tiny.out.read_bytes() == expected
        assert verify_file(tiny.out).findings == ()
    assert NOTHING in said(tiny, capsys)


def test_json_tells_the_same_of_a_file_written_again(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    documents = []
    for _ in range(2):
        assert main(command(tiny, "--json")) == 0
        documents.append(json.loads(capsys.readouterr().out))
        tiny.out.unlink()
    assert documents[1]["seconds"].keys() == {"write", "total"}
    for document in documents:
        del document["seconds"]
    assert documents[0] == documents[1]


def test_writing_again_loads_nothing_that_builds(tiny: Tiny) -> None:
    program = "import sys; from oci_builder.cli import main; main(sys.argv[1:]); print(*sorted(sys.modules))"
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    for _ in range(2):
        tiny.out.unlink()
        argv = [sys.executable, "-c", program, *command(tiny)]
        loaded = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout.split()
    assert "oci_builder.export.docker_archive" in loaded
    rooms = {name.split(".")[1] for name in loaded if name.startswith("oci_builder.")}
    assert rooms.isdisjoint({"assemble", "bases", "check", "debian", "recipes", "registry", "wheels"})


def test_a_build_that_asks_no_server_loads_nothing_that_could(tiny: Tiny) -> None:
    program = "import sys; from oci_builder.cli import main; main(sys.argv[1:]); print(*sorted(sys.modules))"
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    (tiny.cache / "v1" / "records" / "layer").rename(tiny.cache / "v1" / "records" / "lost")
    argv = [sys.executable, "-c", program, *command(tiny, "--verify")]
    loaded = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout.split()
    assert "oci_builder.wheels.layers" in loaded
    assert {"requests", "urllib3", "urllib.request", "http.client", "oras", "tenacity"}.isdisjoint(loaded)


@pytest.mark.parametrize("damage", [overwrite, Path.unlink])
def test_a_layer_that_is_damaged_or_gone_is_made_anew_for_the_file(
    tiny: Tiny, damage: Callable[[Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = tiny.out.read_bytes()
    assert main(command(tiny, "--json")) == 0
    top = json.loads(capsys.readouterr().out)["layers"][-1]["digest"]
    tiny.out.unlink()
    damage(tiny.cache / "v1" / "blobs" / "sha256" / top.removeprefix("sha256:"))
    assert NOTHING not in said(tiny, capsys)
    assert tiny.out.read_bytes() == expected
    assert unsound(tiny.cache) == []


def test_a_folder_for_the_file_that_is_gone_is_told_as_before(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny.root / "out"
    folder.mkdir()
    words = ("--out", "out/app.tar")
    for _ in range(2):
        said(tiny, capsys, *words)
    assert NOTHING in said(tiny, capsys, *words)
    shutil.rmtree(folder)
    assert main(command(tiny, *words)) == 2


def recipe(tiny: Tiny, text: str) -> None:
    (tiny.image / "image.toml").write_text((tiny.image / "image.toml").read_text() + text)


def make_outside_copy(tiny: Tiny) -> Path:
    """A copy from beside ``build/``; gives the file to edit."""
    (tiny.root / "src" / "deep").mkdir(parents=True)
    (tiny.root / "src" / "deep" / "f").write_text("1")
    recipe(tiny, '[[copy]]\nsrc = "../../src"\ndest = "/a"\n')
    return tiny.root / "src" / "deep" / "f"


def make_linked_copy(tiny: Tiny) -> Path:
    """The same through a link that is no part of the recipe's folder."""
    file = make_outside_copy(tiny)
    (tiny.root / "build" / "lnk").symlink_to("../src/deep")
    text = (tiny.image / "image.toml").read_text()
    (tiny.image / "image.toml").write_text(text.replace("../../src", "../lnk/f"))
    return file


def make_include(tiny: Tiny) -> Path:
    """Requirements that include others from elsewhere."""
    (tiny.root / "more.txt").write_text("tool\n")
    (tiny.image / "requirements.txt").write_text("whole==3.0\n-r ../../more.txt\n")
    return tiny.root / "more.txt"


def make_hidden_include(tiny: Tiny) -> Path:
    """The same in what PowerShell writes."""
    file = make_include(tiny)
    text = (tiny.image / "requirements.txt").read_text()
    (tiny.image / "requirements.txt").write_bytes(text.encode("utf-16"))
    return file


def make_constraint(tiny: Tiny) -> Path:
    """The same with constraints, on a line that is joined of two."""
    (tiny.root / "less.txt").write_text("tool\n")
    (tiny.image / "requirements.txt").write_text("whole==3.0\n\\\n-c ../../less.txt\n")
    return tiny.root / "less.txt"


def make_linked_wheels(tiny: Tiny) -> Path:
    """Wheels in a folder elsewhere."""
    tiny.wheels.rename(tiny.root / "all")
    tiny.wheels.symlink_to("../../all")
    return next((tiny.root / "all").glob("whole-*.whl"))


def make_linked_base(tiny: Tiny) -> Path:
    """A base that lies elsewhere."""
    tiny.base.rename(tiny.root / "elsewhere")
    tiny.base.symlink_to(tiny.root / "elsewhere")
    return tiny.root / "elsewhere" / "layer.toml"


INPUTS: dict[str, Callable[[Tiny], Path]] = {
    "a copy from beside build/": make_outside_copy,
    "a copy through a link": make_linked_copy,
    "included requirements": make_include,
    "included requirements in UTF-16": make_hidden_include,
    "constraints": make_constraint,
    "a linked folder of wheels": make_linked_wheels,
    "a linked base": make_linked_base,
}


@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
def test_an_input_that_lies_elsewhere_is_watched(
    tiny: Tiny, make: Callable[[Tiny], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = make(tiny)
    for _ in range(2):
        main(command(tiny))
    capsys.readouterr()
    main(command(tiny))
    assert NOTHING in capsys.readouterr().err
    file.write_text("2")
    main(command(tiny))
    assert NOTHING not in capsys.readouterr().err


def test_what_is_copied_from_elsewhere_is_never_stale(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    file = make_outside_copy(tiny)
    images = set()
    for text in ("1", "2", "3"):
        file.write_text(text)
        assert NOTHING not in said(tiny, capsys)
        images.add(tiny.out.read_bytes())
    assert len(images) == 3


@pytest.mark.parametrize("first", [True, False])
def test_an_edit_while_the_recipe_is_read_is_built_the_next_time(
    tiny: Tiny, first: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = open_source

    def edited_meanwhile(*args: Any, **flags: Any) -> ImageSource:
        if first:
            recipe(tiny, '[config.labels]\nx = "1"\n')
        source = read(*args, **flags)
        if not first:
            recipe(tiny, '[config.labels]\nx = "1"\n')
        return source

    tiny.forget()
    with monkeypatch.context() as patch:
        # The instant alone is ours: what is called is the real thing.
        patch.setattr(build, "open_source", edited_meanwhile)
        assert NOTHING not in said(tiny, capsys)
    # One that came first was read, and built.
    assert (NOTHING in said(tiny, capsys)) == first
    expected = tiny.out.read_bytes()
    tiny.forget()
    said(tiny, capsys)
    assert tiny.out.read_bytes() == expected


def test_an_edit_right_after_another_is_noticed(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    file = tiny.image / "app"
    recipe(tiny, '[[copy]]\nsrc = "app"\ndest = "/app"\n')
    for number in range(5):
        file.write_text(str(number))
        said(tiny, capsys)
        file.write_text(str(number + 5))
        assert NOTHING not in said(tiny, capsys)


def test_a_link_that_leads_nowhere_is_watched_for_where_it_leads(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny.image / "app").mkdir()
    (tiny.image / "app" / "lnk").symlink_to("one")
    recipe(tiny, '[[copy]]\nsrc = "app"\ndest = "/app"\n')
    said(tiny, capsys)
    assert NOTHING in said(tiny, capsys)
    (tiny.image / "new").symlink_to("two")
    folder = (tiny.image / "app").stat()
    (tiny.image / "new").rename(tiny.image / "app" / "lnk")
    os.utime(tiny.image / "app", ns=(folder.st_atime_ns, folder.st_mtime_ns))
    assert NOTHING not in said(tiny, capsys)


def test_a_folder_that_becomes_a_link_to_itself_is_noticed(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny.image / "app" / "d").mkdir(parents=True)
    (tiny.image / "app" / "d" / "f").write_text("1")
    recipe(tiny, '[[copy]]\nsrc = "app"\ndest = "/app"\nexclude = ["*.log"]\n')
    said(tiny, capsys)
    assert NOTHING in said(tiny, capsys)
    (tiny.image / "app" / "d").rename(tiny.image / "app" / "d.log")
    (tiny.image / "app" / "d").symlink_to("d.log")
    assert NOTHING not in said(tiny, capsys)


def test_an_output_that_was_gone_when_it_was_remembered_is_written(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh = Memory.refresh

    def gone_meanwhile(memory: Memory, before: PreviousBuild) -> None:
        tiny.out.unlink()
        refresh(memory, before)

    tiny.out.unlink()
    with monkeypatch.context() as patch:
        # The instant alone is ours: what is called is the real thing.
        patch.setattr(Memory, "refresh", gone_meanwhile)
        said(tiny, capsys)
    assert not tiny.out.exists()
    assert NOTHING not in said(tiny, capsys)
    assert tiny.out.is_file()


def test_a_layout_is_watched_with_all_its_files(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--out", "out/")
    assert NOTHING not in said(tiny, capsys, *words)
    assert NOTHING in said(tiny, capsys, *words)
    blob = max((tiny.root / "out" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    expected = blob.read_bytes()
    for damage in (Path.unlink, overwrite):
        damage(blob)
        assert NOTHING not in said(tiny, capsys, *words)
        assert blob.read_bytes() == expected
    assert NOTHING in said(tiny, capsys, *words)


def test_other_words_or_another_environment_are_another_build(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert NOTHING not in said(tiny, capsys, "--tag", "other:1")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert NOTHING not in said(tiny, capsys)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


def test_what_is_pushed_still_costs_one_question(
    tiny: Tiny, registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--push", f"{registry.host}/team/app:1")
    assert NOTHING not in said(tiny, capsys, *words)
    before = len(registry.asked)
    lines = said(tiny, capsys, *words)
    assert NOTHING in lines and f"{registry.host}/team/app:1@sha256:" in lines and "was there" in lines
    assert [(method, path) for method, path, _ in registry.asked[before:]] == [("HEAD", "/v2/team/app/manifests/1")]


def test_a_name_that_was_taken_or_moved_is_pushed_again(
    tiny: Tiny, registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--push", f"{registry.host}/team/app:1")
    said(tiny, capsys, *words)
    ours = registry.manifests["team/app:1"]
    del registry.manifests["team/app:1"]
    assert NOTHING not in said(tiny, capsys, *words)
    registry.manifests["team/app:1"] = (ours[0] + b" ", ours[1])
    assert NOTHING not in said(tiny, capsys, *words)
    assert registry.manifests["team/app:1"] == ours
    assert NOTHING in said(tiny, capsys, *words)


def test_a_registry_that_fails_is_told_as_by_any_build(
    tiny: Tiny, registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--push", f"{registry.host}/team/app:1")
    said(tiny, capsys, *words)
    registry.does("HEAD .*/manifests/", refuse(403), lasting=True)
    registry.does("PUT .*/manifests/", refuse(403), lasting=True)
    assert main(command(tiny, *words)) == 1
    assert "403" in capsys.readouterr().err


def test_a_bill_is_an_output_like_the_image(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--sbom", "app.cdx.json")
    said(tiny, capsys, *words)
    assert NOTHING in said(tiny, capsys, *words)
    bill = (tiny.root / "app.cdx.json").read_bytes()
    (tiny.root / "app.cdx.json").unlink()
    assert NOTHING not in said(tiny, capsys, *words)
    assert (tiny.root / "app.cdx.json").read_bytes() == bill


def test_files_for_several_platforms_are_watched_each(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--platform", "linux/amd64", "--sbom", "{arch}.cdx.json", "--out", "{arch}.tar")
    said(tiny, capsys, *words)
    assert NOTHING in said(tiny, capsys, *words)
    (tiny.root / "amd64.tar").unlink()
    assert NOTHING not in said(tiny, capsys, *words)
    assert (tiny.root / "amd64.tar").is_file()


def make_own_project(tiny: Tiny) -> Path:
    """A project around the recipe, with a repository."""
    make_project(tiny.root)
    (tiny.root / ".git" / "refs" / "heads").mkdir(parents=True)
    (tiny.root / ".git" / "objects").mkdir()
    for name, text in (("HEAD", "ref: refs/heads/main\n"), ("config", ""), ("refs/heads/main", "1" * 40)):
        (tiny.root / ".git" / name).write_text(text)
    elsewhere = tiny.root.parent / "elsewhere" / "deep"
    elsewhere.mkdir(parents=True)
    (elsewhere / "data").write_text("1")
    (tiny.root / "shared").symlink_to(elsewhere.parent)
    recipe(tiny, 'project = "../.."\n')
    return tiny.root


PROJECT_SAYS: dict[str, Callable[[Path], object]] = {
    "its code": lambda root: (root / "app.py").write_text("def main():\n    print(2)\n"),
    "a file more": lambda root: (root / "more.py").write_text(""),
    "a folder more": lambda root: (root / "folder").mkdir(),
    "a mode": lambda root: (root / "app.py").chmod(0o755),
    "a commit": lambda root: (root / ".git" / "refs" / "heads" / "main").write_text("2" * 40),
    "what a link leads to": lambda root: (root / "shared" / "deep" / "data").write_text("2"),
    "a tag": lambda root: (root / ".git" / "refs" / "tags").mkdir(),
}
PROJECT_SAYS_NOTHING: dict[str, Callable[[Path], object]] = {
    "an object": lambda root: (root / ".git" / "objects" / "11").mkdir(),
    "an environment": lambda root: (root / ".venv").mkdir(),
    "what compiling leaves": lambda root: (root / "__pycache__").mkdir(),
    "another image": lambda root: (root / "other.tar").write_text(""),
    "its bill": lambda root: (root / "other.cdx.json").write_text(""),
}


def test_all_that_a_project_is_built_from_is_watched(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_own_project(tiny)
    said(tiny, capsys)
    lines = said(tiny, capsys)
    assert NOTHING in lines and "build code runs" not in lines
    for change in PROJECT_SAYS_NOTHING.values():
        change(root)
        assert NOTHING in said(tiny, capsys)
    for change in PROJECT_SAYS.values():
        change(root)
        assert NOTHING not in said(tiny, capsys)
        assert NOTHING in said(tiny, capsys)


def test_variables_that_a_requirement_names_are_watched_and_no_others(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny.image / "requirements.txt").write_text("whole==${WHOLE}\n")
    monkeypatch.setenv("WHOLE", "3.0")
    said(tiny, capsys)
    monkeypatch.setenv("SOMETHING", "else")
    assert NOTHING in said(tiny, capsys)
    monkeypatch.setenv("WHOLE", "3.0.0")
    assert NOTHING not in said(tiny, capsys)


@pytest.mark.parametrize("by", ["digest", "tag"])
def test_a_base_of_a_registry_is_asked_for_by_its_tag_alone(
    tiny: Tiny, registry: FakeRegistry, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said(tiny, capsys, "--push", f"{registry.host}/team/app:1")
    name = f"{registry.host}/team/app:1"
    digest = f"sha256:{hashlib.sha256(registry.manifests['team/app:1'][0]).hexdigest()}"
    base = name if by == "tag" else f"{name}@{digest}"
    text = f'base = "{base}"\nplatforms = ["linux/amd64"]\n[python]\nrequirements = []\n'
    (tiny.image / "image.toml").write_text(text)
    for file in (tiny.image / "requirements.txt", tiny.image / "pylock.toml"):
        file.unlink()
    shutil.rmtree(tiny.wheels)
    assert NOTHING not in said(tiny, capsys)
    before = len(registry.asked)
    assert NOTHING in said(tiny, capsys)
    asked = [(method, path) for method, path, _ in registry.asked[before:]]
    assert asked == ([("HEAD", "/v2/team/app/manifests/1")] if by == "tag" else [])
    raw, kind = registry.manifests["team/app:1"]
    registry.manifests["team/app:1"] = (raw + b" ", kind)
    main(command(tiny))
    assert (NOTHING in capsys.readouterr().err) == (by == "digest")


def lead(link: Path, elsewhere: str | None) -> None:
    """Have a link lead elsewhere, or be a folder."""
    link.unlink()
    link.symlink_to(elsewhere) if elsewhere else link.mkdir()


COPIED: dict[str, Callable[[Path], object]] = {
    "an empty file": lambda src: (src / "empty").write_text("x"),
    "an empty folder": lambda src: (src / "hollow").rmdir(),
    "a mode": lambda src: (src / "deep" / "empty").chmod(0o755),
    "a link": lambda src: lead(src / "link", "deep"),
    "a folder that a link was": lambda src: lead(src / "link", None),
}


@pytest.mark.parametrize("change", COPIED.values(), ids=COPIED)
def test_whatever_is_copied_is_watched_and_what_is_excluded_is_not(
    tiny: Tiny, change: Callable[[Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    src = tiny.root / "src"
    for folder in ("deep", "hollow", "left"):
        (src / folder).mkdir(parents=True)
    for file in ("empty", "deep/empty", "left/out", "out.log"):
        (src / file).write_text("")
    (src / "link").symlink_to("empty")
    recipe(tiny, '[[copy]]\nsrc = "../../src"\ndest = "/srv"\nexclude = ["left", "**/*.log"]\n')
    said(tiny, capsys)
    assert NOTHING in said(tiny, capsys)
    (src / "left" / "out").write_text("1")
    (src / "left" / "more").write_text("1")
    (src / "out.log").write_text("1")
    (src / "deep" / "more.log").write_text("1")
    assert NOTHING in said(tiny, capsys)
    before = tiny.out.read_bytes()
    change(src)
    assert NOTHING not in said(tiny, capsys)
    assert tiny.out.read_bytes() != before


def test_whatever_is_said_of_an_image_makes_a_command_of_its_own() -> None:
    others: dict[type, Any] = {bool: True, type(None): "x", str: "x", tuple: ("x",), MappingProxyType: {"x": "y"}}
    paths = {"cache_dir": Path("other"), "project_dir": Path("other"), "jobs": 7, "epoch": 7}

    def key(request: BuildRequest) -> str:
        return uptodate.remembered(request, make_settings(request)).key(whole=False)

    plain = BuildRequest(name="app")
    for name in BuildRequest.fields():
        changed: dict[str, Any] = {name: paths.get(name) or others[type(getattr(plain, name))]}
        assert (key(plain.but(**changed)) == key(plain)) == (name in uptodate.ASIDE), name
