"""What an image's locks were, week by week, by the index's own dates: pip says what it would have chosen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class LockedDay:
    """The versions, by distribution, that pip chose on a day, and the recipe that has them in its lock."""

    day: str
    recipe: Path
    versions: Mapping[str, str]


def weeks(until: date, count: int) -> list[date]:
    """``count`` days a week apart, of which ``until`` is the last."""
    return [until - _WEEK * number for number in reversed(range(count))]


def locks(model: Path, days: Sequence[date], work: Path, *, layers: Path, cache: Path) -> list[LockedDay]:
    """The image of ``model`` as it was locked on each day. What was locked before, in ``work``, is not asked again."""
    found = []
    for day in days:
        recipe = work / "locks" / day.isoformat() / "build" / model.name
        if not (recipe / "pylock.toml").is_file():
            _prepare(model, recipe)
            _lock(recipe, day, layers=layers, cache=cache)
        document = tomllib.loads((recipe / "pylock.toml").read_text())
        versions = {each["name"]: each["version"] for each in document["packages"]}
        found.append(LockedDay(day.isoformat(), recipe, versions))
    return found


def _prepare(model: Path, recipe: Path) -> None:
    """A recipe like the model, for one platform, that asks for the newest of everything."""
    shutil.rmtree(recipe, ignore_errors=True)
    recipe.mkdir(parents=True)
    lines = [line.partition("==")[0] for line in (model / "requirements.txt").read_text().splitlines()]
    names = [line for line in lines if line and not line.startswith(("#", "-"))]
    (recipe / "requirements.txt").write_text("".join(f"{name}\n" for name in names))
    toml = (model / "image.toml").read_text().splitlines()
    kept = ['platforms = ["linux/amd64"]' if line.startswith("platforms") else line for line in toml]
    (recipe / "image.toml").write_text("".join(f"{line}\n" for line in kept))


def _lock(recipe: Path, day: date, *, layers: Path, cache: Path) -> None:
    # Wheels that lie on this machine have no dates.
    environ = {name: text for name, text in os.environ.items() if name not in ("PIP_FIND_LINKS", "PIP_NO_INDEX")}
    environ |= {"PIP_UPLOADED_PRIOR_TO": f"{day.isoformat()}T00:00:00Z", "OCIBUILD_CACHE_DIR": str(cache)}
    words = ["lock", recipe.name, "--project-dir", str(recipe.parents[1]), "--layers", str(layers), "--quiet"]
    subprocess.run([sys.executable, "-m", "oci_builder", *words], env=environ, check=True, timeout=900)
