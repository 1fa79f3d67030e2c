"""One's own project as a wheel: what its backend sees, and what comes out."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.assemble.context import BuildPolicy
from oci_builder.assemble.pins import wheel_sources
from oci_builder.errors import UnsupportedRequirement, WheelError
from oci_builder.recipes import load_image
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.project import Project, build_project, download_backend
from oci_builder.wheels.project_tree import copy_tree
from tests.support.contexts import context_of
from tests.support.projects import make_project
from tests.support.sdists import make_sdist
from tests.support.targets import TARGET

OFFLINE = WheelSources(offline=True, environ=os.environ)
LISTING = """
def listing():
    lines = []
    for folder, folders, files in os.walk("."):
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            kind = "link" if os.path.islink(path) else oct(os.stat(path).st_mode & 0o777)[2:]
            lines.append(f"{os.path.relpath(path)} {kind}")
    return "\\n".join(sorted(lines)) + "\\n"
"""


@pytest.fixture
def umask() -> Iterator[None]:
    """A umask that hides from others, for the length of a test."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def build(folder: Path, store: Store) -> Project:
    return build_project(folder, TARGET, sources=OFFLINE, store=store, reporter=Quiet())


def seen(folder: Path, store: Store) -> list[str]:
    """What the backend of a project sees, with modes; its own files apart."""
    backend = folder / "backend.py"
    text = backend.read_text().replace('pathlib.Path("app.py").read_text()', "listing()")
    backend.write_text(text + LISTING)
    with zipfile.ZipFile(store.path(build(folder, store).pin.sha256)) as wheel:
        lines = wheel.read("app.py").decode().splitlines()
    own = ("app.py ", "backend.py ", "needs.txt ", "pyproject.toml ", "left-by-the-build ", "__pycache__")
    return [line for line in lines if not line.startswith(own)]


def test_a_project_gives_its_wheel_and_what_that_needs(tmp_path: Path, store: Store) -> None:
    project = build(make_project(tmp_path / "src", requires=["tool>=1", 'many; extra == "web"']), store)
    assert (project.pin.name, project.pin.version, project.pin.filename) == ("app", "1.0", "app-1.0-py3-none-any.whl")
    assert project.pin.requested and project.pin.direct_url is None
    assert project.requires == ('many; extra == "web"', "tool>=1")
    assert store.has(project.pin.sha256, project.pin.size)


@pytest.mark.usefixtures("umask")
def test_the_wheel_does_not_depend_on_where_and_how_it_is_built(tmp_path: Path, store: Store) -> None:
    one = build(make_project(tmp_path / "one" / "src"), store)
    os.umask(0o002)
    os.utime(make_project(tmp_path / "two" / "elsewhere") / "app.py", (1, 1))
    two = build(tmp_path / "two" / "elsewhere", store)
    assert one.pin.sha256 == two.pin.sha256


