"""``make debian-parity``: what apt-get would install over a base, and what ocibuild resolves, name by name.

The indexes are those of the base's suites, by this machine's apt; a name of the list is one package or several, joined
with ``|``. Without cuts both have to give the same packages in the same versions. With them, what is missing has to be
cut, or reached by nothing else.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from oci_builder.bases import Supply, open_base
from oci_builder.debian.adding import added
from oci_builder.debian.apt import Apt
from oci_builder.debian.archive import BinaryPackage, PackageIndex
from oci_builder.debian.archives import Archives
from oci_builder.debian.control import Dependency
from oci_builder.debian.cuts import CUTS
from oci_builder.debian.depends import resolve
from oci_builder.debian.ground import Ground
from oci_builder.debian.installed import installed
from oci_builder.debian.opening import Opening
from oci_builder.debian.recipe import key_files, load_layer
from oci_builder.debian.rootfs import read_package
from oci_builder.debian.scripts import Configured, Unpacked, configured
from oci_builder.debian.sources import fetch_packages
from oci_builder.debian.takeovers import Takeovers
from oci_builder.debian.thinning import Thinning
from oci_builder.debian.trust import Trust
from oci_builder.errors import PackageError
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.tree import Tree
from tests.parity import installs, programs
from tests.support.aptoracle import AptOracle

HERE = Path(__file__).parent
LAYER = HERE.parents[1] / "layers" / "python-3.11"


@dataclass(frozen=True)
class World:
    """A base, the indexes of its suites, and apt-get over both."""

    index: PackageIndex
    present: Sequence[BinaryPackage]
    oracle: AptOracle
    opening: Opening
    below: Tree

    @classmethod
    def of(cls, layer: Path, folder: Path, store: Store) -> World:
        """The one of the base ``layer`` as it is today; ``folder`` is empty. Raises OcibuildError."""
        recipe, now = load_layer(layer), int(time.time())
        suites = recipe.source.suite_list()
        base = open_base(layer, AMD64, store=store, supply=Supply(now=now, jobs=2), reporter=Quiet())
        with MappedFiles() as sources:
            present = list(installed(base.tree, sources))
        (folder / "lists").mkdir()
        (folder / "oracle").mkdir()
        apt = Apt(suites, AMD64.architecture, folder / "lists")
        trust = Trust(keys=key_files(layer), now=now, store=store)
        releases = [trust.release(apt, suite) for suite in suites]
        indexes = [(release, apt.packages_index(release, AMD64.architecture)) for release in releases]
        names = {package.name.encode() for package in present}
        text = b"\n\n".join(_others(b"\n\n".join(index.strip(b"\n") for _, index in indexes), names))
        oracle = AptOracle(folder / "oracle", text, [package.fields for package in present])
        opening = Opening(layer, AMD64, store, Supply(now=now, jobs=2), Quiet())
        return cls(PackageIndex(indexes, AMD64.architecture), present, oracle, opening, base.tree)

    def unknown_scripts(self, names: Sequence[str], spool: Path) -> list[str]:
        """The packages that come by ``names`` and have a script that does what is not known: they are not whole."""
        _, walked = self.walked(names, spool)
        return [walked] if isinstance(walked, str) else [f"{pin}: {why}" for pin, why in walked.refused.items()]

    def walked(
        self, names: Sequence[str], spool: Path, left_out: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, Configured | str]:
        """How many packages come by ``names``, and what their scripts make; or why they are not to be had."""
        try:
            found = resolve(self.index, self.present, names, {**CUTS, **left_out}).packages
        except PackageError as error:
            return 0, str(error)
        pins, store = [self.index.pin(package.name) for package in found], self.opening.store
        with self.opening.sources(load_layer(self.opening.folder)) as sources:
            fetch_packages(pins, sources, store=store, reporter=Quiet())
        debs = {pin: read_package(pin, store, spool) for pin in pins}
        described = {package.name: package for package in found}
        takeovers = Takeovers.of([*self.present, *found], AMD64.architecture)
        archives = Archives.of_layer(self.opening.folder, AMD64)
        ground = Ground(name="", identity="", tree=self.below, platform=AMD64, archives=archives, is_ours=True)
        unpack = partial(added, debs, ground, Thinning.of_added(), takeovers)
        return len(found), configured(Unpacked(debs, described, self.below, unpack, AMD64.architecture))

    def differences(self, names: Sequence[str]) -> list[str]:
        """What apt-get and ocibuild differ in, where ``names`` are asked for together."""
        asked = [name for name in names if name not in {package.name for package in self.present}]
        wanted = self.oracle.installs(*asked) if asked else set()
        try:
            found = resolve(self.index, self.present, asked).packages
            less = resolve(self.index, self.present, asked, CUTS)
        except PackageError as error:
            return [] if wanted is None else [f"apt-get installs {len(wanted)}, and ocibuild refuses: {error}"]
        got = {(package.name, package.version) for package in found}
        if wanted is None:
            return [f"apt-get refuses, and ocibuild takes {len(got)}"]
        kept = {package.name for package in less.packages}
        reached = self._reached(asked, {package.name: package for package in found}, less.left_out)
        return [
            *(f"only apt-get has {name} {version}" for name, version in sorted(wanted - got)),
            *(f"only ocibuild has {name} {version}" for name, version in sorted(got - wanted)),
            *(f"with cuts {name} is gone, though something needs it" for name in sorted(reached - kept)),
            *(f"with cuts {name} is there, and apt-get has it not" for name in sorted(kept - {n for n, _ in wanted})),
        ]

    def _reached(self, asked: Sequence[str], found: Mapping[str, BinaryPackage], cut: Collection[str]) -> set[str]:
        """What of ``found`` the packages ``asked`` for depend on, by ways that nothing cut is on."""
        todo, seen = [name for name in asked if name in found], set[str]()
        while todo:
            name = todo.pop()
            if name in seen or (name in cut and name not in asked):
                continue
            seen.add(name)
            for group in found[name].needs:
                if not _meeting(group, self.present):
                    meeting = _meeting(group, found.values())
                    # Where several do, either might have been taken.
                    todo += meeting if len(meeting) == 1 and not {one.name for one in group} & CUTS.keys() else []
        return seen


def _meeting(group: Sequence[Dependency], packages: Iterable[BinaryPackage]) -> list[str]:
    return [package.name for package in packages if any(package.meets(one, AMD64.architecture) for one in group)]


def _others(index: bytes, names: Collection[bytes]) -> Iterator[bytes]:
    """The stanzas of ``index`` of other packages than ``names``."""
    for stanza in index.split(b"\n\n"):
        if stanza.partition(b"\n")[0].removeprefix(b"Package: ") not in names:
            yield stanza


def corpus(file: Path = HERE / "debian.txt") -> list[tuple[str, ...]]:
    """The names to try, each once."""
    lines = (line for line in file.read_text().splitlines() if not line.startswith("#"))
    return list(dict.fromkeys(tuple(word.split("|")) for line in lines for word in line.split()))


def main(arguments: Sequence[str]) -> int:
    """Try what is named, or all of the list; say what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity.debian", description=__doc__)
    parser.add_argument("names", nargs="*", help="packages to try; several at once are joined with |")
    parser.add_argument("--list", type=Path, help="a file of such names")
    parser.add_argument("--scripts", action="store_true", help="fetch the packages, and try their scripts instead")
    parser.add_argument("--installs", action="store_true", help="have apt-get install them too, and compare each path")
    parser.add_argument("--programs", type=Path, help="run programs in images instead, and write a table into a file")
    parser.add_argument("--page", type=Path, help="a file to write what --installs finds into")
    parser.add_argument("--cache", type=Path, default=Path(".parity"), help="a folder for what is downloaded")
    parser.add_argument("--layer", type=Path, default=LAYER, help="the base to try it over")
    chosen = parser.parse_args(arguments)
    usual = HERE / "debian-installs.txt" if chosen.installs else HERE / "debian.txt"
    tries = [tuple(name.split("|")) for name in chosen.names] or corpus(chosen.list or usual)
    if chosen.programs:
        return _ran(chosen.programs)
    if chosen.installs:
        return _installed(tries, chosen.layer, chosen.cache, chosen.page)
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        world = World.of(chosen.layer, Path(folder), Store(chosen.cache))
        for names in tries:
            if chosen.scripts:
                with tempfile.TemporaryDirectory() as spool:
                    found = world.unknown_scripts(names, Path(spool))
            else:
                found = world.differences(names)
            differing += bool(found)
            for line in found:
                print(f"{' '.join(names)}: {line}")
    print(f"{len(tries)} tried, {differing} {'are not whole' if chosen.scripts else 'differ'}")
    return 1 if differing else 0


def _ran(file: Path) -> int:
    outcomes: list[programs.Ran] = []
    with tempfile.TemporaryDirectory() as folder:
        for one in programs.ran(programs.GROUPS, LAYER.name, Path(folder)):
            outcomes.append(one)
            print(f"{one.program.name}: {one.refused or one.chroot or one.docker or 'ran'}", flush=True)
            file.write_text(programs.table(outcomes))
    return int(any(one.refused or one.chroot or one.docker for one in outcomes))


def _installed(tries: Sequence[Sequence[str]], layer: Path, cache: Path, page: Path | None) -> int:
    outcomes: list[installs.Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        for one in installs.installs(tries, layer, Store(cache), Path(folder)):
            outcomes.append(one)
            for line in one.lines:
                print(f"{' '.join(one.names)}: {line}", flush=True)
            if page is not None:
                # After each, for all of them take an hour.
                page.write_text(installs.page(outcomes, f"layers/{layer.name}"))
    differing = sum(bool(one.lines) for one in outcomes)
    print(f"{len(tries)} tried, {differing} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
