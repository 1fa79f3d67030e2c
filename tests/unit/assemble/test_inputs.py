"""Where requirements come from besides requirements.txt: pyproject.toml, other tools' locks, a project of one's own."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.projects import make_project
from tests.support.tiny import IMAGE, NAME, Tiny, build, built, make_tiny
from tests.support.wheels import make_wheel, sha256


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


def recipe(tiny: Tiny, python: str, more: str = "") -> None:
    """Let ``[python]`` say ``python``, and have neither lock nor requirements."""
    (tiny.image / "requirements.txt").unlink(missing_ok=True)
    (tiny.image / "pylock.toml").unlink(missing_ok=True)
    head = IMAGE.partition("[python]")[0]
    (tiny.image / "image.toml").write_text(f'{head}[python]\nbytecode = "none"\n{python}\n{more}')


def layers(tiny: Tiny, *flags: str) -> list[tuple[str, str]]:
    """Build, and give each layer's digest and what it holds."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        built(tiny, "--json", *flags)
    return [(layer["digest"], ",".join(layer["holds"])) for layer in json.loads(said.getvalue())["layers"]]


def packages(tiny: Tiny, *flags: str) -> list[str]:
    """Build, and give what is installed over the base, the user apart."""
    return sorted(name for _, holds in layers(tiny, *flags)[1:-1] for name in holds.split(","))


def test_a_pyproject_toml_says_what_is_installed(tiny: Tiny) -> None:
    text = '[project]\nname = "x"\nversion = "1"\ndependencies = ["tool"]\n[dependency-groups]\nbig = ["many==1.0"]\n'
    (tiny.root / "pyproject.toml").write_text(text)
    recipe(tiny, 'requirements = ["../../pyproject.toml"]')
    assert packages(tiny) == ["tool 2.0"]
    recipe(tiny, 'requirements = ["../../pyproject.toml"]\ngroups = ["big"]')
    assert packages(tiny) == ["many 1.0", "tool 2.0"]


def test_a_lock_of_a_pyproject_toml_holds_until_its_dependencies_change(tiny: Tiny) -> None:
    text = '[project]\nname = "x"\nversion = "1"\ndependencies = ["tool"]\n'
    (tiny.root / "pyproject.toml").write_text(text)
    recipe(tiny, 'requirements = ["../../pyproject.toml"]')
    lock(tiny)
    (tiny.root / "pyproject.toml").write_text(text.replace('"1"', '"2"'))
    built(tiny, "--locked")
    (tiny.root / "pyproject.toml").write_text(text.replace('"tool"', '"tool", "many"'))
    assert build(tiny, "--locked").code == 1
    # The wheels lie in wheels/: there is what is built, and the lock stays as it is until it is made anew.
    assert "wheels/ has many 1.0, pylock.toml none" in build(tiny).said
    lock(tiny)
    built(tiny, "--locked")


def lock(tiny: Tiny) -> None:
    """Run ``ocibuild lock``."""
    places = ["--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--progress", "none"]
    assert main(["lock", NAME, *places]) == 0


def foreign_lock(tiny: Tiny) -> str:
    """A lock as another tool writes it: addresses, no paths, nothing of ocibuild's."""
    wheels = sorted(tiny.wheels.iterdir())
    tables = [
        f'[[packages]]\nname = "{path.name.split("-")[0]}"\nversion = "{path.name.split("-")[1]}"\n'
        f'wheels = [{{url = "https://files.example/{path.name}", hashes = {{sha256 = "{sha256(path)}"}}}}]\n'
        for path in wheels
    ]
    return "\n".join(['lock-version = "1.0"\ncreated-by = "another"\n', *tables])


def test_another_tools_lock_beside_the_recipe_is_taken_as_it_is(tiny: Tiny) -> None:
    recipe(tiny, "requirements = []")
    (tiny.image / "pylock.toml").write_text(text := foreign_lock(tiny))
    assert packages(tiny, "--locked") == ["many 1.0", "tool 2.0", "whole 3.0"]
    assert (tiny.image / "pylock.toml").read_text() == text


