"""Members of workspaces and path dependencies: what a lock names in folders is built, and installed as all else is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_builder.assemble.context import BuildPolicy
from oci_builder.assemble.local_projects import LocalProjects
from oci_builder.catalog import find_image
from oci_builder.cli import main
from oci_builder.errors import UnsupportedRequirement
from oci_builder.inspect.reading import read_image
from oci_builder.recipes import ImageSource, load_image
from oci_builder.wheels.pins import LocalProject, LockedWheels
from tests.support.contexts import context_of
from tests.support.projects import make_project
from tests.support.tiny import NAME, Tiny, build, built, make_tiny
from tests.support.wheels import make_wheel, sha256
from tests.unit.assemble.test_inputs import layers, packages, recipe
from tests.unit.assemble.test_projects import said, wheel_of


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


def lib(tiny: Tiny, folder: str = "libs/lib", name: str = "lib") -> Path:
    """A project that the tests' locks name, which needs the wheel ``tool``."""
    return make_project(tiny.root / folder, name=name, requires=["tool"], code=f"def main():\n    print({name!r})\n")


def tool_of(tiny: Tiny, kind: str) -> str:
    """What a lock of ``kind`` says of the wheel ``tool``."""
    path, version = wheel_of(tiny, "tool")
    if kind == "uv":
        file = f'{{ url = "https://x.example/{path.name}", hash = "sha256:{sha256(path)}" }}'
        source = 'source = { registry = "https://x.example" }'
        return f'[[package]]\nname = "tool"\nversion = "{version}"\n{source}\nwheels = [{file}]\n'
    groups = {"poetry": '["main"]', "pdm": '["default"]'}[kind]
    file = f'{{file = "{path.name}", hash = "sha256:{sha256(path)}"}}'
    return f'[[package]]\nname = "tool"\nversion = "{version}"\ngroups = {groups}\nfiles = [{file}]\n'


def uv(tiny: Tiny, source: str = 'editable = "libs/lib"', version: str = 'version = "1.0"\n') -> str:
    root = (
        '[[package]]\nname = "app"\nversion = "1.0"\nsource = { editable = "." }\ndependencies = [{ name = "lib" }]\n'
    )
    edge = 'dependencies = [{ name = "tool" }]\n'
    member = f'[[package]]\nname = "lib"\n{version}source = {{ {source} }}\n{edge}'
    return f'version = 1\nrequires-python = ">=3.11"\n{root}{member}{tool_of(tiny, "uv")}'


def poetry(tiny: Tiny) -> str:
    source = '[package.source]\ntype = "directory"\nurl = "libs/lib"\n'
    member = f'[[package]]\nname = "lib"\nversion = "1.0"\ngroups = ["main"]\nfiles = []\ndevelop = true\n{source}'
    return f'{member}{tool_of(tiny, "poetry")}[metadata]\nlock-version = "2.1"\n'


def pdm(tiny: Tiny) -> str:
    member = '[[package]]\nname = "lib"\nversion = "1.0"\neditable = true\npath = "./libs/lib"\ngroups = ["default"]\n'
    metadata = '[metadata]\ngroups = ["default"]\nstrategy = ["inherit_metadata"]\nlock_version = "4.5.1"\n'
    return f"{metadata}{member}{tool_of(tiny, 'pdm')}"


def pipfile(tiny: Tiny) -> str:
    path, version = wheel_of(tiny, "tool")
    tool = {"hashes": [f"sha256:{sha256(path)}"], "version": f"=={version}"}
    entries = {"lib": {"editable": True, "path": "./libs/lib"}, "app": {"editable": True, "file": "."}, "tool": tool}
    return json.dumps({"_meta": {"pipfile-spec": 6}, "default": entries, "develop": {}})


def pylock(tiny: Tiny) -> str:
    path, version = wheel_of(tiny, "tool")
    files = f'wheels = [{{url = "https://x.example/{path.name}", hashes = {{sha256 = "{sha256(path)}"}}}}]\n'
    tool = f'[[packages]]\nname = "tool"\nversion = "{version}"\n{files}'
    member = '[[packages]]\nname = "lib"\ndirectory = {path = "libs/lib", editable = true}\n'
    own = '[[packages]]\nname = "app"\ndirectory = {path = ".", editable = true}\n'
    return f'lock-version = "1.0"\ncreated-by = "x"\n{member}{own}{tool}'


