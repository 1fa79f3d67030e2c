"""A project built by its backend in an environment that is kept, and when its wheel is remembered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import WheelError
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.wheels.backend import Backend
from oci_builder.wheels.build_environment import RECORDS, BuildEnvironment
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.process import Running
from oci_builder.wheels.project import Project, build_project
from oci_builder.wheels.project_requirements import BuildSystem, build_system
from tests.support.projects import make_project, with_backend
from tests.support.targets import TARGET
from tests.support.wheels import corrupt, make_wheel


class Told(Quiet):
    """Counts what was built: that is told of each build."""

    def __init__(self) -> None:
        self.builds = 0

    def note(self, line: str) -> None:
        self.builds += line.startswith("building ")


class Workplace:
    """A project whose backend is a wheel in a folder, and what became of it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.shelf, self.store = make_project(folder / "src"), folder / "shelf", store
        self.backend = with_backend(self.folder, self.shelf)
        self.told = Told()
        self.sources = WheelSources(find_links=(self.shelf,), offline=True, environ={**os.environ, "APP_VERSION": "1"})

    def build(self) -> Project:
        return build_project(self.folder, TARGET, sources=self.sources, store=self.store, reporter=self.told)

    def builds(self) -> int:
        """How often something was built since this was asked last."""
        count, self.told.builds = self.told.builds, 0
        return count

    def replace_backend(self, *, then: str) -> None:
        """Have the backend do something more when it builds."""
        text = (self.folder / "backend.py").read_text()
        self.backend.unlink()
        text = text.replace(
            '    pathlib.Path("left-by-the-build")', f'    {then}\n    pathlib.Path("left-by-the-build")'
        )
        make_wheel(self.shelf, "maker", files={"maker.py": text})


@pytest.fixture
def place(tmp_path: Path, store: Store) -> Iterator[Workplace]:
    yield Workplace(tmp_path, store)


def test_a_project_is_built_once_and_again_when_a_line_of_it_changes(place: Workplace) -> None:
    first = place.build()
    assert (place.builds(), place.build().pin, place.builds()) == (1, first.pin, 0)
    (place.folder / "app.py").write_text("def main():\n    print(2)\n")
    again = place.build()
    assert place.builds() == 1
    assert again.pin.sha256 != first.pin.sha256
    (place.folder / "app.py").write_text("def main():\n    print(1)\n")
    assert (place.build().pin, place.builds()) == (first.pin, 0)


def test_the_wheel_is_the_one_that_pip_would_have_built(place: Workplace, store: Store) -> None:
    ours = place.build()
    # What may be built from its source is pip's affair, whatever it is.
    place.sources = replace(place.sources, build=frozenset({"unheard-of"}))
    assert place.build().pin == ours.pin
    assert place.builds() == 2


def test_a_file_a_mode_or_a_variable_is_enough_to_build_again(place: Workplace) -> None:
    place.build()
    place.builds()
    (place.folder / "notes.txt").write_text("new")
    place.build()
    assert place.builds() == 1
    (place.folder / "notes.txt").chmod(0o755)
    place.build()
    assert place.builds() == 1
    place.sources = replace(place.sources, environ={**place.sources.environ, "APP_VERSION": "2"})
    assert (place.build().pin.version, place.builds()) == ("2", 1)


@pytest.mark.parametrize(
    "act",
    [
        'pathlib.Path("/etc/hostname").exists() and open("/etc/passwd").close()',
        "__import__('subprocess').run(['true'])",
        "os.listdir('/')",
        "here = os.getcwd(); os.chdir('/'); os.listdir(); os.chdir(here)",
        "__import__('io').FileIO(pathlib.Path('/etc/passwd')).close()",
        "__import__('sqlite3').connect('file:/etc/passwd?mode=ro', uri=True).close()",
        "exec(compile('1', os.path.abspath('NAME.py'), 'exec'))",
        "__import__('socket').socket().connect_ex(('127.0.0.1', 9))",
    ],
)
def test_what_reads_elsewhere_starts_something_or_runs_the_projects_code_is_built_each_time(
    place: Workplace, act: str
) -> None:
    place.replace_backend(then=act)
    place.build()
    place.build()
    assert place.builds() == 2


