"""A recipe that is written in Python instead of in image.toml."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oci_builder.confined import Within
from oci_builder.errors import RecipeError
from oci_builder.files import explained, fill
from oci_builder.recipes import ImageSource, ImageToml, read_recipe
from oci_builder.wording import counted

_REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True, kw_only=True)
class ImageRecipe:
    """What an image is made of. ``requirements`` are lines as in requirements.txt; ``copy`` are files and folders of
    this machine by where they go in the image. ``more`` is what else image.toml can say, by its keys.

    Nothing of it is looked at before it is planned.
    """

    requirements: Sequence[str] = ()
    name: str = "image"
    base: str = "python-3.11"
    base_packages: Sequence[str | Mapping[str, str]] | Mapping[str, Sequence[Any]] = ()
    platforms: Sequence[str] = ("linux/amd64",)
    tags: Sequence[str] = ()
    cmd: Sequence[str] | None = None
    entrypoint: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    copy: Mapping[str, str | Path] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"ImageRecipe({self.name!r}, {counted(len(self.requirements), 'requirement')}, base={self.base!r})"

    def document(self, folder: Path) -> dict[str, Any]:
        """The recipe as an image.toml in ``folder`` would have it."""
        config = {
            "env": dict(self.env),
            "labels": dict(self.labels),
            "entrypoint": _listed(self.entrypoint),
            **({} if self.cmd is None else {"cmd": _listed(self.cmd)}),
        }
        told: dict[str, Any] = {
            "name": self.name,
            "base": self.base,
            "base-packages": self._packages(),
            "platforms": _listed(self.platforms),
            "tags": _listed(self.tags),
            "python": {"requirements": [_REQUIREMENTS] if self.requirements else []},
            "config": config,
            # A caller says what is copied by a path of its own: there is no project it could lie outside of.
            "copy": [
                {"src": os.path.relpath(Path(src).absolute(), folder), "dest": dest, "outside": True}
                for dest, src in self.copy.items()
            ],
        }
        if self.user:
            told["user"] = {"name": self.user}
        return _merged(told, self.more)

    def _packages(self) -> Any:
        packages = self.base_packages
        if isinstance(packages, Mapping):
            return {key: _listed(values) for key, values in packages.items()}
        return _listed(packages)

    def written(self, folder: Path) -> ImageSource:
        """The recipe as one of the empty ``folder``, which gets its requirements. Raises RecipeError, FileProblem."""
        if isinstance(self.requirements, str):
            hint = f"write requirements=[{self.requirements!r}]"
            raise RecipeError(repr(self), "requirements", "expected a list of lines, got one text", hint=hint)
        if self.requirements:
            with explained(folder):
                fill(folder / _REQUIREMENTS, "".join(f"{line}\n" for line in self.requirements).encode())
        recipe: ImageToml = read_recipe(self.document(folder.resolve()), what=repr(self))
        return ImageSource(folder, recipe, Within(folder, folder))


def _listed(values: Sequence[Any]) -> list[Any] | str:
    """A list, as it is written in TOML; a text stays one, and is refused as it is there: its letters are no words."""
    return values if isinstance(values, str) else list(values)


def _merged(told: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """``more`` over what is ``told``; tables are merged, all else is replaced."""
    for key, value in more.items():
        known = told.get(key)
        told[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return told
