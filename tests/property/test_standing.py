"""What is chosen without pip, compared with pip: OCIBUILD_STANDING=200 tries as many changes."""

from __future__ import annotations

import os
import platform
import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from oci_builder.digest import Digest
from oci_builder.platforms import AMD64, ARM64
from oci_builder.store import Store
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.requirements import read
from oci_builder.wheels.resolve import _still_allowed
from oci_builder.wheels.standing import StandingPins, standing
from tests.support.targets import TARGET
from tests.support.warmpip import WarmPip, warm_pip
from tests.support.wheels import make_wheel

CHANGES = int(os.environ.get("OCIBUILD_STANDING", "12"))
NAMES = ("app", "Big.Lib", "core_x", "dep-a", "dep-b", "extra1", "fast", "gone")
VERSIONS = ("1.0", "1.1", "2.0", "2.1rc1", "3.0+local")
MARKERS = (
    *("python_version >= '3.8'", "python_version < '3'", "sys_platform == 'win32'", "platform_machine != 'sparc'"),
    *("extra == 'more'", "extra == 'More_2' and os_name == 'posix'", "implementation_name == 'pypy'"),
)

# Markers are those of the pip that runs, so the target is its own Python.
HERE = replace(
    TARGET,
    platform=ARM64 if platform.machine() in ("aarch64", "arm64") else AMD64,
    promise=replace(TARGET.promise, version=platform.python_version()),
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pip is to answer for Linux")


@dataclass(frozen=True)
class World:
    """A folder of wheels that need each other, by chance."""

    folder: Path
    chance: random.Random

    def fill(self) -> None:
        for name in NAMES:
            for version in self.chance.sample(VERSIONS, self.chance.choice((1, 2, 2, 3))):
                python = self.chance.choice((None, None, None, ">=3.8", "<3", ">=3.8,!=3.9.*"))
                needs = [self._need(name) for _ in range(self.chance.choice((0, 0, 1, 2, 3)))]
                tag = self.chance.choice(("py3-none-any", "py3-none-any", "py2.py3-none-any", "cp39-cp39-win32"))
                extras = self.chance.sample(["more", "More_2"], self.chance.choice((0, 1, 2)))
                make_wheel(self.folder, name, version, tag=tag, requires=needs, extras=extras, requires_python=python)
                if self.chance.random() < 0.05:
                    make_wheel(self.folder, name, version, tag=tag, build="1", requires=needs, extras=extras)

    def _need(self, of: str) -> str:
        name = self.chance.choice([each for each in NAMES if each != of])
        extra = self.chance.choice(("", "", "", "[more]", "[more,More.2]", "[none]"))
        marker = f"; {self.chance.choice(MARKERS)}" if self.chance.random() < 0.5 else ""
        return f"{name}{extra}{self.limit()}{marker}"

    def limit(self) -> str:
        return self.chance.choice(("", "", "", ">=1.0", ">=1.1", "<3", "!=1.1", "~=2.0", "==1.*", ">=2.1rc1"))

    def line(self, name: str) -> str:
        pin = f"=={self.chance.choice(VERSIONS)}"
        extra = self.chance.choice(("", "", "", "[more]", "[More-2]"))
        marker = f"; {self.chance.choice(MARKERS)}" if self.chance.random() < 0.15 else ""
        return f"{name}{extra}{pin if self.chance.random() < 0.7 else self.limit()}{marker}"

    def lines(self) -> list[str]:
        return [self.line(name) for name in self.chance.sample(NAMES, self.chance.choice((1, 2, 3)))]

    def changed(self, lines: list[str]) -> list[str]:
        lines = list(lines)
        kind = self.chance.random()
        at = self.chance.randrange(len(lines))
        if kind < 0.7:
            lines[at] = self.line(_named(lines[at]))
        elif kind < 0.85:
            lines.append(self.line(self.chance.choice(NAMES)))
        elif len(lines) > 1:
            del lines[at]
        return lines


def _named(line: str) -> str:
    return next(name for name in sorted(NAMES, key=len, reverse=True) if line.startswith(name))


@dataclass(frozen=True)
class Question:
    folder: Path
    wheels: Path
    lines: list[str]
    limits: list[str]

    def words(self, preferred: list[str]) -> list[str]:
        asked, limits = self.folder / "asked.txt", self.folder / "limits.txt"
        asked.write_text("".join(f"{line}\n" for line in self.lines))
        limits.write_text("".join(f"{line}\n" for line in (*self.limits, *preferred)))
        return [f"--find-links={self.wheels}", f"--requirement={asked}", f"--constraint={limits}"]

    def by_pip(self, pip: WarmPip, preferred: list[WheelPin]) -> tuple[WheelPin, ...] | None:
        found = pip.ask(self.folder, self.words([f"{pin.name}=={pin.version}" for pin in preferred]))
        if found is None:
            return None
        pins = []
        for item in found:
            info = item["download_info"]
            pin = WheelPin(
                name=canonicalize_name(item["metadata"]["name"]),
                version=item["metadata"]["version"],
                filename=info["url"].rpartition("/")[2].replace("%2B", "+"),
                sha256=Digest(info["archive_info"]["hashes"]["sha256"]),
                size=None,
                requested=item["requested"],
            )
            pins.append(pin)
        return tuple(sorted(pins, key=lambda pin: pin.name))


def _without_pip(question: Question, known: tuple[WheelPin, ...], store: Store) -> tuple[list[WheelPin], object]:
    question.words([])
    requirements = [question.folder / "asked.txt"]
    asked = read(requirements, constraints=[question.folder / "limits.txt"])
    kept = {pin.name: pin for pin in known if _still_allowed(pin, asked.lines)}
    sources = WheelSources(find_links=(question.wheels,), offline=True, environ={})
    found = standing(
        StandingPins(asked=asked, target=HERE, sources=sources, store=store, kept=kept, sizes={}), requirements
    )
    return list(kept.values()), found


def test_what_is_chosen_without_pip_is_what_pip_chooses(tmp_path: Path, store: Store) -> None:
    told, tried = 0, 0
    with warm_pip() as pip:
        for seed in range(10_000):
            if tried == CHANGES:
                break
            folder = tmp_path / str(seed)
            world = World(folder / "wheels", random.Random(seed))
            world.fill()
            before = Question(folder, world.folder, world.lines(), [])
            known = before.by_pip(pip, [])
            _, first = _without_pip(before, (), store)
            # Without a lock, where all that is reached was asked for.
            assert first is None or first == known, (seed, before.lines)
            if not known:
                continue
            limits = [f"{world.chance.choice(NAMES)}{world.limit() or '>0'}"] if world.chance.random() < 0.2 else []
            after = replace(before, lines=world.changed(before.lines), limits=limits)
            kept, found = _without_pip(after, known, store)
            tried += 1
            if found is not None:
                told += 1
                assert found == after.by_pip(pip, kept), (seed, before.lines, after.lines, limits)
    assert tried == CHANGES
    # Not by saying nothing.
    assert told >= CHANGES // 6, told
