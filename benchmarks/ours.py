"""ocibuild on the same wheels: a project of its own, with caches that are made anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs import ROOT, linked, pins, size_of
from benchmarks.measuring import Cost, Runner

_RECIPE = 'base = "python-3.11"\n[python]\nbytecode = "{bytecode}"\n[layering]\nstrategy = "{strategy}"\n'
_BASE = "layers/python-3.11/layer.toml"


class Ours:
    """A project under ``work``, and two caches: ``based`` has the base's layer and nothing else."""

    def __init__(self, work: Path, ocibuild: Sequence[str], debs: Path, run: Runner) -> None:
        self._work, self._ocibuild, self._debs, self._run = work, ocibuild, debs, run
        self._based, self.cache = work / "based", work / "cache"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(ROOT / "layers", work / "layers")
        self._recipe("empty").joinpath("image.toml").write_text(_RECIPE.format(bytecode="none", strategy="size"))

    def forget_base(self) -> None:
        """From now on, even the base's layer has to be made."""
        shutil.rmtree(self._based, ignore_errors=True)

    def build_base(self) -> Cost:
        """Build the base from its packages, which are here, and an image of nothing else."""
        (self._work / "empty.tar").unlink(missing_ok=True)
        return self._build("empty", self._work / "empty.tar", self._based)

    def forget(self) -> None:
        """From now on, the cache has the base and nothing else."""
        self._restore(self._based)

    def remember(self) -> None:
        """What the cache holds now can be restored."""
        shutil.rmtree(self._work / "kept", ignore_errors=True)
        shutil.copytree(self.cache, self._work / "kept")

    def restore(self) -> None:
        """The cache is as it was when it was remembered."""
        self._restore(self._work / "kept")

    def _restore(self, cache: Path) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)
        shutil.copytree(cache, self.cache)

    def prepare(
        self, wheels: Path, *, bytecode: str, also: Sequence[Path] = (), strategy: str = "size", locked: bool = True
    ) -> None:
        """Make the recipe one of these wheels; those in ``also`` lie beside them. With its lock, for choosing versions
        is no peer's work here, unless it shall not be ``locked``."""
        recipe = self._recipe("bench")
        linked([*wheels.glob("*.whl"), *also], recipe / "wheels")
        (recipe / "requirements.txt").write_text(pins(wheels))
        (recipe / "image.toml").write_text(_RECIPE.format(bytecode=bytecode, strategy=strategy))
        (recipe / "pylock.toml").unlink(missing_ok=True)
        if locked:
            self._run(*self._ocibuild, "lock", "bench", "--cache-dir", self._work / "locking", cwd=self._work)

    def unlock(self) -> None:
        """The next build chooses versions itself."""
        (self._recipe("bench") / "pylock.toml").unlink(missing_ok=True)

    def command(self, out: Path) -> tuple[list[str | Path], Path]:
        """What builds the image, and where."""
        return [*self._ocibuild, "bench", "--out", out, "--cache-dir", self.cache, "--quiet"], self._work

    def build(self, out: Path) -> Cost:
        """Build the image and write it."""
        return self._build("bench", out, self.cache)

    def held(self) -> int:
        """Bytes of the blobs in the cache."""
        return size_of(self.cache / "v1" / "blobs")

    def move_base(self) -> None:
        """Another base from the same packages: one file fewer."""
        text = (ROOT / _BASE).read_text()
        (self._work / _BASE).write_text(text.replace("drop = [", 'drop = [\n    "usr/share/zoneinfo/Zulu",', 1))

    def restore_base(self) -> None:
        """The base is the one that it was at first."""
        shutil.copy(ROOT / _BASE, self._work / _BASE)

    def _build(self, name: str, out: Path, cache: Path) -> Cost:
        return self._run(
            *self._ocibuild, name, "--out", out, "--cache-dir", cache, "--quiet", "--offline", cwd=self._work
        )

    def _recipe(self, name: str) -> Path:
        recipe = self._work / "build" / name
        recipe.mkdir(parents=True, exist_ok=True)
        if not (recipe / "debs").is_dir():
            shutil.copytree(self._debs, recipe / "debs", copy_function=os.link)
        return recipe
