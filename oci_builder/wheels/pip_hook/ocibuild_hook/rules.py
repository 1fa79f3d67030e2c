"""What a run of pip may do, and what stands in the way of taking something as a wheel."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from pip._internal.models.link import Link
from pip._internal.req.req_install import InstallRequirement
from pip._vendor.packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename


class HookRules:
    """What a run of pip may do.

    ``markers`` is the marker environment of the target, or None for this host's. ``keep`` names the one project whose
    sdist is wanted, and the folder for it. ``names`` and ``paths`` are what may be built: projects of an index, and
    archives and folders of this machine. ``settings`` are the options that may be configured, ``tell`` a descriptor.
    ``shelves`` are the folders of wheels that stand for every network, or None where there is one. ``most`` are the
    bytes that may be downloaded in all.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.markers: dict[str, str] | None = document["markers"]
        self.keep: tuple[str, str] | None = tuple(document["keep"]) if document["keep"] else None
        self.names = frozenset(document["names"])
        self.paths = frozenset(map(os.path.realpath, document["paths"]))
        self.settings = frozenset(document["settings"])
        self.tell: int = document["tell"]
        self.shelves: list[str] | None = document["shelves"]
        self.most: int = document["most"]

    @property
    def builds(self) -> bool:
        """Whether anything may be built at all."""
        return bool(self.names or self.paths)

    def allows(self, req: InstallRequirement, link: Link, kind: str) -> bool:
        """Whether the recipe has asked for ``link`` to be built, or kept."""
        if req.editable or kind not in ("archive", "folder"):
            return False
        if link.is_file and os.path.realpath(link.file_path) in self.paths:
            return True
        if req.is_direct or kind != "archive":
            # A URL may lead anywhere under any name: only what an index or a folder has under that name is taken.
            return False
        name = canonicalize_name(req.name or "")
        named = name in self.names or (self.keep is not None and name == self.keep[0])
        return named and _project(link.filename) == name


def _project(filename: str) -> str | None:
    try:
        return parse_sdist_filename(filename)[0]
    except InvalidSdistFilename:
        return None


def kind_of(link: Link) -> str:
    """What stands in the way of taking ``link`` as a wheel; "" for a wheel."""
    if link.is_vcs or "+" in link.scheme:
        return "checkout"
    if link.scheme not in ("http", "https", "file"):
        return "scheme"
    if link.is_file:
        try:
            mode = Path(link.file_path).stat().st_mode
        except OSError:
            mode = stat.S_IFREG  # pip says what is missing
        except (ValueError, AssertionError):
            return "scheme"  # on another machine, or with a NUL
        if stat.S_ISDIR(mode):
            return "folder"
        if not stat.S_ISREG(mode):
            return "device"
    return "" if link.is_wheel else "archive"
