"""A base as packages over it find it: what is installed, whose files those are, and what dpkg was told there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msgspec.structs import replace

from oci_builder.bounded import parse_decimal
from oci_builder.debian.archive import BinaryPackage
from oci_builder.debian.archives import Archives
from oci_builder.debian.control import stanza
from oci_builder.debian.deb import DebFile
from oci_builder.debian.distribution import has_dpkg
from oci_builder.debian.installed import installed
from oci_builder.debian.lock import Pin
from oci_builder.errors import PackageError, UnsafePath
from oci_builder.platforms import Platform
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, EntryPath, Kind, entry_path
from oci_builder.tree.tree import Tree

INFO = "var/lib/dpkg/info/"
_DIVERSIONS = "var/lib/dpkg/diversions"
_OVERRIDES = "var/lib/dpkg/statoverride"
_ANSWERS = "var/cache/debconf/config.dat"
_LINKED = ("bin", "sbin", "lib")
_LDCONFIG = ("etc/ld.so.cache", "usr/sbin/ldconfig", "sbin/ldconfig")
_MAX_TEXT = 16 << 20
_MAX_TEXTS = 256 << 20
"""Bytes that are read of what dpkg has written down, all files together: ten times what a desktop has."""
_SETTINGS = re.compile(r"etc/dpkg/dpkg\.cfg\.d/[A-Za-z0-9_-]+\Z")
_MODE = re.compile(r"[0-7]{1,4}\Z")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A base that packages are put over. ``identity`` names its bytes, ``name`` is what a lock calls it.

    ``is_ours`` says that it was made here: then each entry names the package that it is of. Others have that in lists
    of dpkg's, and what dpkg has been told: diversions (dpkg-divert(1)), modes and owners (dpkg-statoverride(1)).
    """

    name: str
    identity: str
    tree: Tree
    platform: Platform
    archives: Archives
    is_ours: bool = False
    _spent: list[int] = field(default_factory=lambda: [0], init=False, repr=False, compare=False)

    @cached_property
    def packages(self) -> tuple[BinaryPackage, ...]:
        """What is installed, for this machine. Raises PackageError for what is half installed."""
        fitting = (self.platform.architecture, "all", "")
        with MappedFiles() as sources:
            found = [each for each in installed(self.tree, sources) if each.fields.get("architecture", "") in fitting]
        return tuple({package.name: package for package in reversed(found)}.values())[::-1]

    @cached_property
    def has_dpkg(self) -> bool:
        """Whether packages are to be written down in dpkg's own list, where dpkg and apt find them."""
        return has_dpkg(self.tree)

    @property
    def has_loaders_cache(self) -> bool:
        """Whether there is a cache of the loader's, or ldconfig, which would make one for packages that come."""
        return self.is_ours or any(path in self.tree for path in _LDCONFIG)

    @cached_property
    def is_merged(self) -> bool:
        """Whether its programs and libraries lie below /usr alone, and links lead there (usrmerge)."""
        return any((entry := self.tree.get(name)) is not None and entry.kind is Kind.SYMLINK for name in _LINKED)

    def owner(self, entry: Entry) -> str:
        """The package and version that an entry of the base is of; empty for one that is no package's."""
        return entry.origin if self.is_ours else self._owners.get(entry.path, "")

    def diverted(self, path: EntryPath, package: str) -> EntryPath:
        """Where the file of ``package`` that would lie at ``path`` lies."""
        to, by = self._diversions.get(path, (path, package))
        return path if by == package else to

    def overridden(self, entry: Entry) -> Entry:
        """``entry`` with the owner and mode that the base has asked for."""
        found = self._overrides.get(entry.path)
        if found is None or entry.kind is Kind.SYMLINK:
            return entry
        uid, gid, mode = found
        return replace(entry, uid=uid, gid=gid, mode=mode)

    def text(self, path: str) -> str:
        """What a small file of the base holds; empty without one."""
        with MappedFiles() as sources:
            return self._text(path, sources)

    def _text(self, path: str, sources: MappedFiles) -> str:
        entry = self.tree.get(self.tree.resolve(path))
        if entry is None or entry.content is None or entry.size > _MAX_TEXT:
            return ""
        self._spent[0] += entry.size
        if self._spent[0] > _MAX_TEXTS:
            why = f"what dpkg has written down there takes more than {_MAX_TEXTS} bytes"
            raise PackageError("the base", why, hint="take a base that is a Debian as Debian makes it")
        return sources.read(entry.content, what=f"/{path}").decode("utf-8", "surrogateescape")

    @property
    def settings(self) -> Sequence[str]:
        """The texts of dpkg's own configuration, in the order in which dpkg reads them."""
        parts = [path for path in self.tree.paths if _SETTINGS.match(path)]
        return [self.text(path) for path in (*parts, "etc/dpkg/dpkg.cfg")]

    @cached_property
    def waiting(self) -> Mapping[Pin, DebFile]:
        """The packages that wait for triggers, with their scripts: what comes may wake them (deb-triggers(5))."""
        return {pin: found for package in self.packages if (found := self._waiting(pin := _pin(package), package))}

    @cached_property
    def answers(self) -> Mapping[str, str]:
        """What debconf was told: the values of its questions by their names."""
        stanzas = (stanza(text) for text in self.text(_ANSWERS).split("\n\n"))
        return {each["name"]: each["value"] for each in stanzas if "name" in each and "value" in each}

    def _waiting(self, pin: Pin, package: BinaryPackage) -> DebFile | None:
        for name in (pin.name, f"{pin.name}:{pin.architecture}"):
            triggers = self.text(f"{INFO}{name}.triggers")
            script = self.text(f"{INFO}{name}.postinst") if "interest" in triggers else ""
            if script:
                scripts = {"postinst": script.encode("utf-8", "surrogateescape")}
                return DebFile(
                    control=b"",
                    md5sums=b"",
                    entries=(),
                    scripts=scripts,
                    triggers=triggers.encode("utf-8", "surrogateescape"),
                )
        return None

    @cached_property
    def _owners(self) -> Mapping[EntryPath, str]:
        labels = {package.name: f"{package.name} {package.version}" for package in self.packages}
        found: dict[EntryPath, str] = {}
        folders: dict[str, str] = {}
        with MappedFiles() as sources:
            for path in [path for path in self.tree.paths if path.startswith(INFO) and path.endswith(".list")]:
                name = path.removeprefix(INFO).removesuffix(".list").partition(":")[0]
                if name in labels:
                    for line in self._text(path, sources).split("\n"):
                        with contextlib.suppress(UnsafePath):
                            placed = self._placed(line, folders)
                            found.setdefault(self.diverted(placed, name), labels[name])
        return found

    def _placed(self, path: str, folders: dict[str, str]) -> EntryPath:
        """Where a path of dpkg's lists really is. Raises UnsafePath for one that is none of a file."""
        folder, _, name = path.strip("/").rpartition("/")
        if folder not in folders:
            try:
                folders[folder] = self.tree.resolve(folder)
            except UnsafePath:
                folders[folder] = folder
        return entry_path(f"{folders[folder]}/{name}".lstrip("/"))

    @cached_property
    def _diversions(self) -> Mapping[EntryPath, tuple[EntryPath, str]]:
        lines = self.text(_DIVERSIONS).split("\n")
        folders: dict[str, str] = {}
        found: dict[EntryPath, tuple[EntryPath, str]] = {}
        # Three lines each: from where, to where, and the package whose file stays, or a colon for nobody's.
        for at in range(0, len(lines) - 2, 3):
            with contextlib.suppress(UnsafePath):
                place, other = (self._placed(line.strip(), folders) for line in lines[at : at + 2])
                found[place] = other, lines[at + 2].strip()
        return found

    @cached_property
    def _overrides(self) -> Mapping[EntryPath, tuple[int, int, int]]:
        return dict(self._overriding())

    def _overriding(self) -> Iterator[tuple[EntryPath, tuple[int, int, int]]]:
        folders: dict[str, str] = {}
        for line in self.text(_OVERRIDES).split("\n"):
            words = line.split(None, 3)
            if len(words) == 4 and _MODE.match(words[2]):
                uid, gid = self._number("etc/passwd", words[0]), self._number("etc/group", words[1])
                if uid is not None and gid is not None:
                    with contextlib.suppress(UnsafePath):
                        yield self._placed(words[3], folders), (uid, gid, int(words[2], 8))

    def _number(self, file: str, name: str) -> int | None:
        text = name.removeprefix("#")
        if text == name:
            lines = (line.split(":") for line in self.text(file).split("\n"))
            text = next((fields[2] for fields in lines if len(fields) > 2 and fields[0] == name), "")
        try:
            return parse_decimal(text, most=(1 << 32) - 2)
        except ValueError:
            return None


def _pin(package: BinaryPackage) -> Pin:
    """A package of the base as those that come are called; where it came from nobody knows."""
    source, architecture = package.fields.get("source", package.name), package.fields.get("architecture", "all")
    named = {"name": package.name, "version": package.version, "source": source, "architecture": architecture}
    return Pin(**named, archive="", suite="", path="", size=0, sha256="")
