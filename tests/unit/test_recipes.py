"""What image.toml can say, what it cannot, and what a command line says instead."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from oci_builder.errors import BadKey, InvalidValue, NotFound, OcibuildError, RecipeError
from oci_builder.oci.documents import Healthcheck
from oci_builder.platforms import AMD64, ARM64
from oci_builder.recipes import (
    ImageToml,
    Overrides,
    UserRecipe,
    image_schema,
    load_image,
    with_overrides,
)
from oci_builder.tomlfile import parse_toml

EVERYTHING = """
name = "mypy"
version = "1.4.2"
tags = ["mypy:1.4.2", "registry.example:5000/team/mypy"]
base = "python-3.11-slim"
platforms = ["linux/amd64", "linux/arm64"]

[python]
requirements = ["requirements.txt", "more.txt"]
find-links = ["../wheels"]
bytecode = "all"
build = ["oldpackage"]
conflicts = "last"

[user]
name = "app"
uid = 1234
gid = 4321
home = "/srv/app"
shell = "/bin/bash"

[config]
env = { LANG = "C.UTF-8", DEBUG = "" }
workdir = "/work"
entrypoint = ["python3", "-m"]
cmd = ["mypy"]
labels = { "org.opencontainers.image.title" = "mypy" }
exposed-ports = [8080, "53/udp", "80", 80]
volumes = ["/data"]
stop-signal = "SIGINT"

[config.healthcheck]
test = ["python3", "-c", "pass"]
interval = "1m30s"
timeout = "500ms"
start-period = "1h"
retries = 3

[[copy]]
src = "scripts"
dest = "/opt/scripts"
include = ["*.py"]
exclude = ["*_test.py"]
mode = "0755"
owner = "user"

[[copy]]
src = "hello.txt"
dest = "/hello.txt"
owner = "5:6"