LOCKS = {"uv.lock": uv, "poetry.lock": poetry, "pdm.lock": pdm, "Pipfile.lock": pipfile, "pylock.toml": pylock}


def workspace(tiny: Tiny, lock: str = "uv.lock") -> None:
    """The project app with a lock of a tool, which names the project in libs/lib; built as the image of the recipe."""
    make_project(tiny.root, requires=["lib"])
    with (tiny.root / "pyproject.toml").open("a") as file:
        file.write('[project]\nname = "app"\nversion = "1.0"\n')
    lib(tiny)
    (tiny.root / lock).write_text(LOCKS[lock](tiny))
    recipe(tiny, 'project = "../.."')


@pytest.mark.parametrize("lock", ["uv.lock", "Pipfile.lock", "pylock.toml"])
def test_what_a_lock_names_in_a_folder_is_really_installed_and_every_command_knows_it(
    tiny: Tiny, lock: str, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace(tiny, lock)
    assert packages(tiny) == ["app 1.0", "lib 1.0", "tool 2.0"]
    paths = [path for path in read_image(tiny.out).tree if "/site-packages/" in path]
    assert {path.rpartition("/")[2] for path in paths if path.endswith(".py")} == {"app.py", "lib.py", "tool.py"}
    # Nothing editable, and nothing that tells where the folder was.
    assert not [path for path in paths if path.endswith((".pth", ".egg-link", "direct_url.json"))]
    verified(tiny, lock, capsys)
    code, text = said(tiny, "lock", NAME)
    assert (code, "ocibuild takes it as it is" in text, "building" in text) == (2, True, False)
    code, text = said(tiny, "lock", NAME, "--check")
    assert (code, f"{lock}: unchanged" in text, "building" in text) == (0, True, False), text
    if lock == "uv.lock":
        capsys.readouterr()
        assert said(tiny, "plan", NAME)[0] == 0
        assert "lib 1.0" in capsys.readouterr().out


def verified(tiny: Tiny, lock: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Hold the image to its lock, and to another; take its bill of materials."""
    path, cache = tiny.root / lock, ["--cache-dir", str(tiny.cache)]
    capsys.readouterr()
    assert main(["verify", str(tiny.out), "--lock", str(path), *cache]) == 0
    told = capsys.readouterr().err
    assert "1 wheel compared" in told
    assert "only compared with RECORD: app 1.0, lib 1.0" in told
    assert main(["sbom", str(tiny.out), "--lock", str(path)]) == 0
    bill = capsys.readouterr()
    digest = sha256(wheel_of(tiny, "tool")[0])
    assert (digest in bill.out) != ("does not say which digest is which file's" in bill.err)
    text = path.read_text()
    path.write_text(re.sub(r"\b2\.0\b", "2.7", text))
    assert main(["verify", str(tiny.out), "--lock", str(path), *cache]) == 3
    assert "tool 2.0 is in the image, and 2.7 is locked" in capsys.readouterr().err
    path.write_text(text)


def test_each_project_has_a_layer_that_only_its_own_sources_move(tiny: Tiny) -> None:
    workspace(tiny)
    first = layers(tiny)
    assert [holds for _, holds in first][1:4] == ["tool 2.0", "lib 1.0", "app 1.0"]
    image = tiny.out.read_bytes()
    tiny.forget()
    assert built(tiny) == image
    (tiny.root / "libs" / "lib" / "lib.py").write_text("def main():\n    print(2)\n")
    second = layers(tiny)
    same = [one == two for one, two in zip(first, second, strict=True)]
    # The project's own folder is around the member's, but what it is built into is the same.
    assert same == [True, True, False, True, True]


def test_a_lock_that_lacks_what_is_asked_for_fails_the_check(tiny: Tiny) -> None:
    (tiny.root / "pyproject.toml").write_text('[project]\nname = "app"\ndependencies = ["lib", "more"]\n')
    lib(tiny)
    (tiny.root / "uv.lock").write_text(uv(tiny))
    recipe(tiny, 'requirements = ["../../pyproject.toml"]')
    code, text = said(tiny, "lock", NAME, "--check")
    assert (code, "pyproject.toml asks for more, which it does not have" in text) == (3, True)


def test_a_project_outside_is_refused_until_the_recipe_says_so(tiny: Tiny) -> None:
    make_project(tiny.root.parent / "elsewhere", name="lib", requires=["tool"])
    (tiny.root / "uv.lock").write_text(uv(tiny, 'directory = "../elsewhere"'))
    recipe(tiny, 'requirements = ["../../uv.lock"]')
    ending = build(tiny)
    assert (ending.code, "lies outside of the project" in ending.said) == (2, True)
    assert "write outside = true in [python] of" in ending.said
    recipe(tiny, 'requirements = ["../../uv.lock"]\noutside = true')
    assert packages(tiny) == ["lib 1.0", "tool 2.0"]


def test_without_a_recipe_the_folder_that_holds_both_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Tiny
) -> None:
    app = make_project(tmp_path / "apps" / "app")
    make_project(tmp_path / "libs" / "lib", name="lib")
    (app / "uv.lock").write_text(uv(tiny, 'directory = "../../libs/lib"'))
    found = LockedWheels(pins=(), projects=(LocalProject(name="lib", version="", folder=app / "../../libs/lib"),))
    monkeypatch.chdir(app)
    with pytest.raises(UnsupportedRequirement, match="lies outside of the project") as caught:
        local(load_image(find_image(".", Path())), app, tiny).take(found)
    assert (caught.value.hint or "").endswith(f"ocibuild . --project-dir {tmp_path}")
    source = load_image(find_image(".", tmp_path), project=tmp_path)
    assert local(source, app, tiny).take(found) == found.projects


def local(source: ImageSource, folder: Path, tiny: Tiny) -> LocalProjects:
    context = context_of(tiny.cache, project=folder)
    return LocalProjects(source=source, lock=folder / "uv.lock", context=context, policy=BuildPolicy())


def nothing(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.x]\n")


def another(folder: Path) -> None:
    make_project(folder, name="other")


def newer(folder: Path) -> None:
    (folder / "backend.py").write_text((folder / "backend.py").read_text().replace('"1.0"', '"1.1"'))


def gone(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def a_file(folder: Path) -> None:
    gone(folder)
    folder.touch()


def a_link_out(folder: Path) -> None:
    gone(folder)
    folder.symlink_to("/usr")


WRONG = [
    (nothing, "nothing says what builds the project in", "[build-system] with requires and build-backend in"),
    (another, "builds other 1.0, and not lib", "lock again"),
    (newer, "it has lib 1.0, and", "lock again"),
    (gone, "its folder,", "a checkout has to be whole"),
    (a_file, "is no folder", "a checkout has to be whole"),
    (a_link_out, "lies outside of the project", "outside = true in [python]"),
]


@pytest.mark.parametrize(("spoil", "why", "hint"), WRONG)
def test_a_folder_that_is_not_what_the_lock_says_is_refused(
    tiny: Tiny, spoil: Callable[[Path], None], why: str, hint: str
) -> None:
    lib(tiny)
    (tiny.root / "uv.lock").write_text(uv(tiny))
    recipe(tiny, 'requirements = ["../../uv.lock"]')
    spoil(tiny.root / "libs" / "lib")
    ending = build(tiny, "--locked")
    assert ending.code in (1, 2), ending.said
    assert why in ending.said and hint in ending.said


def test_another_version_than_the_locked_is_told_and_installed(tiny: Tiny) -> None:
    newer(lib(tiny))
    (tiny.root / "uv.lock").write_text(uv(tiny))
    recipe(tiny, 'requirements = ["../../uv.lock"]')
    ending = build(tiny)
    assert (ending.code, "uv.lock is behind: it has lib 1.0, and" in ending.said) == (0, True)
    # One that the lock leaves to the project is that project's.
    (tiny.root / "uv.lock").write_text(uv(tiny, version=""))
    assert packages(tiny, "--locked") == ["lib 1.1", "tool 2.0"]


def test_a_virtual_member_is_what_it_needs_and_nothing_to_install(tiny: Tiny) -> None:
    (tiny.root / "uv.lock").write_text(uv(tiny, 'virtual = "libs/lib"'))
    recipe(tiny, 'requirements = ["../../uv.lock"]')
    assert packages(tiny) == ["tool 2.0"]


def test_all_members_are_built_where_the_root_is_no_project(tiny: Tiny) -> None:
    lib(tiny)
    lib(tiny, "libs/two", "two")
    member = '[[package]]\nname = "{0}"\nversion = "1.0"\nsource = {{ editable = "libs/{0}" }}\n'
    members = "".join(member.format(name) for name in ("lib", "two"))
    manifest = '[manifest]\nmembers = ["lib", "two"]\n[manifest.dependency-groups]\nrun = [{ name = "tool" }]\n'
    (tiny.root / "uv.lock").write_text(f"version = 1\n{manifest}{members}{tool_of(tiny, 'uv')}")
    (tiny.root / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["libs/*"]\n')
    recipe(tiny, 'requirements = ["../../uv.lock"]\ngroups = ["run"]')
    assert packages(tiny) == ["lib 1.0", "tool 2.0", "two 1.0"]


def test_members_of_a_workspace_are_read_from_a_member_below_it(tiny: Tiny) -> None:
    make_project(tiny.root / "apps" / "app", requires=["lib"])
    lib(tiny)
    text = uv(tiny).replace('editable = "."', 'editable = "apps/app"')
    (tiny.root / "uv.lock").write_text(text)
    recipe(tiny, 'project = "../../apps/app"')
    assert packages(tiny) == ["app 1.0", "lib 1.0", "tool 2.0"]


def test_many_projects_leave_room_for_the_other_layers(tiny: Tiny) -> None:
    names = [f"lib{number}" for number in range(3)]
    for name in names:
        lib(tiny, f"libs/{name}", name)
    edges = ", ".join(f'{{ name = "{name}" }}' for name in names)
    root = f'[[package]]\nname = "app"\nversion = "1.0"\nsource = {{ virtual = "." }}\ndependencies = [{edges}]\n'
    member = '[[package]]\nname = "{0}"\nversion = "1.0"\nsource = {{ editable = "libs/{0}" }}\n'
    members = "".join(member.format(name) + 'dependencies = [{ name = "tool" }]\n' for name in names)
    (tiny.root / "uv.lock").write_text(f"version = 1\n{root}{members}{tool_of(tiny, 'uv')}")
    recipe(tiny, 'requirements = ["../../uv.lock"]', "[layering]\nbudget = 5\n")
    found = [holds for _, holds in layers(tiny)]
    assert sum("lib" in holds for holds in found) == 2
    assert len(found) <= 5


def test_a_wheel_in_the_project_is_installed_from_there(tiny: Tiny) -> None:
    wheel = make_wheel(tiny.root / "vendor", "local", "1.0")
    archive = f'archive = {{path = "vendor/{wheel.name}", hashes = {{sha256 = "{sha256(wheel)}"}}}}\n'
    text = f'[[packages]]\nname = "local"\n{archive}'
    (tiny.root / "pylock.toml").write_text(f'lock-version = "1.0"\ncreated-by = "x"\n{text}')
    recipe(tiny, 'requirements = ["../../pylock.toml"]')
    assert packages(tiny) == ["local 1.0"]
    # Outside of the project it is refused, as folders are.
    (tiny.root / "vendor").rename(tiny.root.parent / "vendor")
    (tiny.root / "pylock.toml").write_text((tiny.root / "pylock.toml").read_text().replace("vendor/", "../vendor/"))
    ending = build(tiny)
    assert (ending.code, "its wheel, " in ending.said, "lies outside" in ending.said) == (2, True, True)
