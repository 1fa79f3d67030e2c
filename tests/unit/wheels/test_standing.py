"""When pip need not be asked, and when it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.inputs import Recording, recording
from oci_builder.platforms import ARM64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.wheels.lock import encode
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.resolve import WheelSources, resolve
from oci_builder.wheels.target import Target
from tests.support.targets import TARGET
from tests.support.wheels import make_wheel, sha256

ON_ARM = replace(TARGET, platform=ARM64)


class Wheels:
    """A folder of wheels, and what is chosen from it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.known: tuple[WheelPin, ...] = ()
        self._asked = False

    def choose(self, text: str, *, target: Target = TARGET, also: Sequence[Path] = ()) -> tuple[WheelPin, ...]:
        """The pins for ``text``, those chosen before preferred; ``asked_pip`` tells whether pip was."""
        file = self.folder.parent / "requirements.txt"
        file.write_text(text)
        sources = WheelSources(find_links=(self.folder, *also), offline=True, environ=os.environ)
        with recording(seen := Recording(clock=lambda: 0)):
            self.known = resolve(
                [file], target, sources=sources, preferred=self.known, store=self.store, reporter=Quiet()
            )
        # Nobody knows which variables pip looks at, so all of them count as read.
        self._asked = seen.every_name
        return self.known

    def asked_pip(self) -> bool:
        """Whether pip was asked the last time."""
        return self._asked

    def versions(self) -> dict[str, str]:
        return {pin.name: pin.version for pin in self.known}


@pytest.fixture
def wheels(tmp_path: Path, store: Store) -> Wheels:
    made = Wheels(tmp_path / "wheels", store)
    for version in ("1.0", "1.1", "2.0"):
        make_wheel(made.folder, "app", version, requires=["dep>=1", 'win; sys_platform == "win32"'])
    make_wheel(made.folder, "dep", "1.0")
    make_wheel(made.folder, "other", "1.0")
    return made


def test_a_changed_pin_whose_needs_are_met_is_taken_without_pip_and_gives_the_same_lock(
    wheels: Wheels, tmp_path: Path
) -> None:
    before = wheels.choose("app==1.0\n")
    assert wheels.asked_pip()
    without = wheels.choose("app==1.1\n")
    assert not wheels.asked_pip()
    wheels.known = before
    # A folder that is not there makes no difference to pip, and it alone is asked then.
    asked = wheels.choose("app==1.1\n", also=[tmp_path / "none"])
    assert wheels.asked_pip()
    assert encode({TARGET: without}, fingerprint="f") == encode({TARGET: asked}, fingerprint="f")
    assert [(pin.name, pin.version, pin.requested) for pin in without] == [("app", "1.1", True), ("dep", "1.0", False)]


def test_what_nothing_needs_any_more_goes_and_what_is_asked_for_comes_without_pip(wheels: Wheels) -> None:
    wheels.choose("app==1.0\n")
    wheels.choose("app==1.0\nother\n")
    assert (wheels.asked_pip(), wheels.versions()) == (False, {"app": "1.0", "dep": "1.0", "other": "1.0"})
    wheels.choose("other\n")
    assert (wheels.asked_pip(), wheels.versions()) == (False, {"other": "1.0"})


def test_of_a_range_the_newest_is_taken_without_pip(wheels: Wheels) -> None:
    wheels.choose("app==1.0\n")
    wheels.choose("app>1.0,<2\n")
    assert (wheels.asked_pip(), wheels.versions()["app"]) == (False, "1.1")


def test_pip_is_asked_where_something_comes_along_that_was_not_locked(wheels: Wheels) -> None:
    wheels.choose("app==1.0\n")
    make_wheel(wheels.folder, "app", "3.0", requires=["dep", "fresh"])
    make_wheel(wheels.folder, "fresh", "1.0")
    wheels.choose("app==3.0\n")
    assert (wheels.asked_pip(), wheels.versions()["fresh"]) == (True, "1.0")