def test_a_recipe_may_name_another_tools_lock(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    recipe(tiny, 'requirements = ["../../pylock.prod.toml"]')
    (tiny.root / "pylock.prod.toml").write_text(foreign_lock(tiny))
    assert packages(tiny) == ["many 1.0", "tool 2.0", "whole 3.0"]
    assert not (tiny.image / "pylock.toml").exists()
    assert main(["lock", NAME, "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache)]) == 2
    assert "ocibuild takes it as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ('requirements = ["../../pylock.toml", "r.txt"]', "python.requirements: a lock says all there is to install"),
        ('project = "../nowhere"', "python.project: there is neither pyproject.toml nor setup.py in"),
        ('requirements = ["r.txt"]\nextras = ["web"]', "python.extras: a requirements.txt has none"),
        ('requirements = ["r.txt"]\ngroups = ["web"]', "python.groups: a requirements.txt has none"),
        ('requirements = ["../../pyproject.toml"]\nextras = ["gui"]', "gui: no such name"),
    ],
)
def test_keys_that_do_not_go_together_are_refused_with_their_line(tiny: Tiny, python: str, said: str) -> None:
    recipe(tiny, python)
    (tiny.image / "r.txt").touch()
    (tiny.root / "pylock.toml").touch()
    (tiny.root / "pyproject.toml").write_text("[project]\n")
    ending = build(tiny)
    assert ending.code == 2
    assert said in ending.said


def test_a_project_is_the_top_layer_of_the_wheels_and_its_dependencies_come_along(tiny: Tiny) -> None:
    make_project(tiny.root / "src", requires=["tool>=1", 'many; extra == "web"'])
    recipe(tiny, 'project = "../../src"')
    assert [holds for _, holds in layers(tiny)][1:3] == ["tool 2.0", "app 1.0"]
    recipe(tiny, 'project = "../../src"\nextras = ["web"]')
    assert packages(tiny) == ["app 1.0", "many 1.0", "tool 2.0"]


def test_the_build_of_a_project_writes_nothing_beside_its_sources(tiny: Tiny) -> None:
    src = make_project(tiny.root / "src")
    before = sorted(path.name for path in src.iterdir())
    recipe(tiny, 'project = "../../src"')
    built(tiny)
    assert sorted(path.name for path in src.iterdir()) == before


def test_an_edit_changes_the_layer_of_the_project_alone_and_not_the_lock(tiny: Tiny) -> None:
    src = make_project(tiny.root / "src", requires=["tool"])
    recipe(tiny, 'project = "../../src"')
    lock(tiny)
    text = (tiny.image / "pylock.toml").read_bytes()
    first = layers(tiny, "--locked")
    (src / "app.py").write_text("def main():\n    print(2)\n")
    second = layers(tiny, "--locked")
    assert [one == two for one, two in zip(first, second, strict=True)] == [True, True, False, True]
    assert (tiny.image / "pylock.toml").read_bytes() == text


def test_a_project_that_asks_for_more_makes_its_lock_stale(tiny: Tiny) -> None:
    src = make_project(tiny.root / "src", requires=["tool"])
    recipe(tiny, 'project = "../../src"')
    lock(tiny)
    make_project(src, requires=["tool", "many"])
    ending = build(tiny, "--locked")
    assert ending.code == 1 and "have changed since" in ending.said
    assert "wheels/ has many 1.0, pylock.toml none" in build(tiny).said


def test_the_groups_of_a_project_may_be_installed_too(tiny: Tiny) -> None:
    make_project(tiny.root / "src")
    recipe(tiny, 'project = "../../src"\ngroups = ["run"]')
    assert packages(tiny) == ["app 1.0", "tool 2.0"]


def test_a_project_may_be_the_folder_around_its_image(tiny: Tiny) -> None:
    make_project(tiny.root)
    recipe(tiny, 'project = "../.."')
    first = built(tiny)
    (tiny.root / "build" / "lib").mkdir()
    (tiny.root / "build" / "lib" / "stale.py").touch()
    assert built(tiny) == first


def test_a_project_with_the_file_of_a_dependency_is_a_conflict(tiny: Tiny) -> None:
    make_project(tiny.root / "src", requires=["clash"])
    make_wheel(tiny.wheels, "clash", files={"app.py": "mine\n"})
    recipe(tiny, 'project = "../../src"')
    ending = build(tiny)
    assert ending.code == 1
    assert "app.py comes from both app 1.0 and clash 1.0" in ending.said or "clash 1.0 and app 1.0" in ending.said


def test_a_project_that_is_no_pure_python_is_refused(tiny: Tiny) -> None:
    make_project(tiny.root / "src", tag="cp39-cp39-win32")
    recipe(tiny, 'project = "../../src"')
    ending = build(tiny)
    assert ending.code == 1
    assert "this machine built app-1.0-cp39-cp39-win32.whl, which does not run on Python 3.11.2" in ending.said


def test_a_project_whose_build_fails_says_what_its_backend_said(tiny: Tiny) -> None:
    src = make_project(tiny.root / "src")
    (src / "backend.py").write_text("raise RuntimeError('no compiler here')\n")
    recipe(tiny, 'project = "../../src"')
    ending = build(tiny, "--online")
    assert ending.code == 1
    assert "building it failed" in ending.said and "no compiler here" in ending.said
    assert "pip wheel --no-deps" in ending.said


def test_a_backend_that_is_nowhere_offline_says_how_to_get_it(tiny: Tiny) -> None:
    src = make_project(tiny.root / "src")
    (src / "pyproject.toml").write_text('[build-system]\nrequires = ["nothing-here"]\nbuild-backend = "x"\n')
    recipe(tiny, 'project = "../../src"')
    ending = build(tiny)
    assert ending.code == 1
    assert re.search(rf"ocibuild download \S*{NAME} puts it there", ending.said)
