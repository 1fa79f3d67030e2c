"""All that a lock has, for whoever holds an image to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.projects.contents import lock_contents
from tests.parity.locks import LOCKS
from tests.support.targets import TARGET

ENVIRONMENT = dict(TARGET.markers())


@pytest.mark.parametrize(
    ("name", "built", "named"),
    [
        ("uv-members/uv.lock", ["alib", "blib", "plain", "shop", "tests-of-shop"], 5),
        ("po-paths/poetry.lock", ["alib", "blib"], 5),
        ("pd-paths/pdm.lock", ["alib", "blib"], 5),
        ("pi-paths/Pipfile.lock", ["alib", "blib", "shop"], 1),
    ],
)
def test_every_package_of_a_lock_is_known_whatever_is_chosen(name: str, built: list[str], named: int) -> None:
    found = lock_contents(LOCKS / name, ENVIRONMENT, projects=["Own.Project"])
    assert sorted(each.name for each in found.entries if each.built) == sorted([*built, "own-project"])
    assert sum(bool(each.wheels) for each in found.entries) == named
    assert (found.chooses, any(each.needed for each in found.entries)) == (False, False)
    (six,) = found.of("six")
    assert (six.version, bool(six.wheels or six.hashes)) == ("1.17.0", True)


def test_a_pylock_says_what_is_needed_and_what_some_choice_may_bring(tmp_path: Path) -> None:
    text = 'lock-version = "1.0"\ncreated-by = "x"\nextras = ["web"]\ndependency-groups = ["run", "dev"]\n'
    text += 'default-groups = ["run"]\n'
    markers = {
        "always": "python_version >= '3.8'",
        "web": "'web' in extras",
        "run": "'run' in dependency_groups",
        "dev": "'dev' in dependency_groups",
        "windows": "sys_platform == 'win32'",
    }
    for name, marker in markers.items():
        file = f'{{path = "{name}-1-py3-none-any.whl", hashes = {{sha256 = "{"0" * 64}"}}}}'
        text += f'[[packages]]\nname = "{name}"\nversion = "1"\nmarker = "{marker}"\nwheels = [{file}]\n'
    (tmp_path / "pylock.toml").write_text(text)
    found = lock_contents(tmp_path / "pylock.toml", ENVIRONMENT)
    assert {each.name: each.needed for each in found.entries} == {
        "always": True,
        "web": False,
        "run": True,
        "dev": False,
    }
