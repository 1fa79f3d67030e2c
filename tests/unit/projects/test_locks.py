"""Locks of other tools: what is taken of them, and what is refused by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from oci_builder.errors import (
    NoMatchingWheel,
    NotFound,
    OcibuildError,
    RecipeError,
    StaleLock,
    UnsupportedRequirement,
)
from oci_builder.projects.packages import Choice
from oci_builder.projects.reading import parse_lock, read_lock
from oci_builder.wheels.pins import LockedWheels
from tests.parity.locks import LOCKS, target_of
from tests.support.targets import TARGET
from tests.support.wheels import make_wheel, sha256

HASH = "a" * 64


def read(name: str, extras: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> LockedWheels:
    return read_lock(LOCKS / name, TARGET, Choice.of(extras, groups))


def parse(name: str, text: str, folder: Path = Path("/project"), **chosen: tuple[str, ...]) -> LockedWheels:
    choice = Choice.of(chosen.get("extras", ()), chosen.get("groups", ()))
    return parse_lock(text.encode(), folder / name, TARGET, choice)


def uv(package: str, *, head: str = "version = 1", edge: str = '{ name = "dep" }') -> str:
    root = f'[[package]]\nname = "root"\nversion = "1"\nsource = {{ virtual = "." }}\ndependencies = [{edge}]\n'
    return f"{head}\n{root}\n[[package]]\n{package}\n"


def dep(source: str, files: str = "") -> str:
    return f'name = "dep"\nversion = "1.0"\nsource = {source}\n{files}'


def poetry(package: str, version: str = "2.1") -> str:
    return f'[[package]]\nname = "dep"\nversion = "1.0"\n{package}\n[metadata]\nlock-version = "{version}"\n'


def test_the_wheel_is_the_one_that_pip_would_choose() -> None:
    (numpy,) = [pin for pin in read("uv-fork/uv.lock").pins if pin.name == "numpy"]
    assert numpy.filename.startswith("numpy-2.4.6-cp311-cp311-manylinux")
    assert numpy.filename.endswith("x86_64.whl")
    arm = read_lock(LOCKS / "uv-fork/uv.lock", target_of("3.12.4", "linux/arm64"), Choice())
    assert any(pin.filename.startswith("numpy-2.5.5-cp312") and "aarch64" in pin.filename for pin in arm.pins)


def test_a_wheel_of_the_project_s_folder_is_taken_by_its_digest(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "localwheel", "1.0")
    text = (LOCKS / "uv-sources/uv.lock").read_text().replace('{ name = "pathdep" },', "")
    text = re.sub(r'(localwheel-1\.0-py3-none-any\.whl", hash = "sha256:)[0-9a-f]+', rf"\g<1>{sha256(wheel)}", text)
    found = parse("uv.lock", text, tmp_path, extras=("wheel",))
    (digest, path), *_ = found.local.items()
    assert path == wheel and digest.hex == sha256(wheel)
    (pin,) = [pin for pin in found.pins if pin.sha256 == digest]
    assert pin.direct_url is not None
    assert json.loads(pin.direct_url)["url"] == "file:///localwheel-1.0-py3-none-any.whl"


def test_a_wheel_of_a_folder_that_is_an_index_is_pinned_by_what_it_is(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "flat", "dep", "1.0")
    found = parse("uv.lock", uv(dep('{ registry = "flat" }', f'wheels = [{{ path = "{wheel.name}" }}]')), tmp_path)
    assert [pin.sha256.hex for pin in found.pins] == [sha256(wheel)]
    assert list(found.local.values()) == [wheel]
    # It comes from an index, if one in a folder: nobody asked for the file.
    assert found.pins[0].direct_url is None


def test_a_member_of_a_workspace_has_what_it_needs_itself() -> None:
    found = read_lock(LOCKS / "uv-workspace/uv.lock", TARGET, Choice.of(["more"], [], member="packages/lonely"))
    assert [pin.name for pin in found.pins] == ["certifi", "click"]


def test_credentials_of_a_lock_go_nowhere() -> None:
    file = f'wheels = [{{ url = "https://me:secret@x.example/dep-1.0-py3-none-any.whl", hash = "sha256:{HASH}" }}]'
    (pin,) = parse("uv.lock", uv(dep('{ registry = "https://me:secret@x.example/simple" }', file))).pins
    assert pin.url == "https://x.example/dep-1.0-py3-none-any.whl"
    (direct,) = parse("uv.lock", uv(dep('{ url = "https://me:secret@x.example/dep-1.0-py3-none-any.whl" }', file))).pins
    assert direct.direct_url is not None
    assert "secret" not in direct.direct_url


def test_a_local_version_is_a_version_like_others() -> None:
    file = f'wheels = [{{ url = "https://x.example/dep-1.0%2Bcpu-py3-none-any.whl", hash = "sha256:{HASH}" }}]'
    text = uv(dep('{ registry = "https://x.example" }', file).replace('"1.0"', '"1.0+cpu"'))
    (pin,) = parse("uv.lock", text).pins
    assert (pin.version, pin.filename) == ("1.0+cpu", "dep-1.0+cpu-py3-none-any.whl")


def test_one_marker_may_ask_for_several_extras() -> None:
    file = f'files = [{{file = "dep-1.0-py3-none-any.whl", hash = "sha256:{HASH}"}}]'
    marker = """markers = 'extra == "a" and extra == "b" and "c" != extra'"""
    text = poetry(f'groups = ["main"]\n{marker}\n{file}') + '[extras]\na = ["dep"]\nb = ["dep"]\nc = ["dep"]\n'
    assert [
        len(parse("poetry.lock", text, extras=each).pins) for each in ((), ("a",), ("A", "b"), ("a", "b", "c"))
    ] == [
        *(0, 0, 1, 0),
    ]


def test_what_a_pipfile_keeps_for_another_platform_is_left_out(tmp_path: Path) -> None:
    lock = {"_meta": {"pipfile-spec": 6}, "default": {"colorama": {"version": "*"}}}
    (tmp_path / "Pipfile").write_text("[packages]\ncolorama = {version = '*', sys_platform = \"== 'win32'\"}\n")
    assert parse("Pipfile.lock", json.dumps(lock), tmp_path).count == 0
    (tmp_path / "Pipfile").write_text("[packages]\ncolorama = '*'\n")
    with pytest.raises(UnsupportedRequirement, match="neither version nor hashes"):
        parse("Pipfile.lock", json.dumps(lock), tmp_path)


def test_files_without_names_are_asked_for_by_all_their_hashes() -> None:
    (idna,) = [line for line in read("pi-basic/Pipfile.lock").lines if line.startswith("idna==")]
    assert idna.count(" --hash=sha256:") == 2


URL = '{ registry = "https://x.example" }'
WHEEL = f'wheels = [{{ url = "https://x.example/dep-1.0-py3-none-any.whl", hash = "sha256:{HASH}" }}]'
REFUSED: list[tuple[str, str, type[OcibuildError], str]] = [
    ("uv.lock", uv(dep('{ git = "https://x.example/d?rev=1#abc" }')), UnsupportedRequirement, "dep 1.0: a checkout"),
    (
        "uv.lock",
        uv(dep(URL, 'sdist = { url = "https://x.example/dep-1.0.tar.gz" }')),
        UnsupportedRequirement,
        "no wheel",
    ),
    ("uv.lock", uv(dep(URL, WHEEL.replace("any", "win32"))), NoMatchingWheel, "dep-1.0-py3-none-win32.whl"),
    (
        "uv.lock",
        uv(dep('{ registry = "w" }', 'wheels = [{ path = "dep-1.0-py3-none-any.whl" }]')),
        UnsupportedRequirement,
        "its wheel, /project/w/dep-1.0-py3-none-any.whl, cannot be read",
    ),
    ("uv.lock", uv(dep(URL, WHEEL.replace("dep-1", "six-1"))), RecipeError, "not the name of a wheel of dep"),
    ("uv.lock", uv(dep(URL, WHEEL), head="version = 2"), RecipeError, "version 2 of the format"),
    (
        "uv.lock",
        uv(dep(URL, WHEEL), head='version = 1\nrequires-python = ">=3.13"'),
        StaleLock,
        "made for Python >=3.13",
    ),
    ("uv.lock", uv(dep(URL, WHEEL), edge='{ name = "other" }'), RecipeError, "0 packages other"),
    ("uv.lock", uv(dep(URL, WHEEL), edge='{ name = "dep", marker = "nonsense" }'), RecipeError, "not a marker"),
    ("uv.lock", "version = 1", RecipeError, "no project in its folder"),
    ("uv.lock", "x" * 70_000, RecipeError, "not TOML"),
    ("uv.lock", "version = 1\nx = " + "[" * 5000 + "]" * 5000, RecipeError, "not TOML"),
    ("poetry.lock", poetry('groups = ["main"]', "2.0"), RecipeError, "metadata.lock-version"),
    ("poetry.lock", poetry('groups = ["main"]'), UnsupportedRequirement, "no wheel of it"),
    (
        "poetry.lock",
        poetry('groups = ["main"]\n[package.source]\ntype = "git"\nurl = "u"'),
        UnsupportedRequirement,
        "checkout",
    ),
    ("pdm.lock", '[metadata]\nlock_version = "4.5.1"\nstrategy = []', RecipeError, "inherit_metadata"),
    ("pdm.lock", '[metadata]\nlock_version = "5.0"\nstrategy = []', RecipeError, "version 4 is known"),
    ("Pipfile.lock", '{"_meta": {"pipfile-spec": 7}}', RecipeError, "pipfile-spec"),
    ("Pipfile.lock", "[]", RecipeError, ""),
]


@pytest.mark.parametrize(("name", "text", "kind", "why"), REFUSED)
def test_what_cannot_be_is_refused_by_name(name: str, text: str, kind: type[OcibuildError], why: str) -> None:
    with pytest.raises(kind) as caught:
        parse(name, text)
    assert why in str(caught.value)
    assert name in str(caught.value) or name in (caught.value.hint or "")
    assert caught.value.hint


GIT = "https://me:secret@x.example/d"
TYPED: list[tuple[str, str, str, str]] = [
    (
        "uv.lock",
        uv(dep(f'{{ git = "{GIT}?subdirectory=sub&rev=v1#abc" }}')),
        "a checkout of git, https://x.example/d, is not a wheel",
        "pip wheel --no-deps -w dist 'git+https://x.example/d@abc#subdirectory=sub'), and lock that in its "
        "place: uv add ./dist/dep-*.whl",
    ),
    (
        "poetry.lock",
        poetry(
            'groups = ["main"]\nfiles = []\n[package.source]\n'
            f'type = "git"\nurl = "{GIT}"\nreference = "v1"\nresolved_reference = "abc"\nsubdirectory = "sub"'
        ),
        "a checkout of git",
        "'git+https://x.example/d@abc#subdirectory=sub'), and lock that in its place: poetry add ./dist/",
    ),
    (
        "pdm.lock",
        '[metadata]\nlock_version = "4.5.1"\nstrategy = ["inherit_metadata"]\n[[package]]\nname = "dep"\n'
        f'version = "1"\ngroups = ["default"]\nhg = "{GIT}"\nrevision = "abc"\n',
        "a checkout of hg, https://x.example/d",
        "hg+https://x.example/d@abc), and lock that in its place: pdm add ./dist/dep-*.whl",
    ),
    (
        "Pipfile.lock",
        json.dumps({"_meta": {"pipfile-spec": 6}, "default": {"my-dep": {"git": GIT, "ref": "abc"}}}),
        "a checkout of git",
        "git+https://x.example/d@abc), and lock that in its place: pipenv install ./dist/my_dep-*.whl",
    ),
    (
        "uv.lock",
        uv(dep(f'{{ url = "{GIT}/dep-1.0.tar.gz" }}')),
        "a source archive, https://x.example/d/dep-1.0.tar.gz, is not a wheel",
        "https://x.example/d/dep-1.0.tar.gz)",
    ),
    ("uv.lock", uv(dep('{ path = "dep-1.0.zip" }')), "a source archive, 'dep-1.0.zip'", "-w dist dep-1.0.zip)"),
    ("uv.lock", uv(dep('{ editable = "a\\u0000b" }')), "'a\\x00b' is no path", "pip wheel"),
    ("uv.lock", uv(dep('{ registry = "https://x.example" }')), "no wheel of it", "-w dist dep==1.0)"),
]


@pytest.mark.parametrize(("name", "text", "why", "typed"), TYPED)
def test_what_is_no_wheel_is_refused_with_what_to_type(name: str, text: str, why: str, typed: str) -> None:
    with pytest.raises(UnsupportedRequirement) as caught:
        parse(name, text)
    assert why in str(caught.value)
    assert typed in (caught.value.hint or "")
    assert "secret" not in f"{caught.value}{caught.value.hint}"


def test_folders_and_wheels_of_the_machine_are_found_from_the_lock() -> None:
    def places(name: str, **chosen: tuple[str, ...]) -> list[str]:
        found = read(name, **chosen)
        local = [*(each.folder for each in found.projects), *found.local.values()]
        return sorted(str(path.relative_to(LOCKS / name.partition("/")[0])) for path in local)

    wheel = "wheels/localwheel-1.0-py3-none-any.whl"
    assert places("po-paths/poetry.lock") == ["libs/alib", "libs/blib", wheel]
    assert places("pd-paths/pdm.lock", groups=("dev",)) == ["libs/alib", "libs/blib", wheel]
    assert places("pi-paths/Pipfile.lock") == [".", "libs/alib", "libs/blib", wheel]
    assert places("uv-virtual-root/uv.lock") == ["packages/one", "packages/two"]


@pytest.mark.parametrize(
    ("name", "extras", "groups", "why"),
    [
        ("uv-conflict/uv.lock", ("old", "new"), (), "extra new and extra old exclude each other"),
        ("uv-group-conflict/uv.lock", (), ("g1", "g2"), "group g1 and group g2 exclude each other"),
        ("uv-conflict/uv.lock", ("nope",), (), "there is no extra 'nope' in this lock; it has new, old"),
        ("po-groups/poetry.lock", (), ("nope",), "there is no group 'nope'"),
        ("pd-basic/pdm.lock", ("nope",), (), "there is no extra or group 'nope'"),
        ("pi-basic/Pipfile.lock", (), ("nope",), "there is no category 'nope'"),
        ("pd-noinherit/pdm.lock", (), (), "inherit_metadata"),
    ],
)
def test_a_choice_that_a_lock_cannot_serve_is_refused(
    name: str, extras: tuple[str, ...], groups: tuple[str, ...], why: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        read(name, extras, groups)
    assert why in str(caught.value)


def test_a_lock_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="uv\\.lock"):
        read_lock(tmp_path / "uv.lock", TARGET, Choice())
