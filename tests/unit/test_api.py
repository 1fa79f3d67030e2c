"""The program as a library: what a script or a notebook writes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import oci_builder
from oci_builder import Builder, ImageRecipe, open_image
from oci_builder.errors import ImagesFailed, InvalidValue, NotFound, RecipeError
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.tiny import NAME, Tiny, built, make_tiny
from tests.support.wheels import make_wheel

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "from-python.md"


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


@pytest.fixture
def builder(tiny: Tiny) -> Builder:
    return Builder(tiny.root, cache=tiny.cache, jobs=2)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


def test_a_chain_of_calls_writes_what_the_command_line_writes(builder: Builder, tiny: Tiny, tmp_path: Path) -> None:
    written = builder.plan(f"build/{NAME}").build().write(tmp_path / "app.tar")
    assert written.verify().findings == ()
    tiny_out = Builder(str(tiny.root), cache=str(tiny.cache)).build(NAME).write(str(tmp_path / "again.tar"))
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "app.tar").read_bytes()
    assert written.diff(tiny_out).is_empty and written.id == tiny_out.id


@pytest.mark.parametrize("how", [str, Path])
def test_a_recipe_is_found_by_folder_path_or_name(builder: Builder, tiny: Tiny, how: type) -> None:
    ids = {str(builder.build(how(place)).built.image.id) for place in (NAME, f"build/{NAME}", tiny.image)}
    assert len(ids) == 1


def test_a_plan_shows_what_is_missing_until_it_is_built(builder: Builder) -> None:
    plan = builder.plan(NAME)
    assert len(plan.missing) == len(plan.steps) > 0
    plan.build()
    assert plan.missing == ()


def test_a_recipe_may_be_a_value(builder: Builder, tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("copied\n")
    recipe = ImageRecipe(
        requirements=["tool"],
        base="tiny",
        name="valued",
        cmd=["tool"],
        env={"A": "1"},
        copy={"/srv/notes.txt": tmp_path / "notes.txt"},
        more={"python": {"bytecode": "none", "find-links": [str(tiny.wheels)]}, "config": {"workdir": "/srv"}},
    )
    policy = oci_builder.BuildPolicy(offline=True)
    offline = Builder(tiny.root, cache=tiny.cache, policy=policy)
    # The base's packages lie beside another recipe: it has been built before.
    builder.build(NAME)
    image = offline.build(recipe)
    found = image.inspect()
    assert [package["name"] for package in found["packages"] if package["kind"] == "python"] == ["tool"]
    config = found["config"]
    assert config["Cmd"] == ["tool"] and config["WorkingDir"] == "/srv" and "A=1" in config["Env"]
    written = image.write(tmp_path / "valued.tar")
    assert written.verify().findings == () and "srv/notes.txt" in written.inventory.contents.tree


def test_a_plan_tells_which_of_its_inputs_moved_since(builder: Builder, tiny: Tiny) -> None:
    planned, lock = builder.plan(NAME), tiny.image / "pylock.toml"
    found = [planned.moved]
    lock.write_text(lock.read_text() + "\n")
    found.append(planned.moved)
    lock.unlink()
    found.append(planned.moved)
    assert found == [(), (f"{lock} has changed",), (f"{lock} is gone",)]


def test_what_is_wrong_with_a_recipe_is_said_when_it_is_planned(builder: Builder) -> None:
    with pytest.raises(RecipeError, match="no-such-key"):
        builder.plan(ImageRecipe(more={"no-such-key": 1}))
    with pytest.raises(NotFound):
        builder.plan("nobody")


def test_several_are_built_together_and_one_that_fails_is_named(builder: Builder, tiny: Tiny) -> None:
    bad = ImageRecipe(name="bad", base="nowhere")
    with pytest.raises(ImagesFailed, match="bad") as raised:
        builder.build_all([NAME, bad])
    assert list(raised.value.failed) == ["bad"]
    assert len(builder.build_all([NAME, NAME])) == 2


def test_an_image_goes_to_a_registry_and_comes_back(builder: Builder, registry: FakeRegistry, tmp_path: Path) -> None:
    name = f"{registry.host}/team/app:1"
    built = builder.build(NAME)
    (pushed,) = built.push(name)
    assert str(pushed.digest) == str(built.built.image.digest)
    served = builder.open(name)
    assert served.verify().findings == () and served.digest == str(pushed.digest)
    assert served.pull(tmp_path / "back.tar").id == str(built.built.image.id)
    with pytest.raises(InvalidValue, match="registry"):
        served.push(name)
    builder.context.registries.close()


def test_an_image_is_asked_as_the_command_line_asks(builder: Builder, tmp_path: Path) -> None:
    image = builder.build(NAME)
    assert image.why("many").package.name == "many"
    assert b"CycloneDX" in image.sbom() and b"spdxVersion" in image.sbom("spdx")
    assert image.platform == "linux/amd64" and {"many", "tool", "whole"} <= {each.name for each in image.packages}
    folder = image.write(f"{tmp_path}/layout/")
    assert folder.id == image.id and open_image(tmp_path / "layout").digest == image.digest


def test_a_lock_is_written_and_says_what_moved(builder: Builder, tiny: Tiny) -> None:
    (tiny.image / "pylock.toml").unlink()
    assert "whole" in " ".join(builder.lock(NAME))
    assert (tiny.image / "pylock.toml").is_file()
    (tiny.wheels / "many-1.0-py3-none-any.whl").unlink()
    make_wheel(tiny.wheels, "many", "1.1", files={"many/__init__.py": ""})
    assert builder.lock(NAME, packages=["many"]) == ("many 1.0 \u2192 1.1",)


def test_a_reporter_is_three_methods(tiny: Tiny) -> None:
    lines: list[str] = []

    class Heard(oci_builder.Quiet):
        def advance(self, what: str, done: int, total: int | None) -> None:
            lines.append(what)

    Builder(tiny.root, cache=tiny.cache, reporter=Heard()).build(NAME)
    assert any("many" in line for line in lines)


def test_bars_are_drawn_and_leave_nothing_behind(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    Builder(tiny.root, cache=tiny.cache, reporter=oci_builder.ProgressBars()).build(NAME)
    assert "Traceback" not in capsys.readouterr().err


def test_what_is_shown_is_one_line_and_completes(builder: Builder, tmp_path: Path) -> None:
    plan = builder.plan(NAME)
    built = plan.build()
    shown = [builder, plan, built, built.write(tmp_path / "x.tar"), built.built.image, *built.built.image.layers]
    written = built.write(tmp_path / "y.tar")
    shown += [built.why("many"), built.diff(written), written.verify(), *built.packages]
    shown += [*plan.steps, ImageRecipe(requirements=["a"]), plan.plan]
    assert [text for each in shown if len(text := repr(each)) > 250 or "\n" in text] == []
    assert set(oci_builder.__all__) == set(dir(oci_builder))
    assert {"write", "push", "inspect", "diff", "why", "sbom"} <= set(dir(built))


def test_the_how_to_does_what_it_says(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, registry: FakeRegistry) -> None:
    monkeypatch.chdir(tiny.root)
    monkeypatch.setenv("OCIBUILD_CACHE_DIR", str(tiny.cache))
    text = HOW_TO.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    world: dict[str, object] = {}
    (tiny.root / "old.tar").write_bytes(built(tiny, "--user", "somebody:2000"))
    for block in blocks:
        # The names of a reader are those of this test's project.
        code = block.replace("mypy", NAME).replace("registry.example:5000", registry.host).replace("pandas", "many")
        exec(compile(code, str(HOW_TO), "exec"), world)


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(oci_builder, name) is not None for name in oci_builder.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        oci_builder.nothing  # noqa: B018 - asking for it is the test


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, oci_builder; print([name for name in sys.modules if name.startswith('oci_builder.')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    # The version is one line, and no room.
    assert said == "['oci_builder.version']\n"


@pytest.mark.parametrize("key", ["cmd", "entrypoint", "tags", "requirements", "platforms"])
def test_a_text_where_a_list_goes_is_not_taken_for_its_letters(key: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {key: "python3 -m x"}
    with pytest.raises(RecipeError, match="expected a list"):
        ImageRecipe(**values).written(tmp_path)
