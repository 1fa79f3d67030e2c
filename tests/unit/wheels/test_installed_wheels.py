"""Wheels that would fill a disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.errors import WheelError
from oci_builder.tree.content import MappedFiles
from oci_builder.wheels.installed_wheels import MOST_UNPACKED, InstalledWheels
from tests.support.targets import TARGET, wheel_of
from tests.support.tiny import build, make_tiny
from tests.support.wheels import make_wheel
from tests.support.zips import Part, write_wheel

ZEROS = bytes(80 << 20)


def test_a_wheel_that_unpacks_to_a_thousand_times_its_size_is_refused_unless_the_recipe_allows_it(
    tmp_path: Path,
) -> None:
    wheel = wheel_of(make_wheel(tmp_path, files={"zeros.bin": ZEROS}))
    with pytest.raises(WheelError, match=r"unpack to 838\d+, and \d+ are allowed") as caught:
        InstalledWheels(TARGET).installed(wheel, MappedFiles())
    assert caught.value.hint is not None and "max-unpacked" in caught.value.hint
    assert len(InstalledWheels(TARGET, most=10**9).installed(wheel, MappedFiles()).entries) == 5


def test_a_small_file_may_be_as_dull_as_it_likes(tmp_path: Path) -> None:
    wheel = wheel_of(make_wheel(tmp_path, files={"zeros.bin": ZEROS[: 60 << 20]}))
    assert len(InstalledWheels(TARGET).installed(wheel, MappedFiles()).entries) == 5


def test_sizes_are_added_up(tmp_path: Path) -> None:
    parts = [Part(name=b"f%d" % number, said_size=0xFFFFFFFE) for number in range(30)]
    assert MOST_UNPACKED < 30 * 0xFFFFFFFE
    with pytest.raises(WheelError, match="are allowed"):
        InstalledWheels(TARGET, most=MOST_UNPACKED).installed(
            wheel_of(write_wheel(tmp_path, *parts, sizes=False)), MappedFiles()
        )


def test_a_build_refuses_it_keeps_nothing_of_it_and_takes_it_where_the_recipe_says_so(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    make_wheel(tiny.wheels, "tool", "2.0", files={"zeros.bin": ZEROS})
    tiny.lock()
    ending = build(tiny)
    assert ending.code == 1 and "tool-2.0-py3-none-any.whl" in ending.said and "max-unpacked" in ending.said
    kept = tiny.cache / "v1" / "records" / "layer"
    before = set(kept.iterdir()) if kept.exists() else set()
    recipe = tiny.image / "image.toml"
    text = recipe.read_text()
    recipe.write_text(f'max-unpacked = "1GB"\n{text}')
    assert build(tiny).code == 0
    assert set(kept.iterdir()) > before
    recipe.write_text(f'max-unpacked = "70MB"\n{text}')
    ending = build(tiny)
    assert ending.code == 1 and "its layers unpack to" in ending.said
