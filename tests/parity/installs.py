"""``make debian-parity DEBIAN=--installs``: what apt-get installs over a base, and ocibuild's layer, entry by entry.

Both begin with the same packages in the same versions. What apt-get's installation changed is looked for in ocibuild's
layers, and what ocibuild's layer has is looked for after apt-get's. Each difference is of a kind that is named in
``KINDS``, with the reason, or is a fault.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import stat
import tarfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from oci_builder.bases import Base, Supply, open_base
from oci_builder.debian.apt import Apt
from oci_builder.debian.archive import BinaryPackage, PackageIndex
from oci_builder.debian.cuts import CUTS
from oci_builder.debian.depends import resolve
from oci_builder.debian.extralock import ExtraLock
from oci_builder.debian.extras import Extras
from oci_builder.debian.installed import installed
from oci_builder.debian.opening import Opening
from oci_builder.debian.recipe import LayerRecipe, key_files, load_layer
from oci_builder.debian.sonames import libraries_path, read_libraries
from oci_builder.debian.sources import ArchiveSource, fetch_packages
from oci_builder.debian.trust import Trust
from oci_builder.debian.wanted import WantedPackages
from oci_builder.layer import Layer
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from tests.support.chroots import Chroot, Face, Installation, write_archive

_ESSENTIAL = re.compile(rb"^Package: (\S+)\n(?:[^\n]+\n)*?Essential: yes$", re.MULTILINE)
_CAPABILITY = "SCHILY.xattr.security.capability"


@dataclass(frozen=True)
class _Warm(Opening):
    """An opening with one apt-get for all that it opens: each other one would fetch lists of its own."""

    apt: Apt

    @contextlib.contextmanager
    def sources(self, recipe: LayerRecipe) -> Iterator[list[ArchiveSource]]:
        """That apt-get alone."""
        yield [self.apt]


@dataclass(frozen=True)
class Ground:
    """A base of ``layers/``, and what its suites have today."""

    opening: Opening
    base: Base
    index: PackageIndex
    present: Sequence[BinaryPackage]
    essential: Sequence[str]

    @classmethod
    def of(cls, layer: Path, folder: Path, store: Store) -> Ground:
        """The one of the base ``layer``; ``folder`` is empty. Raises OcibuildError."""
        recipe, now = load_layer(layer), int(time.time())
        suites, architecture = recipe.source.suite_list(), AMD64.architecture
        supply = Supply(now=now, jobs=2)
        apt = Apt(suites, architecture, folder)
        opening = _Warm(layer, AMD64, store, supply, Quiet(), apt)
        base = open_base(layer, AMD64, store=store, supply=supply, reporter=Quiet())
        with MappedFiles() as sources:
            present = list(installed(base.tree, sources))
        trust = Trust(keys=key_files(layer), now=now, store=store)
        releases = [trust.release(apt, suite) for suite in suites]
        indexes = [(release, apt.packages_index(release, architecture)) for release in releases]
        essential = sorted({name.decode() for _, text in indexes for name in _ESSENTIAL.findall(text)})
        return cls(opening, base, PackageIndex(indexes, architecture), present, essential)

    def archive(self, wanted: Iterable[Sequence[str]], folder: Path) -> list[str]:
        """Make an archive in ``folder`` that has all that any of ``wanted`` needs, and what a chroot is made of.

        Gives the names of the base's packages. Raises PackageError, PackageUnavailable.
        """
        names = [package.name for package in self.present]
        found: dict[str, BinaryPackage] = {}
        for each in (*wanted, ()):
            asked = [*self.essential, "apt", *names, *each]
            found |= {package.name: package for package in resolve(self.index, [], asked).packages}
        pins = {name: self.index.pin(name) for name in sorted(found)}
        store = self.opening.store
        with self.opening.sources(load_layer(self.opening.folder)) as sources:
            fetch_packages(list(pins.values()), sources, store=store, reporter=Quiet())
        write_archive(folder, [(found[name].fields, store.path(pin.digest)) for name, pin in pins.items()])
        return names

    def added(self, names: Sequence[str]) -> Added:
        """What ocibuild makes of ``names`` over the base. Raises PackageError."""
        wanted = WantedPackages(names=tuple(names))
        libraries = read_libraries(libraries_path(self.opening.folder, AMD64))
        extras = Extras(self.opening, self.base.tree, self.base.layers[-1].diff_id, wanted, libraries)
        lock = extras.resolve()
        layer = extras.layers(lock)[0]
        packages = {*(package.name for package in self.present), *(pin.name for pin in lock.packages)}
        return Added(lock, packages, _faces(layer, self.opening.store), self.below, self.opening.store, layer)

    @cached_property
    def below(self) -> Mapping[str, Face]:
        """What the base has at each path."""
        return {path: face for layer in self.base.layers for path, face in _faces(layer, self.opening.store).items()}


@dataclass(frozen=True)
class Added:
    """A layer of packages as ``tarfile`` reads it, over a base; ``layer`` is that layer."""

    lock: ExtraLock
    packages: Collection[str]
    faces: Mapping[str, Face]
    below: Mapping[str, Face]
    store: Store
    layer: Layer

    @property
    def not_whole(self) -> list[str]:
        """What is missing though nobody wanted it to be: packages with scripts that are not known."""
        return [each.line(name) for name, each in self.lock.left_out.items() if name not in CUTS]

    def at(self, path: str) -> Face | None:
        """What is at ``path`` with the layer over the base."""
        return self.faces.get(path) or self.below.get(path)


def _faces(layer: Layer, store: Store) -> dict[str, Face]:
    found: dict[str, Face] = {}
    with tarfile.open(store.path(layer.descriptor.digest)) as archive:
        for member in archive:
            found[member.name.strip("/")] = _face(archive, member, found)
    return found


def _face(archive: tarfile.TarFile, member: tarfile.TarInfo, found: Mapping[str, Face]) -> Face:
    if member.islnk():
        return found[member.linkname.strip("/")]
    if member.issym():
        return Face(stat.S_IFLNK, 0, member.uid, member.gid, member.linkname)
    if member.isdir():
        return Face(stat.S_IFDIR, member.mode, member.uid, member.gid)
    stream = archive.extractfile(member)
    assert stream is not None, member.name
    digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    capability = member.pax_headers.get(_CAPABILITY, "").encode("utf-8", "surrogateescape")
    return Face(stat.S_IFREG, member.mode, member.uid, member.gid, "", digest, capability)


@dataclass(frozen=True)
class Difference:
    """A path that apt-get and ocibuild leave other things at; None stands for nothing.

    ``package`` has the path by dpkg; ``cut`` says that ocibuild left it out on purpose.
    """

    path: str
    theirs: Face | None
    ours: Face | None
    package: str
    cut: bool

    def __str__(self) -> str:
        if self.ours is None:
            return f"/{self.path} is only apt-get's ({self.package or 'made by a script'})"
        if self.theirs is None:
            return f"/{self.path} is only ocibuild's"
        fields = [name for name in Face.__annotations__ if getattr(self.ours, name) != getattr(self.theirs, name)]
        told = ", ".join(
            f"{name} {_told(getattr(self.theirs, name))} by apt-get and {_told(getattr(self.ours, name))} by ocibuild"
            for name in fields
        )
        return f"/{self.path}: {told}"


def _told(value: object) -> str:
    return f"{value:o}" if isinstance(value, int) else str(value)[:60]


@dataclass(frozen=True)
class Kind:
    """A kind of differences, and the reason that there are such."""

    name: str
    reason: str
    fits: Callable[[Difference], bool]


_READ = r"usr/share/(man|info|doc|doc-base|gtk-doc|help|gnome/help|locale|locale-langpack)(/|\Z)"


def _missing(pattern: str) -> Callable[[Difference], bool]:
    known = re.compile(pattern)
    return lambda one: one.ours is None and known.match(one.path) is not None


def _any(pattern: str) -> Callable[[Difference], bool]:
    known = re.compile(pattern)
    return lambda one: known.match(one.path) is not None


def _is_documentation(one: Difference) -> bool:
    target = one.theirs.target if one.theirs is not None else ""
    return one.ours is None and (
        re.match(_READ, one.path) is not None
        or re.match(rf"/{_READ}|/etc/alternatives/.*\.[0-9]\w*\.gz\Z", target) is not None
    )


KINDS = (
    Kind("documentation", "man pages, documentation and translations are dropped, and links to them", _is_documentation),
    Kind(
        "cut",
        "the package is in the list of what images do without, or only those need it; the lock names it",
        lambda one: one.ours is None and one.cut,
    ),
    Kind(
        "database",
        "dpkg's and apt's own files: no package manager is in the image; scanners read var/lib/dpkg/status.d",
        _any(r"var/lib/dpkg(?!/alternatives/)|(var/lib|var/cache|etc|var/log)/(apt|debconf)(/|\Z)|var/log/(dpkg|alternatives)\.log"),
    ),
    Kind(
        "bytecode", "Debian's modules are compiled when they are first imported", _missing(r".*/__pycache__(/|\Z)|.*\.pyc\Z")
    ),
    Kind("services", "no init system runs in a container", _missing(r"etc/systemd/|etc/rc[0-9S]\.d/|var/lib/systemd/")),
    Kind(
        "caches",
        "programs make them when they lack them, or are slower without",
        _missing(
            r"var/cache/(fontconfig|man|ldconfig)(/|\Z)|usr/share/icons/.*/icon-theme\.cache\Z|usr/share/mime/"
            r"|usr/lib/.*/giomodule\.cache\Z|usr/share/applications/mimeinfo\.cache\Z|etc/mailcap\Z"
        ),
    ),
    Kind("loader", "the loader's cache has the libraries of the whole tree, and the trees differ", lambda one: one.path == "etc/ld.so.cache"),
    Kind("secrets", "keys and numbers of one machine are never made", _missing(r"etc/machine-id\Z|var/lib/dbus/|etc/ssh/ssh_host_|etc/ssl/private/")),
    Kind("copies", "copies of account files that tools keep", _missing(r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-\Z")),
)  # fmt: skip
"""All kinds, the first that fits being that of a difference."""

_LISTS = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/shells")
"""Files that packages add lines to; what was there before is the base's, and need not be alike."""


