"""``make debian-parity DEBIAN=--installs``: what apt-get installs over a base, and ocibuild's layer, entry by entry.

Both begin with the same packages in the same versions. What apt-get's installation changed is looked for in ocibuild's
layers, and what ocibuild's layer has is looked for after apt-get's. Each difference is of a kind that is named in
``KINDS``, with the reason, or is a fault.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import stat
import tarfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from oci_builder.bases import Base, Supply, open_base
from oci_builder.debian import ground
from oci_builder.debian.apt import Apt
from oci_builder.debian.archive import BinaryPackage, PackageIndex
from oci_builder.debian.archives import Archives
from oci_builder.debian.cuts import CUTS
from oci_builder.debian.depends import resolve
from oci_builder.debian.extralock import ExtraLock
from oci_builder.debian.extras import Extras
from oci_builder.debian.installed import installed
from oci_builder.debian.opening import Opening
from oci_builder.debian.recipe import LayerRecipe, key_files, load_layer
from oci_builder.debian.sources import ArchiveSource, fetch_packages
from oci_builder.debian.trust import Trust
from oci_builder.debian.wanted import WantedPackages
from oci_builder.errors import PackageError
from oci_builder.layer import Layer
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from tests.parity.kinds import KINDS, LISTS, SECRET, Difference, Kind
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
        below = ground.Ground(
            name=self.base.name,
            identity=str(self.base.layers[-1].diff_id),
            tree=self.base.tree,
            platform=AMD64,
            archives=Archives.of_layer(self.opening.folder, AMD64),
            is_ours=True,
        )
        extras = Extras(below, wanted, self.opening.supply, self.opening.store, Quiet())
        lock = extras.resolve()
        layer = extras.layers(lock)[0]
        packages = {*(package.name for package in self.present), *(pin.name for pin in lock.packages)}
        return Added(lock, packages, _faces(layer, self.opening.store), self, layer)

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
    ground: Ground
    layer: Layer

    @property
    def not_whole(self) -> list[str]:
        """What is missing though nobody wanted it to be: packages with scripts that are not known."""
        return [each.line(name) for name, each in self.lock.left_out.items() if name not in CUTS]

    def at(self, path: str) -> Face | None:
        """What is at ``path`` with the layer over the base."""
        return self.faces.get(path) or self.ground.below.get(path)

    @cached_property
    def origins(self) -> Mapping[str, str]:
        """The package of each path of the layer."""
        return {entry.path: entry.origin.partition(" ")[0] for entry in self.layer.entries}

    def lines(self, path: str) -> set[bytes]:
        """The lines that the layer adds to a file of the base."""
        if path not in self.faces:
            return set()
        store = self.ground.opening.store
        before = b"".join(_read(layer, store, path) for layer in self.ground.base.layers)
        return _lines(_read(self.layer, store, path)) - _lines(before)


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


def differences(theirs: Installation, ours: Added) -> list[tuple[Difference, Kind | None]]:
    """What differs, with its kind."""
    installed_names = {*theirs.owners.values()}
    found: list[tuple[Difference, Kind | None]] = []
    for path in sorted({*theirs.changed(), *ours.faces}):
        mine, other = ours.at(path), theirs.at(path)
        if mine == other:
            continue
        fewer = False
        if path in LISTS:
            mine_added, others_added = ours.lines(path), _added_lines(theirs, path)
            if mine_added == others_added or (mine is None and path in SECRET):
                # What was there before is the base's; one without passwords has no file for them.
                continue
            fewer = {_name(line) for line in mine_added} < {_name(line) for line in others_added}
        package, owner = theirs.owners.get(path, ""), ours.origins.get(path, "")
        one = Difference(
            path,
            other,
            mine,
            package,
            cut=package != "" and package not in ours.packages,
            linked=owner != "" and owner not in installed_names,
            was_there=(theirs.base / path).is_file(),
            fewer=fewer,
        )
        found.append((one, next((kind for kind in KINDS if kind.fits(one)), None)))
    return found


def _added_lines(theirs: Installation, path: str) -> set[bytes]:
    before = theirs.base / path
    return _lines(theirs.read(path)) - _lines(before.read_bytes() if before.is_file() else b"")


def _lines(text: bytes) -> set[bytes]:
    # Of a password's line the day when it was last changed differs by the day.
    return {re.sub(rb"\A([^:]*:!?[*!]?):[0-9]*:0?:[0-9]*:[0-9]*:", rb"\1:::::", line) for line in text.splitlines()}


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0]


def _read(layer: Layer, store: Store, path: str) -> bytes:
    with tarfile.open(store.path(layer.descriptor.digest)) as archive:
        for member in archive:
            if member.name.strip("/") == path and (stream := archive.extractfile(member)):
                return stream.read()
    return b""


@dataclass
class Outcome:
    """What came of packages that were installed together; ``refused`` is why ocibuild has them not."""

    names: Sequence[str]
    refused: str = ""
    not_whole: Sequence[str] = ()
    packages: int = 0
    entries: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    faults: Sequence[str] = ()

    @property
    def lines(self) -> list[str]:
        """What is wrong, in words."""
        return [*([f"refused: {self.refused}"] if self.refused else []), *self.not_whole, *self.faults]


def installs(tries: Sequence[Sequence[str]], layer: Path, store: Store, folder: Path) -> Iterator[Outcome]:
    """Install each of ``tries`` with apt-get and with ocibuild over the base ``layer``; ``folder`` is empty."""
    for part in ("apt", "archive", "chroot"):
        (folder / part).mkdir()
    ground = Ground.of(layer, folder / "apt", store)
    names = ground.archive(tries, folder / "archive")
    chroot = Chroot(folder / "chroot", folder / "archive", names)
    for number, each in enumerate(tries):
        place = folder / str(number)
        place.mkdir()
        yield _outcome(each, ground, chroot, place)
        shutil.rmtree(place)


def _outcome(names: Sequence[str], ground: Ground, chroot: Chroot, folder: Path) -> Outcome:
    try:
        ours = ground.added(names)
    except PackageError as error:
        return Outcome(names, refused=str(error))
    found = differences(chroot.install(names, folder), ours)
    return Outcome(
        names,
        not_whole=ours.not_whole,
        packages=len(ours.lock.packages),
        entries=len(ours.faces),
        kinds=Counter(kind.name for _, kind in found if kind is not None),
        faults=[str(one) for one, kind in found if kind is None],
    )


_HEAD = """# What apt-get installs, and what ocibuild puts into a layer

