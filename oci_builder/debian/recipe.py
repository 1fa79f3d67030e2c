"""``layer.toml``: what goes into a base, and what the base promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from oci_builder import inputs
from oci_builder.errors import BadKey
from oci_builder.tomlfile import load_toml

FILE = "layer.toml"
SCHEMA = 1
_SUITE = re.compile(r"[a-z][a-z0-9-]*/[a-z][a-z0-9-]*\Z")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+\Z")


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    pass


class Suite(msgspec.Struct, frozen=True, order=True):
    """A suite of an archive: ``debian-security/bookworm-security``. The archive is a mirror's folder of that name."""

    archive: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Suite:
        """Read ``archive/suite``, which a recipe has checked already."""
        archive, _, name = text.partition("/")
        return cls(archive, name)

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


class DebianSource(_Table, frozen=True, kw_only=True):
    """Which packages, from which suites. ``cut`` names what they depend on and the base leaves out, with the reason;
    ``drop`` and ``keep`` are globs of paths (``*`` crosses folders), ``keep`` being the stronger."""

    kind: Literal["debian"]
    suites: tuple[str, ...]
    packages: tuple[str, ...]
    cut: dict[str, str] = {}
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for suite in self.suites:
            if not _SUITE.match(suite):
                raise BadKey("suites", f"{suite!r} is not archive/suite", hint='such as "debian/bookworm"')
        for package in self.packages:
            if not _PACKAGE.match(package):
                raise BadKey("packages", f"{package!r} is not the name of a Debian package")
        twice = sorted({package for package in self.packages if self.packages.count(package) > 1})
        if twice:
            raise BadKey("packages", f"{twice[0]} is listed twice")

    def suite_list(self) -> list[Suite]:
        """The suites, parsed, in the recipe's order."""
        return [Suite.parse(text) for text in self.suites]


class PythonPromise(_Table, frozen=True, kw_only=True):
    """What images on this base may count on; paths are absolute, ``version`` is full (3.11.2)."""

    version: str
    interpreter: str
    prefix: str
    purelib: str
    scripts: str
    glibc: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"3\.\d+\.\d+", self.version):
            raise BadKey("version", f"{self.version!r} is not a full Python version", hint='such as "3.11.2"')
        if not re.fullmatch(r"\d+\.\d+", self.glibc):
            raise BadKey("glibc", f"{self.glibc!r} is not a version of glibc", hint='such as "2.36"')
        for key in ("interpreter", "prefix", "purelib", "scripts"):
            if not getattr(self, key).startswith("/"):
                raise BadKey(key, "not an absolute path")

    @property
    def minor(self) -> str:
        """``3.11``."""
        return self.version.rpartition(".")[0]


class LayerRecipe(_Table, frozen=True, kw_only=True):
    """A base's recipe; ``env`` is what its images have in their environment if they say nothing else."""

    schema: Literal[1]
    summary: str
    source: DebianSource
    python: PythonPromise
    env: dict[str, str] = {}


def load_layer(folder: Path) -> LayerRecipe:
    """The recipe in ``folder``. Raises RecipeError; FileProblem when there is none."""
    return load_toml(folder / FILE, LayerRecipe)


def is_layer(place: Path) -> bool:
    """Whether a layer recipe is at ``place``."""
    return inputs.is_file(place / FILE)


def key_files(folder: Path) -> list[Path]:
    """The public keys a base trusts its archives by, in order."""
    return [path for path in inputs.matching(folder / "keys", "*") if path.suffix in (".asc", ".gpg", ".pgp")]