def test_a_project_is_built_anew_each_time(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    src = make_project(tmp_path / "src")
    assert build(src, store).pin.version == "1.0"
    # Nothing in its folder tells that the version is another now.
    sources = WheelSources(offline=True, environ={**os.environ, "APP_VERSION": "2.0"})
    again = build_project(src, TARGET, sources=sources, store=store, reporter=Quiet())
    assert again.pin.version == "2.0"


@pytest.mark.usefixtures("umask")
def test_the_backend_sees_sources_and_nothing_of_the_machine(tmp_path: Path, store: Store) -> None:
    src = make_project(tmp_path / "src")
    for name in (
        *("app/__init__.py", "app/__pycache__/x.pyc", ".venv/bin/python", "env/pyvenv.cfg", "app.egg-info/PKG-INFO"),
        *(
            "dist/old.whl",
            "build/lib/stale.py",
            "build/bdist.linux/x",
            "build/web/image.toml",
            "build/web/wheels/x.whl",
            "build/web/base/index.json",
            "build/web/fetched/model.bin",
        ),
        *("build/web/debs/x.deb", "mypy.tar", "data/kept.tar", ".git/HEAD", "lib/kept.py", "tests/dist/kept.py"),
    ):
        (src / name).parent.mkdir(parents=True, exist_ok=True)
        (src / name).touch()
    (src / "run.sh").touch(mode=0o700)
    (src / "link").symlink_to("app")
    (src / "dangling").symlink_to("nowhere")
    files = ["app/__init__.py", "build/web/image.toml", "data/kept.tar", "lib/kept.py", "tests/dist/kept.py"]
    found = seen(src, store)
    assert [line for line in found if line.endswith(" 644")] == [f"{name} 644" for name in files]
    assert [line for line in found if line.endswith(" link")] == [".git link", "dangling link", "link link"]
    assert "run.sh 755" in found
    assert (src / "build" / "lib" / "stale.py").exists()


def test_a_store_inside_the_project_is_not_copied_into_itself(tmp_path: Path) -> None:
    src = make_project(tmp_path / "src")
    store = Store(src / "cache")
    assert not any(line.startswith("cache") for line in seen(src, store))


def test_what_was_downloaded_for_the_project_itself_is_no_source_of_it(tmp_path: Path) -> None:
    src = make_project(tmp_path / "src")
    for name in ("wheels/tool-1.0-py3-none-any.whl", "base/__init__.py"):
        (src / name).parent.mkdir()
        (src / name).touch()
    (src / "requirements.txt").touch()
    context = context_of(tmp_path / "cache", project=src)
    sources = wheel_sources(load_image(src), context, BuildPolicy())
    # Not a package that is called as a folder of ours.
    assert sources.downloads == (src / "wheels",)
    copy = tmp_path / "copy"
    copy_tree(src, copy, without=sources.downloads)
    assert [(copy / name).exists() for name in ("wheels", "base")] == [False, True]


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("raise RuntimeError('no compiler here')\n", "no compiler here"),
        ("def build_wheel(*_, **__):\n    return 'nothing-1.0-py3-none-any.whl'\n", "building it failed"),
    ],
)
def test_a_build_that_fails_says_what_was_said(tmp_path: Path, store: Store, backend: str, said: str) -> None:
    src = make_project(tmp_path / "src")
    (src / "backend.py").write_text(backend)
    with pytest.raises(WheelError, match=said):
        build(src, store)
    assert list((store.root / "v1" / "tmp").iterdir()) == []


@pytest.mark.parametrize("need", ["tool", "tool @ URL", "tool @ FOLDER"])
def test_what_builds_a_project_is_wheels_unless_the_recipe_names_it(tmp_path: Path, store: Store, need: str) -> None:
    src, wheels = make_project(tmp_path / "src"), tmp_path / "wheels"
    witness = tmp_path / "witness"
    sdist = make_sdist(wheels, "tool", "1.0", witness=str(witness))
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "setup.py").write_text(f"open({str(witness)!r}, 'w')")
    need = need.replace("URL", sdist.as_uri()).replace("FOLDER", (tmp_path / "tool").as_uri())
    text = (src / "pyproject.toml").read_text().replace("requires = []", f'requires = ["{need}"]')
    (src / "pyproject.toml").write_text(text)
    sources = WheelSources(find_links=(wheels,), offline=True, environ=os.environ)
    with pytest.raises((UnsupportedRequirement, WheelError), match="tool"):
        build_project(src, TARGET, sources=sources, store=store, reporter=Quiet())
    with pytest.raises((UnsupportedRequirement, WheelError), match="tool"):
        download_backend(src, tmp_path / "dest", sources=sources)
    assert not witness.exists()
    named = replace(sources, build=frozenset({"tool"}))
    if "@" not in need:
        assert build_project(src, TARGET, sources=named, store=store, reporter=Quiet()).pin.name == "app"
        assert witness.exists()