def test_pip_is_asked_where_a_locked_version_does_not_do(wheels: Wheels) -> None:
    wheels.choose("app==1.0\n")
    make_wheel(wheels.folder, "app", "3.0", requires=["dep>=2"])
    make_wheel(wheels.folder, "dep", "2.0")
    wheels.choose("app==3.0\n")
    assert (wheels.asked_pip(), wheels.versions()["dep"]) == (True, "2.0")


def test_pip_is_asked_for_another_python_and_refuses_as_ever(wheels: Wheels) -> None:
    wheels.choose("app==1.0\n")
    make_wheel(wheels.folder, "app", "3.0", requires=["dep"], requires_python=">=3.12")
    with pytest.raises(Exception, match="app"):
        wheels.choose("app==3.0\n")


def test_pip_is_asked_which_of_several_wheels_or_prereleases_is_best(wheels: Wheels) -> None:
    wheels.choose("app==1.0\n")
    make_wheel(wheels.folder, "app", "1.1", build="1", requires=["dep"])
    wheels.choose("app==1.1\n")
    assert wheels.asked_pip()
    make_wheel(wheels.folder, "app", "2.1rc1", requires=["dep"])
    wheels.choose("app>=2.0\n")
    assert (wheels.asked_pip(), wheels.versions()["app"]) == (True, "2.0")
    wheels.choose("app==2.1rc1\n")
    assert (wheels.asked_pip(), wheels.versions()["app"]) == (False, "2.1rc1")


def test_pip_is_asked_where_an_option_says_which_versions_there_are_and_not_for_an_index_that_is_not_asked(
    wheels: Wheels,
) -> None:
    wheels.choose("app==1.0\n")
    wheels.choose("--extra-index-url https://index.example/simple\napp==1.1\n")
    assert not wheels.asked_pip()
    wheels.choose("--pre\napp==1.0\n")
    assert wheels.asked_pip()


def test_hashes_are_held_to_and_a_wrong_one_is_for_pip_to_refuse(wheels: Wheels) -> None:
    def line(name: str, version: str, digest: str = "") -> str:
        digest = digest or sha256(wheels.folder / f"{name}-{version}-py3-none-any.whl")
        return f"{name}=={version} --hash=sha256:{digest}\n"

    wheels.choose(line("app", "1.0") + line("dep", "1.0"))
    wheels.choose(line("app", "1.1") + line("dep", "1.0"))
    assert (wheels.asked_pip(), wheels.versions()["app"]) == (False, "1.1")
    with pytest.raises(Exception, match="app"):
        wheels.choose(line("app", "1.0", "0" * 64) + line("dep", "1.0"))


def test_a_wheel_that_is_another_under_the_same_name_is_locked_as_it_is_now(wheels: Wheels) -> None:
    wheels.choose("app==1.0\n")
    made = make_wheel(wheels.folder, "dep", "1.0", files={"dep.py": "again = 1\n"})
    wheels.choose("app==1.1\n")
    assert not wheels.asked_pip()
    assert {pin.name: pin.sha256.hex for pin in wheels.known}["dep"] == sha256(made)


def test_each_platform_has_its_own_wheel(wheels: Wheels) -> None:
    for version in ("1.0", "1.1"):
        make_wheel(wheels.folder, "fast", version, tag="cp311-cp311-manylinux_2_17_x86_64")
        make_wheel(wheels.folder, "fast", version, tag="cp311-cp311-manylinux_2_17_aarch64")
    found = []
    for target in (TARGET, ON_ARM):
        wheels.known = ()
        wheels.choose("fast==1.0\n", target=target)
        found += [pin.filename for pin in wheels.choose("fast==1.1\n", target=target)]
        assert not wheels.asked_pip()
    assert [name.rpartition("_2_17_")[2] for name in found] == ["x86_64.whl", "aarch64.whl"]
