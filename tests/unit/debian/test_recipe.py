"""layer.toml, and the bases this repository ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.debian.lock import encode, lock_path, read_lock
from oci_builder.debian.recipe import Suite, key_files, load_layer
from oci_builder.debian.update import check_lock
from oci_builder.errors import RecipeError
from oci_builder.platforms import AMD64, ARM64, Platform
from tests.support.debian import RECIPE

LAYERS = Path(__file__).parents[3] / "layers"
SHIPPED = sorted(path.parent for path in LAYERS.glob("*/layer.toml"))


def written(folder: Path, old: str = "", new: str = "") -> Path:
    text = RECIPE.format(packages='"libc6"')
    assert old in text
    (folder / "layer.toml").write_text(text.replace(old, new, 1) if old else text)
    return folder


def test_a_recipe_is_read(tmp_path: Path) -> None:
    recipe = load_layer(written(tmp_path))
    assert recipe.source.suite_list() == [
        Suite("debian", "bookworm"),
        Suite("debian-security", "bookworm-security"),
    ]
    assert (recipe.python.minor, recipe.source.packages) == ("3.11", ("libc6",))


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"debian/bookworm"', '"bookworm"', "source.suites"),
        ('"libc6"', '"libc6", "libc6"', "source.packages"),
        ('"libc6"', '"Lib C"', "source.packages"),
        ('"3.11.2"', '"3.11"', "python.version"),
        ('"2.36"', '"2"', "python.glibc"),
        ('"/usr/local/bin"', '"bin"', "python.scripts"),
        ('kind = "debian"', 'kind = "ubuntu"', "source.kind"),
        ("summary", "sumary", "sumary"),
    ],
)
def test_what_a_recipe_cannot_say_is_named_by_its_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    with pytest.raises(RecipeError) as raised:
        load_layer(written(tmp_path, old, new))
    assert raised.value.key == key


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
@pytest.mark.parametrize("platform", [AMD64, ARM64], ids=str)
def test_a_shipped_base_has_a_lock_of_its_recipe(folder: Path, platform: Platform) -> None:
    path = lock_path(folder, platform)
    lock = read_lock(path)
    check_lock(load_layer(folder), lock, path=path)
    assert (lock.architecture, encode(lock)) == (platform.architecture, path.read_bytes())


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_base_names_no_host(folder: Path) -> None:
    assert load_layer(folder).source.mirrors == ()
    assert not any(b"://" in path.read_bytes() for path in folder.glob("*.*"))


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_shipped_base_brings_its_keys(folder: Path) -> None:
    assert len(key_files(folder)) == 3


PROGRAMS = {"bash", "grep", "sed", "findutils", "tar", "gzip", "procps"}


@pytest.mark.parametrize("name", ["python-3.11", "python-3.13"])
def test_a_base_has_what_a_subprocess_reaches_for(name: str) -> None:
    assert set(load_layer(LAYERS / name).source.packages) >= PROGRAMS


def test_the_slim_base_is_the_other_one_without_its_shell() -> None:
    whole, slim = (set(load_layer(LAYERS / name).source.packages) for name in ("python-3.11", "python-3.11-slim"))
    assert whole - slim >= {"dash", "coreutils"} | PROGRAMS and slim < whole
