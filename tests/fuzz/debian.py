"""Targets: what a Debian archive serves, and what a host and a lock say of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from oci_builder.debian import lock
from oci_builder.debian.aptsources import host_sources
from oci_builder.debian.archives import Archives
from oci_builder.debian.commands import COMMANDS
from oci_builder.debian.control import dependencies, stanza, stanzas
from oci_builder.debian.database import recorded
from oci_builder.debian.deb import DebFile
from oci_builder.debian.debconf import answers
from oci_builder.debian.distribution import distribution_of
from oci_builder.debian.extralock import read_extra_lock
from oci_builder.debian.ground import Ground
from oci_builder.debian.ldconf import configured_folders
from oci_builder.debian.recipe import LayerRecipe, Suite
from oci_builder.debian.scripttree import ScriptTree
from oci_builder.debian.shell import NotKnown, Shell
from oci_builder.debian.signed import Release, index_path, unpack_index, verify_release
from oci_builder.debian.sonames import read_libraries, sonames
from oci_builder.debian.thinning import Thinning
from oci_builder.debian.update import pin_of
from oci_builder.debian.versions import satisfies, upstream, version_key
from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError
from oci_builder.platforms import AMD64
from oci_builder.tomlfile import parse_toml
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import directory, entry_path, file
from oci_builder.tree.tree import Tree
from tests.fuzz.harness import CORPUS, Target, workshop, written
from tests.support.debian import clearsigned, public_key

SUITE = Suite("debian", "bookworm")
NOW = 1_700_000_000


def _keys() -> list[Path]:
    path = workshop() / "archive.gpg"
    if not path.is_file():
        path.write_bytes(public_key())
    return [path]


def _release(data: bytes) -> None:
    # Signed text comes from here, so that what is behind the signature is reached.
    text = data.decode("utf-8", "replace")
    lock.moment(verify_release(clearsigned(text), SUITE, keys=_keys(), now=NOW).date)


def _inrelease(data: bytes) -> None:
    verify_release(data, SUITE, keys=[CORPUS / "key" / "seed-1"], now=NOW)


def _key(data: bytes) -> None:
    signed = (CORPUS / "inrelease" / "seed-1").read_bytes()
    verify_release(signed, SUITE, keys=[written("keys/key.gpg", data)], now=NOW)


def _packages(data: bytes) -> None:
    for fields in stanzas(data, {"demo", "libc6"}):
        with contextlib.suppress(OcibuildError):
            list(dependencies(fields, "pre-depends", "depends", "provides"))
        pin = pin_of(fields, SUITE)
        lock.check_pins([pin], what="an index", hint="")
        version_key(pin.version)


def _control(data: bytes) -> None:
    fields = stanza(data.decode("utf-8", "replace"))
    for group in dependencies(fields, *fields):
        for one in group:
            assert str(one)
            satisfies("1.0-1", one.relation, one.version)


def _index(data: bytes) -> None:
    path, plain = index_path("amd64"), b"Package: demo\n"
    files = {path: (len(plain), Digest.of(plain)), f"{path}.xz": (len(data), Digest.of(data))}
    release = Release(suite=SUITE, date=NOW, inrelease=Digest.of(b""), signers=(), by_hash=False, files=files)
    assert unpack_index(data, release, path) == plain


def _lock(data: bytes) -> None:
    with contextlib.suppress(OcibuildError):
        found = lock.decode(data, what="a lock", base="x")
        assert lock.decode(lock.encode(found), what="a lock", base="x").digest == found.digest
        lock.changes(None, found)
    path = written("locks/lock.json", data)
    read_libraries(path)
    read_extra_lock(path)


def _sources(data: bytes) -> None:
    parts = workshop() / "apt"
    for name in ("sources.list", "more.sources"):
        written(f"apt/{name}", data)
    host_sources(parts / "sources.list", parts, [SUITE, Suite("debian-security", "bookworm-security")], "amd64")


def _contents(data: bytes) -> None:
    assert all(sonames(data).values())


def _versions(data: bytes) -> None:
    first, _, second = data.decode("utf-8", "replace").partition("\n")
    one, other = version_key(first), version_key(second)
    assert (one < other) + (one == other) + (one > other) == 1
    assert one == version_key(first)
    upstream(first)


def _layer_toml(data: bytes) -> None:
    parse_toml(data.decode("utf-8", "replace"), LayerRecipe, file="layer.toml")


def _script(data: bytes) -> None:
    tree = ScriptTree(Tree([directory("etc", origin="x"), file("etc/x", b"a b\n", origin="x")]), MappedFiles())
    with contextlib.suppress(NotKnown):
        shell = Shell(tree, COMMANDS, {"PATH": "/bin", **answers(data)}, ["configure", ""])
        assert 0 <= shell.run(data.decode("utf-8", "surrogateescape")) <= 999
    Tree(tree.made.values())


def _ground(data: bytes) -> None:
    """What an image says of itself as a base, each of its lists in turn with the same bytes."""
    lists = ("status", "diversions", "statoverride", "info/a.list", "info/a.triggers", "info/a.postinst")
    paths = [*(f"var/lib/dpkg/{name}" for name in lists), "var/cache/debconf/config.dat", "etc/ld.so.conf"]
    paths += ["etc/os-release", "etc/passwd", "etc/group", "etc/dpkg/dpkg.cfg"]
    tree = Tree([file(path, data, origin="") for path in paths])
    with MappedFiles() as sources:
        found = distribution_of(tree, sources)
        assert found is None or (found.id and str(found.suite) and found.name)
        assert all(not path.startswith("/") for path in configured_folders(tree, sources))
    archives = Archives(suites=(SUITE,), keys=())
    ground = Ground(name="x", identity="x", tree=tree, platform=AMD64, archives=archives)
    Thinning.of_added(settings=ground.settings).drops("usr/bin/x")
    entry = file("usr/bin/x", b"", origin="a 1")
    assert ground.overridden(entry).path == entry.path
    assert entry_path(ground.diverted(entry.path, "a"))
    assert isinstance(ground.answers, dict)
    assert all(each.name for each in ground.packages)
    ground.owner(entry)
    assert set(ground.waiting) or not ground.waiting
    control = b"Package: x\nVersion: 1\nArchitecture: all\nDepends: a\n"
    package = DebFile(control=control, md5sums=b"", entries=(entry,), described={"conffiles": (data, 0o644)})
    pin = lock.Pin(
        name="x", version="1", architecture="all", source="x", archive="a", suite="s", path="x", size=1, sha256="0" * 64
    )
    assert any(each.path == "var/lib/dpkg/status" for each in recorded({pin: package}, ground))


TARGETS = (
    Target(name="ground", run=_ground),
    Target(name="release", run=_release),
    Target(name="inrelease", run=_inrelease),
    Target(name="key", run=_key),
    Target(name="packages", run=_packages),
    Target(name="control", run=_control),
    Target(name="packages-xz", run=_index),
    Target(name="base-lock", run=_lock),
    Target(name="apt-sources", run=_sources),
    Target(name="contents", run=_contents),
    Target(name="versions", run=_versions),
    Target(name="layer-toml", run=_layer_toml),
    Target(name="maintainer-script", run=_script),
)