[layering]
strategy = "each"
budget = 40
"""


def recipe(text: str) -> ImageToml:
    return parse_toml(text, ImageToml, file="image.toml")


def image_folder(root: Path, name: str = "mypy", **files: str) -> Path:
    folder = root / "build" / name
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / f"{file}.{'txt' if file == 'requirements' else 'toml'}").write_text(text)
    return folder


def test_every_key_can_be_written() -> None:
    whole = recipe(EVERYTHING)
    assert whole.targets == (AMD64, ARM64)
    assert [str(reference) for reference in whole.references] == [
        "docker.io/library/mypy:1.4.2",
        "registry.example:5000/team/mypy:latest",
    ]
    assert [(part.permissions, part.ids((whole.user.uid, whole.user.gid))) for part in whole.copy] == [
        (0o755, (1234, 4321)),
        (None, (5, 6)),
    ]
    run = whole.run()
    assert (run.user, run.workdir, run.exposed_ports) == ("1234:4321", "/work", ("53/udp", "80/tcp", "8080/tcp"))
    assert run.healthcheck == Healthcheck(
        test=("CMD", "python3", "-c", "pass"),
        interval=90_000_000_000,
        timeout=500_000_000,
        start_period=3_600_000_000_000,
        retries=3,
    )


def test_an_empty_recipe_runs_python_as_a_user_without_rights() -> None:
    run = recipe("name = 'mypy'").run()
    assert (run.user, run.cmd, run.workdir) == ("1000:1000", ("python3",), "/home/sandbox")
    assert recipe("name = 'mypy'").references[0].familiar == "mypy:latest"


@pytest.mark.parametrize("text", ["[user]\nuid = 0", "[user]\nname = 'root'"])
def test_root_is_root_in_every_field(text: str) -> None:
    user = recipe(text).user
    assert user.is_root
    assert (user.name, user.uid, user.gid, user.home) == ("root", 0, 0, "/root")


def test_a_healthcheck_with_dockers_mark_runs_in_a_shell() -> None:
    run = recipe("[config.healthcheck]\ntest = ['CMD-SHELL', 'true']").run()
    assert run.healthcheck == Healthcheck(test=("CMD-SHELL", "true"))


COMMANDS = [
    "python3 -m x",
    "gunicorn 'a b'  \"c 'd'\"",
    "serve --format={a,b} --name=x\\ y",
    "  sleep\t1 ",
    "FOO=1 printenv FOO",
    "echo one | tr o 0",
    "cd / && pwd",
    "echo \"$HOME\" '$HOME'",
    "exec printf %s ü",
]


@pytest.mark.parametrize("text", COMMANDS)
@pytest.mark.parametrize("key", ["cmd", "entrypoint", "healthcheck.test"])
def test_a_command_in_one_text_is_refused_with_the_list_that_a_shell_makes_of_it(text: str, key: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(f"[config]\n{key} = {json.dumps(text, ensure_ascii=False)}")
    assert caught.value.hint is not None
    table = key.removesuffix("test") if "." in key else ""
    written = recipe(f"[config]\n{table}{caught.value.hint.removeprefix('write ')}")
    config = written.config
    words = config.healthcheck.test if config.healthcheck else config.entrypoint or config.cmd or ()
    # A shell itself says what the words are.
    printed = ["/bin/sh", "-c", f"printf '<%s>' {text}"] if words[0] not in ("/bin/sh", "CMD-SHELL") else []
    if printed:
        said = subprocess.run(printed, capture_output=True, text=True, check=True).stdout
        assert said == "".join(f"<{word}>" for word in words)
    else:
        assert words == (("CMD-SHELL", text) if "test" in key else ("/bin/sh", "-c", text))


MEANT = {
    '[config]\ncmd = \'["python3", "-m", "x y"]\'': 'cmd = ["python3", "-m", "x y"]',
    "[config]\nhealthcheck = 'curl -f x || exit 1'": ('healthcheck = { test = ["CMD-SHELL", "curl -f x || exit 1"] }'),
    "[config.healthcheck]\ntest = 'CMD-SHELL curl -f x || exit 1'": 'test = ["CMD-SHELL", "curl -f x || exit 1"]',
    "[config.healthcheck]\ntest = 'CMD curl \"a b\"'": 'test = ["CMD", "curl", "a b"]',
    "[config.healthcheck]\ntest = 'none'": 'test = ["NONE"]',
    "[config.healthcheck]\ntest = ['CMD-SHELL', 'test', '-f', '/a b']": ('test = ["CMD-SHELL", "test -f \'/a b\'"]'),
    "[config.healthcheck]\ntest = ['CMD-SHELL', 'a', '||', 'exit', '1']": 'test = ["CMD-SHELL", "a || exit 1"]',
    "[config]\nvolumes = '/data /logs'": 'volumes = ["/data", "/logs"]',
    "[config]\nenv = 'A=1 B=\"2 3\"'": 'env = { A = "1", B = "2 3" }',
    "[config]\nenv = 'A=1 and 2'": 'env = { A = "1 and 2" }',
    "base-packages = 'git curl'": 'base-packages = ["git", "curl"]',
    "base-packages = 'git (>= 2)'": 'base-packages = ["git"]',
    'platforms = \'["linux/amd64", "linux/arm64"]\'': 'platforms = ["linux/amd64", "linux/arm64"]',
    "[user]\ngroups = 'video audio'": 'groups = ["video", "audio"]',
    "[python]\nunverified = 'selenium catboost'": 'unverified = ["selenium", "catboost"]',
    "[python]\nrequirements = 'a.txt b.txt'": 'requirements = ["a.txt", "b.txt"]',
    "[python]\nrequirements = 'my list.txt'": 'requirements = ["my list.txt"]',
    "[[copy]]\nsrc = 'a'\ndest = '/a'\nexclude = '*.pyc *.log'": 'exclude = ["*.pyc", "*.log"]',
}


@pytest.mark.parametrize(("text", "hint"), MEANT.items(), ids=range(len(MEANT)))
def test_one_text_for_several_is_refused_with_the_list_that_was_meant(text: str, hint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(text)
    assert caught.value.hint == f"write {hint}"
    *above, _ = text.split("\n")
    recipe("\n".join([*above, hint]))


def test_what_follows_an_entrypoint_is_no_command() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe("[config]\nentrypoint = ['serve']\ncmd = '--port $PORT'")
    assert caught.value.hint == 'write cmd = ["--port", "$PORT"]'


@pytest.mark.parametrize("text", ["", "  ", "it's"])
def test_a_text_that_is_no_command_gets_no_list(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(f'[config]\ncmd = "{text}"')
    assert caught.value.hint == "write cmd as a list of words"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("name = 'My'", "name"),
        ("name = 'build'", "name"),
        ("version = 'a/b'", "version"),
        ("tags = ['A:b']", "tags[0]"),
        (f"tags = ['a@sha256:{'0' * 64}']", "tags[0]"),
        ("platforms = []", "platforms"),
        ("platforms = ['linux/amd64', 'linux/s390x']", "platforms[1]"),
        ("base = ''", "base"),
        ("[python]\nbytecode = 'some'", "python.bytecode"),
        ("[user]\nname = 'a:b'", "user.name"),
        ('[user]\nname = "a\\nb"', "user.name"),
        ("[user]\nuid = -1", "user.uid"),
        ("[user]\nuid = 0\nname = 'app'", "user.uid"),
        ("[user]\nhome = '/a:b'", "user.home"),
        ("[user]\nshell = 'sh'", "user.shell"),
        ("[config.env]\n1X = 'a'", "config.env.1X"),
        ('[config.env]\nX = "a\\u0000"', "config.env.X"),
        ("[config.labels]\n'a b' = 'c'", "config.labels.a b"),
        ("[config]\ncmd = 'python3'", "config.cmd"),
        ('[config]\ncmd = ["a\\u0000"]', "config.cmd[0]"),
        ("[config]\nworkdir = 'app'", "config.workdir"),
        ("[config]\nexposed-ports = [0]", "config.exposed-ports[0]"),
        ("[config]\nexposed-ports = [80, '70000/tcp']", "config.exposed-ports[1]"),
        ("[config]\nexposed-ports = ['80/http']", "config.exposed-ports[0]"),
        ("[config]\nstop-signal = 'TERM'", "config.stop-signal"),
        ("[config.healthcheck]\ntest = []", "config.healthcheck.test"),
        ("[config.healthcheck]\ntest = ['a']\ninterval = '30'", "config.healthcheck.interval"),
        ("[[copy]]\nsrc = '/a'\ndest = '/a'", "copy[0].src"),
        ("[[copy]]\nsrc = 'a'\ndest = 'a'", "copy[0].dest"),
        ("[[copy]]\nsrc = 'a'\ndest = '/a/../b'", "copy[0].dest"),
        ("[[copy]]\nsrc = 'a'\ndest = '/a'\nmode = 0o644", "copy[0].mode"),
        ("[[copy]]\nsrc = 'a'\ndest = '/a'\nowner = 'me'", "copy[0].owner"),
        ("[[copy]]\nsrc = 'a'\ndest = '/a'\nowner = '9999999999:0'", "copy[0].owner"),
        ("[layering]\nbudget = 0", "layering.budget"),
        ("requirements = ['a']", "requirements"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(text: str, key: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(text)
    assert caught.value.key == key
    assert caught.value.line


def test_a_value_made_in_code_is_checked_like_one_from_a_file() -> None:
    with pytest.raises(BadKey, match="uid"):
        UserRecipe(name="app", uid=0)


def test_requirements_alone_are_a_recipe(tmp_path: Path) -> None:
    source = load_image(image_folder(tmp_path, requirements="mypy\n"))
    assert source.recipe == ImageToml(name="mypy")
    assert source.requirements == (source.folder / "requirements.txt",)
    assert (source.lock.name, source.wheels.name) == ("pylock.toml", "wheels")


def test_a_recipe_may_do_without_requirements_that_it_does_not_name(tmp_path: Path) -> None:
    assert load_image(image_folder(tmp_path, image="")).requirements == ()


def test_requirements_that_a_recipe_names_have_to_be_there(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, image="[python]\nrequirements = ['requirements.txt']\n")
    with pytest.raises(RecipeError, match=r"image\.toml:2: python\.requirements\[0\]: there is no file"):
        load_image(folder)


OUTSIDE = {
    "python.requirements[0]": ("[python]\nrequirements = ['{}/r.txt']\n", "[python]\noutside = true\n"),
    "python.project": ("[python]\nproject = '{}/src'\n", "[python]\noutside = true\n"),
    "copy[0].src": ("[[copy]]\ndest = '/a'\nsrc = '{}/src'\n", "[[copy]]\noutside = true\n"),
}


@pytest.mark.parametrize("way", ["../../../outside", "link", "./link/.", "{absolute}"])
@pytest.mark.parametrize("key", OUTSIDE)
def test_what_leads_out_of_the_project_is_refused_unless_the_recipe_says_it_may(
    tmp_path: Path, key: str, way: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "src").mkdir(parents=True)
    (outside / "r.txt").write_text("six\n")
    (outside / "src" / "pyproject.toml").write_text("")
    folder = image_folder(tmp_path / "project", image="")
    (folder / "link").symlink_to("../link")
    (folder.parent / "link").symlink_to(outside)
    text, word = OUTSIDE[key]
    text = text.format(way.format(absolute=outside))
    if key.startswith("copy") and way == "{absolute}":
        return  # never a path
    (folder / "image.toml").write_text(text)
    with pytest.raises(RecipeError, match="leads out of the project") as caught:
        load_image(folder)
    assert (caught.value.key, caught.value.line is not None) == (key, True)
    assert "outside = true" in str(caught.value.hint)
    (folder / "image.toml").write_text(text.replace(*(word.splitlines()[0], word.rstrip())))
    load_image(folder)


def test_the_project_is_what_holds_build_or_what_was_named(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "r.txt").write_text("six\n")
    text = "[python]\nrequirements = ['{}/shared/r.txt']\n"
    folder = image_folder(tmp_path, image=text.format("../.."))
    assert load_image(folder).within.root == tmp_path.resolve()
    assert load_image(folder, project=Path("/")).within.root == tmp_path.resolve()
    other = tmp_path / "other" / "mypy"
    other.mkdir(parents=True)
    (other / "image.toml").write_text(text.format("../.."))
    assert load_image(other, project=tmp_path).within.root == tmp_path.resolve()
    with pytest.raises(RecipeError, match="leads out of the project"):
        load_image(other)


def test_a_recipe_that_is_a_link_out_of_its_project_is_refused(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "project", requirements="")
    (tmp_path / "secret").write_text("root = 1\n")
    (folder / "image.toml").symlink_to(tmp_path / "secret")
    with pytest.raises(RecipeError, match=r"image\.toml: it leads out of the project"):
        load_image(folder)
    (folder / "image.toml").unlink()
    (tmp_path / "project" / "shared.toml").write_text("")
    (folder / "image.toml").symlink_to("../../shared.toml")
    assert load_image(folder).recipe.name == "mypy"


def test_a_folder_with_neither_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no recipe 'mypy'"):
        load_image(image_folder(tmp_path))


@pytest.mark.parametrize("name", ["MyPy", "lock"])
def test_a_folder_that_cannot_name_an_image_asks_for_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecipeError, match=f"the folder is called '{name}'") as caught:
        load_image(image_folder(tmp_path, name, requirements=""))
    assert "name =" in str(caught.value.hint)


def test_the_version_of_a_file_name_is_the_recipes_else_that_of_the_first_tag() -> None:
    assert recipe("name = 'a'\nversion = '2'\ntags = ['a:1']").release == "2"
    assert recipe("name = 'a'\ntags = ['a:1', 'a:3']").release == "1"
    assert recipe("name = 'a'").release == "latest"


def test_a_command_line_changes_what_it_names_and_nothing_else() -> None:
    before = recipe(EVERYTHING)
    after = with_overrides(
        before, Overrides(base="other", tags=["a:1"], env={"DEBUG": "1"}, labels={"x": "y"}, user="bob")
    )
    assert (after.base, after.tags, after.config.env["DEBUG"], after.config.env["LANG"]) == (
        "other",
        ("a:1",),
        "1",
        "C.UTF-8",
    )
    assert after.config.labels == {**before.config.labels, "x": "y"}
    assert (after.user.name, after.user.uid, after.user.home) == ("bob", 1234, "/home/bob")
    assert with_overrides(before, Overrides()) == before
    assert after.copy == before.copy
    assert after.config.exposed_ports == before.config.exposed_ports


@pytest.mark.parametrize(
    ("text", "ids"), [("root", (0, 0)), ("0", (0, 0)), ("app", (1000, 1000)), ("app:5", (5, 5)), ("app:5:6", (5, 6))]
)
def test_a_user_can_be_given_with_numbers(text: str, ids: tuple[int, int]) -> None:
    user = with_overrides(recipe("name = 'a'"), Overrides(user=text)).user
    assert (user.uid, user.gid) == ids


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"user": "a:b"}, InvalidValue),
        ({"user": "Bob"}, RecipeError),
        ({"env": {"1": "a"}}, RecipeError),
        ({"tags": ["Q"]}, RecipeError),
    ],
)
def test_a_command_line_is_checked_like_a_file(changes: dict[str, Any], kind: type[OcibuildError]) -> None:
    with pytest.raises(kind):
        with_overrides(recipe("name = 'a'"), Overrides(**changes))


def test_the_schema_accepts_what_we_accept_and_refuses_a_slip() -> None:
    validator = jsonschema.Draft202012Validator(image_schema())
    validator.check_schema(image_schema())
    validator.validate(json.loads(json.dumps(tomllib.loads(EVERYTHING))))
    assert not validator.is_valid({"naem": "x"})
    assert not validator.is_valid({"config": {"exposed-ports": [70000]}})
    assert not validator.is_valid({"copy": [{"src": "a", "dest": "b"}]})


def test_packages_are_a_list_or_a_table_with_globs(tmp_path: Path) -> None:
    for written, keep in (
        ('base-packages = ["git"]', ()),
        ('[base-packages]\npackages = ["git"]\nkeep = ["/usr/share/man/*"]', ("/usr/share/man/*",)),
    ):
        (tmp_path / "image.toml").write_text(f"{written}\n")
        found = load_image(tmp_path).recipe.debian
        assert (found.names, found.keep, found.drop, found.skipped) == (("git",), keep, (), {})


@pytest.mark.parametrize("written", ["base-packages = [{}]", "[base-packages]\npackages = [{}]"])
def test_scripts_of_a_package_are_passed_over_for_a_reason(tmp_path: Path, written: str) -> None:
    text = written.format('"git", { name = "x1", scripts = "skip", reason = "only a cache" }')
    (tmp_path / "image.toml").write_text(f"{text}\n")
    found = load_image(tmp_path).recipe.debian
    assert (found.names, found.skipped) == (("git", "x1"), {"x1": "only a cache"})


@pytest.mark.parametrize(
    ("written", "locales"),
    [
        ('"de_DE.UTF-8"', ("de_DE.UTF-8",)),
        ('["de_DE.UTF-8", "en_US.UTF-8", "de_DE.UTF-8"]', ("de_DE.UTF-8", "en_US.UTF-8")),
        ('"ca_ES.UTF-8@valencia"', ("ca_ES.UTF-8@valencia",)),
        ('"C.UTF-8"', ("C.UTF-8",)),
        ("[]", ()),
    ],
)
def test_a_locale_is_one_or_a_list(tmp_path: Path, written: str, locales: tuple[str, ...]) -> None:
    (tmp_path / "image.toml").write_text(f"[config]\nlocale = {written}\n")
    recipe = load_image(tmp_path).recipe
    assert recipe.config.locales == locales
    assert recipe.needs_packages is any(name != "C.UTF-8" for name in locales)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"de-DE"', "de_DE.UTF-8"),
        ('"de_DE utf8"', "de_DE.UTF-8"),
        ('"en-us.utf-8"', "en_US.UTF-8"),
        ('["C", "fr-FR"]', "fr_FR.UTF-8"),
        ('"../etc"', None),
        ("1", None),
    ],
)
def test_a_locale_that_is_written_as_elsewhere_has_its_name_as_hint(
    tmp_path: Path, written: str, meant: str | None
) -> None:
    (tmp_path / "image.toml").write_text(f"[config]\nlocale = {written}\n")
    with pytest.raises(RecipeError, match="locale") as failed:
        load_image(tmp_path)
    assert meant is None or meant in (failed.value.hint or "")


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ('base-packages = "git"', "base-packages"),
        ("base-packages = [1]", "base-packages[0]"),
        ('base-packages = ["Git"]', "base-packages[0]"),
        ('[base-packages]\npackages = ["git"]\nkep = ["x"]', "base-packages.kep"),
        ('[base-packages]\npackages = ["git"]\ndrop = ["//"]', "base-packages.drop[0]"),
        ('[base-packages]\npackages = ["git"]\ndrop = "x"', "base-packages.drop"),
        ('base-packages = [{ name = "x1", scripts = "skip" }]', "base-packages[0].reason"),
        ('base-packages = [{ name = "x1", reason = "y" }]', "base-packages[0].scripts"),
        ('base-packages = [{ name = "x1", scripts = "run", reason = "y" }]', "base-packages[0].scripts"),
    ],
)
def test_packages_that_are_written_wrongly_are_named(tmp_path: Path, written: str, key: str) -> None:
    (tmp_path / "image.toml").write_text(f"{written}\n")
    with pytest.raises(RecipeError) as failed:
        load_image(tmp_path)
    assert failed.value.key == key
    assert "expected" in str(failed.value) or "did you mean 'keep'" in (failed.value.hint or "")


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ('run = "apt-get install x"', "nothing is run in a build"),
        ("[run]", "nothing is run in a build"),
        ('apt = ["libgl1"]', 'base-packages = ["libgl1"]'),
        ("[apt]\nlibgl1 = true", 'base-packages = ["libgl1"]'),
        ('[copy]\nsrc = "a"\ndest = "/a"', "write [[copy]]"),
        ('from = "debian"', "write base ="),
        ("ports = [80]", "exposed-ports = [8080] below [config]"),
        ('[python]\nconstraints = ["c.txt"]', "write -c FILE into requirements.txt"),
    ],
)
def test_a_key_of_another_program_is_told_what_to_write(tmp_path: Path, written: str, hint: str) -> None:
    (tmp_path / "image.toml").write_text(f"{written}\n")
    with pytest.raises(RecipeError) as failed:
        load_image(tmp_path)
    assert hint in (failed.value.hint or "")


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ('[config]\nbase-packages = ["ffmpeg"]', "'base-packages' belongs in the lines above the first [table]"),
        ('[config]\nname = "x"', "'name' belongs in the lines above the first [table]"),
        ('[config]\nproject = "."', "'project' belongs in [python]"),
        ('base-packages = ["ffmpeg tesseract-ocr", "jq"]', 'base-packages = ["ffmpeg", "tesseract-ocr", "jq"]'),
        ('base-packages = ["jq, curl"]', 'base-packages = ["jq", "curl"]'),
        ('base-packages = ["ffmpeg (>= 5)"]', 'base-packages = ["ffmpeg"]'),
        ('[config]\nexposed-ports = ["80 443/udp"]', 'exposed-ports = ["80", "443/udp"]'),
    ],
)
def test_what_stands_at_the_wrong_place_or_in_one_text_is_told_where_it_goes_and_how(
    tmp_path: Path, written: str, hint: str
) -> None:
    (tmp_path / "image.toml").write_text(f"{written}\n")
    with pytest.raises(RecipeError) as failed:
        load_image(tmp_path)
    assert hint in (failed.value.hint or "")


def test_paths_of_a_recipe_are_without_detours_where_no_link_forbids_that(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    folder = tmp_path / "build" / "x"
    folder.mkdir(parents=True)
    (folder / "image.toml").write_text('[python]\nproject = "../.."\nrequirements = ["../../pyproject.toml"]\n')
    source = load_image(folder)
    assert (source.project, source.pyprojects) == (tmp_path, (tmp_path / "pyproject.toml",))
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    folder.rename(tmp_path / "elsewhere" / "deep" / "x")
    folder.symlink_to(tmp_path / "elsewhere" / "deep" / "x")
    (tmp_path / "elsewhere" / "pyproject.toml").write_text('[project]\nname = "y"\nversion = "1"\n')
    source = load_image(folder)
    assert source.project == folder / ".." / ".."
    assert source.pyprojects[0].read_text().startswith('[project]\nname = "y"')