`make debian-parity DEBIAN=--installs` has `apt-get install --no-install-recommends` install packages in a root
filesystem of Debian's with the packages of `{layer}`, where all their scripts run. What that changed is compared with
the layer that ocibuild makes of the same packages in the same versions, path by path: what is there, mode, owner, link,
bytes and capability. `--page` writes this page; `tests/real/test_debian_installs.py` holds some of it in all tests.

Of {tried} tries {same} are alike but for differences of these kinds, {hollow} lack a package whose script is not known,
{refused} are refused, and {faulty} differ otherwise.

| kind of difference | tries | paths | reason |
|---|--:|--:|---|
{kinds}

| packages | with all they need | paths | differences | otherwise |
|---|--:|--:|---|---|
"""


def page(outcomes: Sequence[Outcome], layer: str) -> str:
    """The page of what came of all tries."""
    kinds = "\n".join(
        f"| {kind.name} | {sum(kind.name in each.kinds for each in outcomes)} "
        f"| {sum(each.kinds[kind.name] for each in outcomes):,} | {kind.reason} |"
        for kind in KINDS
    )
    head = _HEAD.format(
        layer=layer,
        tried=len(outcomes),
        same=sum(not each.lines for each in outcomes),
        hollow=sum(bool(each.not_whole) for each in outcomes),
        refused=sum(bool(each.refused) for each in outcomes),
        faulty=sum(bool(each.faults) and not each.not_whole for each in outcomes),
        kinds=kinds,
    )
    return head + "".join(map(_row, outcomes))


def _row(one: Outcome) -> str:
    name = " ".join(one.names)
    if one.refused:
        return f"| {name} | | | | {_cell(f'refused: {one.refused}')} |\n"
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in one.kinds.most_common())
    more = f" and {len(one.lines) - 3} more" if len(one.lines) > 3 else ""
    return f"| {name} | {one.packages} | {one.entries:,} | {kinds} | {_cell('; '.join(one.lines[:3]) + more)} |\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