def differences(
    theirs: Installation, ours: Added, below: Callable[[str], bytes]
) -> list[tuple[Difference, Kind | None]]:
    """What differs, with its kind; ``below`` gives what a file of the base holds."""
    found: list[tuple[Difference, Kind | None]] = []
    for path in sorted({*theirs.changed(), *ours.faces}):
        package = theirs.owners.get(path, "")
        cut = package != "" and package not in ours.packages
        one = Difference(path, theirs.at(path), ours.at(path), package, cut)
        if one.theirs == one.ours or (path in _LISTS and _adds_alike(one, theirs, ours, below)):
            continue
        found.append((one, next((kind for kind in KINDS if kind.fits(one)), None)))
    return found


def _adds_alike(one: Difference, theirs: Installation, ours: Added, below: Callable[[str], bytes]) -> bool:
    """Whether both add the same lines."""
    before = theirs.base / one.path
    mine = _lines(_read(ours.layer, ours.store, one.path)) - _lines(below(one.path))
    other = _lines(theirs.read(one.path)) - _lines(before.read_bytes() if before.is_file() else b"")
    if one.ours is None:
        # A base without passwords has no file for them.
        return one.path in ("etc/shadow", "etc/gshadow") or not other
    return mine == other


def _lines(text: bytes) -> set[bytes]:
    # Of a password's line the day when it was last changed differs by the day.
    return {re.sub(rb"\A([^:]*:!?[*!]?):[0-9]*:0?:[0-9]*:[0-9]*:", rb"\1:::::", line) for line in text.splitlines()}


def _read(layer: Layer, store: Store, path: str) -> bytes:
    with tarfile.open(store.path(layer.descriptor.digest)) as archive:
        for member in archive:
            if member.name.strip("/") == path and (stream := archive.extractfile(member)):
                return stream.read()
    return b""