def test_a_link_that_leads_out_of_the_project_has_it_built_each_time(place: Workplace, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("1")
    (place.folder / "link").symlink_to("../outside")
    place.build()
    place.build()
    assert place.builds() == 2


def test_an_environment_is_made_once_and_again_where_it_was_damaged(place: Workplace, store: Store) -> None:
    system = build_system(place.folder / "pyproject.toml")
    assert system == BuildSystem(requires=("maker",), backend="maker")

    def environment() -> BuildEnvironment | None:
        return Backend(system=system, sources=place.sources, store=store, running=Running()).environment()

    found = environment()
    assert found is not None
    assert list(found.wheels) == [place.backend.name]
    assert environment() == found
    corrupt(store.path(Digest(found.sha256)))
    # Nothing of it runs: it is dropped, pip builds this time, and the next time it is made again.
    assert place.build().pin.name == "app"
    assert environment() == found
    assert len(list((store.root / "v1" / "records" / RECORDS).iterdir())) == 1


def test_a_backend_gets_what_it_asks_for_besides(place: Workplace) -> None:
    make_wheel(place.shelf, "helper", files={"helper.py": "X = 1\n"})
    text = (place.folder / "backend.py").read_text().replace("import base64", "import helper, base64")
    ask = "\ndef get_requires_for_build_wheel(config_settings=None):\n    return ['helper']\n"
    late = text.replace("import helper, base64", "import base64").replace(
        '    pathlib.Path("left', '    import helper\n    pathlib.Path("left'
    )
    place.backend.unlink()
    make_wheel(place.shelf, "maker", files={"maker.py": late + ask})
    place.build()
    place.build()
    assert place.builds() == 1


def test_it_sees_the_packages_of_its_environment_and_none_of_ours(place: Workplace) -> None:
    place.replace_backend(then="assert __import__('importlib.util').util.find_spec('packaging') is None")
    place.build()
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('packaging') is not None)"
    place.replace_backend(
        then=f"assert __import__('subprocess').run([__import__('sys').executable, '-c', {code!r}]).returncode == 0"
    )
    place.build()
    assert place.builds() == 2


def test_a_build_that_fails_says_what_pip_says(place: Workplace) -> None:
    place.replace_backend(then="raise SystemExit('no luck')")
    with pytest.raises(WheelError, match="building it failed"):
        place.build()


def test_constraints_of_pips_configuration_leave_the_building_to_pip(place: Workplace, tmp_path: Path) -> None:
    (tmp_path / "limits.txt").write_text("maker<1\n")
    system = build_system(place.folder / "pyproject.toml")
    assert system is not None
    online = WheelSources(
        find_links=(place.shelf,), environ={**os.environ, "PIP_BUILD_CONSTRAINT": str(tmp_path / "limits.txt")}
    )
    assert Backend(system=system, sources=online, store=place.store, running=Running()).environment() is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", BuildSystem(requires=("setuptools>=40.8.0",), backend="setuptools.build_meta:__legacy__")),
        ('[build-system]\nrequires=["a"]\nbuild-backend="a:b.c"\n', BuildSystem(requires=("a",), backend="a:b.c")),
        (
            '[build-system]\nrequires=[]\nbuild-backend="x"\nbackend-path=["in"]\n',
            BuildSystem(requires=(), backend="x", path=("in",)),
        ),
        ('[build-system]\nrequires=["a"]\n', None),
        ('[build-system]\nrequires=["../x"]\nbuild-backend="x"\n', None),
        ('[build-system]\nbuild-backend="x"\n', None),
        ('[build-system]\nrequires=[]\nbuild-backend="x"\nbackend-path=["../in"]\n', None),
        ("build-system = 1\n", None),
    ],
)
def test_a_build_system_is_read_as_pip_reads_it(tmp_path: Path, text: str, expected: BuildSystem | None) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert build_system(tmp_path / "pyproject.toml") == expected
