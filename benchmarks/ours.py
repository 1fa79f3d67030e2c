"""ocibuild on the same wheels: a project of its own, with caches that are made anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs import ROOT, pins
from benchmarks.measuring import Cost, run

RECIPE = 'base = "python-3.11"\n[python]\nbytecode = "{bytecode}"\n'


class Ours:
    """A project under ``work``. ``based`` is a cache that has the base's layer and nothing else."""

    def __init__(self, work: Path, ocibuild: Sequence[str], debs: Path) -> None:
        self._work, self._ocibuild, self._debs = work, ocibuild, debs
        self._based, self.cache = work / "based", work / "cache"
        shutil.copytree(ROOT / "layers", work / "layers", dirs_exist_ok=True)

    def set_up(self) -> Cost:
        """Build the base from its packages, which are here; that is what it costs."""
        recipe = self._recipe("empty")
        (recipe / "image.toml").write_text(RECIPE.format(bytecode="none"))
        shutil.rmtree(self._based, ignore_errors=True)
        return self._build("empty", self._work / "empty.tar", self._based)

    def forget(self) -> None:
        """From now on, the cache has the base and nothing else."""
        shutil.rmtree(self.cache, ignore_errors=True)
        shutil.copytree(self._based, self.cache)

    def prepare(self, wheels: Path, *, bytecode: str) -> None:
        """Make the recipe one of these wheels, with its lock: choosing versions is no peer's work here."""
        recipe = self._recipe("bench")
        shutil.rmtree(recipe / "wheels", ignore_errors=True)
        shutil.copytree(wheels, recipe / "wheels", copy_function=os.link)
        (recipe / "requirements.txt").write_text(pins(wheels))
        (recipe / "image.toml").write_text(RECIPE.format(bytecode=bytecode))
        (recipe / "pylock.toml").unlink(missing_ok=True)
        run(*self._ocibuild, "lock", "bench", "--cache-dir", self._work / "locking", cwd=self._work)

    def build(self, out: Path) -> Cost:
        """Build the image and write it."""
        return self._build("bench", out, self.cache)

    def move_base(self) -> None:
        """Another base from the same packages: one file fewer."""
        layer = self._work / "layers" / "python-3.11" / "layer.toml"
        text = layer.read_text()
        layer.write_text(text.replace("drop = [", 'drop = [\n    "usr/share/zoneinfo/Zulu",', 1))

    def _build(self, name: str, out: Path, cache: Path) -> Cost:
        command: list[str | Path] = [*self._ocibuild, name, "--out", out, "--cache-dir", cache, "--quiet"]
        return run(*command, cwd=self._work, alone=True)

    def _recipe(self, name: str) -> Path:
        recipe = self._work / "build" / name
        recipe.mkdir(parents=True, exist_ok=True)
        if not (recipe / "debs").is_dir():
            shutil.copytree(self._debs, recipe / "debs", copy_function=os.link)
        return recipe
