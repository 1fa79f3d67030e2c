"""Files that are left out of packages: by a base's recipe of its own ones, of added ones what nobody runs."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from oci_builder.debian.configure import ORIGIN
from oci_builder.tree.entry import Entry, Kind, directory
from oci_builder.tree.tree import Tree, parents

_READ_BY_PEOPLE = (
    *("usr/share/man/*", "usr/share/info/*", "usr/share/doc/*/*", "usr/share/doc-base/*", "usr/share/gtk-doc/*"),
    *("usr/share/help/*", "usr/share/gnome/help/*", "usr/share/locale/*", "usr/share/locale-langpack/*"),
)
_KEPT = ("usr/share/doc/*/copyright", "usr/share/locale/locale.alias")
"""Licences travel with what they license; the other is data of glibc's."""

_SETTING = re.compile(r"^[ \t]*(?:--)?path-(exclude|include)[ \t]*[= \t][ \t]*(\S+)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Thinning:
    """Which paths are dropped: the first of ``rules`` whose glob fits decides, and says whether it is so."""

    rules: tuple[tuple[re.Pattern[str], bool], ...]

    @classmethod
    def of(cls, drop: Iterable[str], keep: Iterable[str]) -> Thinning:
        """The one of globs (``*`` crosses folders), ``keep`` being the stronger."""
        return cls(((globs(keep), False), (globs(drop), True)))

    @classmethod
    def of_added(cls, drop: Sequence[str] = (), keep: Sequence[str] = (), settings: Sequence[str] = ()) -> Thinning:
        """The one of packages that are added: documentation, man pages and translations go, and nothing else.

        ``drop`` and ``keep`` are what a recipe says; they are stronger. ``settings`` are the texts of the base's own
        configuration of dpkg, in order.
        """
        said = cls.of(_relative(drop), _relative(keep))
        return cls((*said.rules, *_configured(settings), *cls.of(_READ_BY_PEOPLE, _KEPT).rules))

    def drops(self, path: str) -> bool:
        """Whether the file at ``path`` is left out."""
        return next((dropped for rule, dropped in self.rules if rule.match(path)), False)


def _configured(settings: Sequence[str]) -> Iterator[tuple[re.Pattern[str], bool]]:
    """What dpkg was told to leave out (dpkg(1), ``--path-exclude``): the last of its words that fits decides."""
    found = [(match[1], match[2]) for text in settings for match in _SETTING.finditer(text)]
    for word, pattern in reversed(found):
        yield globs(_relative([pattern])), word == "exclude"


def _relative(patterns: Iterable[str]) -> list[str]:
    return [pattern.removeprefix("/") for pattern in patterns]


def globs(patterns: Iterable[str]) -> re.Pattern[str]:
    """What matches any of the globs; with none it matches nothing, not everything."""
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns) or r"(?!)")


def thinned(tree: Tree, thinning: Thinning) -> Tree:
    """``tree`` without what is dropped, and without the folders that are empty for it."""
    kept = [entry for entry in tree if not thinning.drops(entry.path)]
    full = {folder for entry in tree for folder in parents(entry.path)}
    used = {
        folder
        for entry in kept
        if entry.kind is not Kind.DIRECTORY or entry.path not in full
        for folder in parents(entry.path)
    }
    return with_parents(
        Tree(
            entry for entry in kept if entry.kind is not Kind.DIRECTORY or entry.path in used or entry.path not in full
        ),
        [],
    )


def with_parents(tree: Tree, added: Iterable[Entry]) -> Tree:
    """``tree`` under ``added``; every folder above an entry is there, those that exist as they are."""
    together = tree.overlaid(added)
    missing = {
        folder: directory(folder, origin=ORIGIN)
        for entry in together
        for folder in parents(entry.path)
        if folder not in together
    }
    return together.overlaid(missing.values())
