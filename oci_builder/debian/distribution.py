"""Which distribution a root filesystem is of, by its own word (os-release(5)), and who manages its packages."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from oci_builder.debian.recipe import Suite
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Kind
from oci_builder.tree.tree import Tree

_FILES = ("etc/os-release", "usr/lib/os-release")
_MAX_TEXT = 64 << 10
_CODENAMES = {"11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky"}
"""Debian's releases by number, where an image leaves the name out, as distroless ones do."""

_IN_BRACKETS = re.compile(r"\(([A-Za-z]+)[^()]*\)")
_PACKAGERS = (
    *(("lib/apk/db/installed", "apk"), ("usr/lib/apk/db/installed", "apk"), ("etc/apk/world", "apk")),
    *((f"{folder}/{name}", "rpm") for folder in ("var/lib/rpm", "usr/lib/sysimage/rpm") for name in ("Packages",)),
    *((f"{folder}/rpmdb.sqlite", "rpm") for folder in ("var/lib/rpm", "usr/lib/sysimage/rpm")),
    *((f"{folder}/Packages.db", "rpm") for folder in ("var/lib/rpm", "usr/lib/sysimage/rpm")),
    *(("var/lib/rpmmanifest/container-manifest-1", "rpm"), ("var/lib/pacman/local", "pacman")),
    *(("var/lib/opkg/status", "opkg"), ("usr/lib/opkg/status", "opkg"), ("var/db/xbps", "xbps")),
    *(("var/db/pkg", "portage"), ("nix/store", "nix")),
)
"""Where other managers of packages keep what is installed."""

ADDED_BY = {
    "apk": "apk add",
    "rpm": "dnf install",
    "pacman": "pacman -S",
    "opkg": "opkg install",
    "xbps": "xbps-install",
    "portage": "emerge",
    "nix": "nix-env -i",
}
"""What adds a package there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OsRelease:
    """A distribution and its release: ``id`` and ``codename`` as os-release has them, ``name`` for people."""

    id: str
    codename: str
    name: str

    @property
    def suite(self) -> Suite:
        """The suite that has its release, in an archive called like itself."""
        return Suite(self.id, self.codename)


def distribution_of(tree: Tree, sources: MappedFiles) -> OsRelease | None:
    """What ``tree`` says that it is; None where it says nothing."""
    for path in _FILES:
        entry = tree.get(tree.resolve(path))
        if entry is None or entry.content is None or entry.size > _MAX_TEXT:
            continue
        fields = _fields(sources.read(entry.content, what=f"/{path}").decode("utf-8", "replace"))
        name, version = fields.get("ID", "").lower(), fields.get("VERSION_ID", "")
        if not name:
            continue
        said = _IN_BRACKETS.search(fields.get("VERSION", ""))
        codename = fields.get("VERSION_CODENAME", "") or (said[1].lower() if said else "")
        if not codename and name == "debian":
            codename = _CODENAMES.get(version, "")
        shown = fields.get("PRETTY_NAME", "") or f"{fields.get('NAME', name)} {version}"
        if name == "debian" and codename:
            # Distroless images call themselves by their own name.
            shown = f"Debian {version or codename} ({codename})" if version else f"Debian {codename}"
        return OsRelease(id=name, codename=codename, name=shown.strip() or "an unnamed one")
    return None


def packager_of(tree: Tree) -> str:
    """The manager of packages that is not dpkg and has its list in ``tree``; empty where there is none."""
    for path, packager in _PACKAGERS:
        if tree.resolve(path) in tree:
            return packager
    below = {path.rpartition("/")[0] for path in tree.paths if path.startswith(("var/lib/pacman/", "var/db/pkg/"))}
    return next((name for place, name in _PACKAGERS if place in below), "")


def has_dpkg(tree: Tree) -> bool:
    """Whether ``tree`` has a list of packages of dpkg's own."""
    found = tree.get(tree.resolve("var/lib/dpkg/status"))
    return found is not None and found.kind is Kind.FILE


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            try:
                found[name] = " ".join(shlex.split(value))
            except ValueError:
                found[name] = value.strip("\"'")
    return found
