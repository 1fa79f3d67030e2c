"""Targets: what a Debian archive serves, and what a host and a lock say of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from oci_builder.debian import lock
from oci_builder.debian.aptsources import host_sources
from oci_builder.debian.commands import COMMANDS
from oci_builder.debian.control import dependencies, stanza, stanzas
from oci_builder.debian.debconf import answers
from oci_builder.debian.extralock import read_extra_lock
from oci_builder.debian.recipe import LayerRecipe, Suite
from oci_builder.debian.scripttree import ScriptTree
from oci_builder.debian.shell import NotKnown, Shell
from oci_builder.debian.signed import Release, index_path, unpack_index, verify_release
from oci_builder.debian.sonames import read_libraries, sonames
from oci_builder.debian.update import pin_of
from oci_builder.debian.versions import satisfies, upstream, version_key
from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError
from oci_builder.tomlfile import parse_toml
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import directory, file
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


TARGETS = (
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
