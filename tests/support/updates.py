"""Two images of which one is the other's successor, and what other programs make of an update between them."""

from __future__ import annotations

import hashlib
import random
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from oci_builder.export.docker_archive import write_file
from oci_builder.image import Image
from oci_builder.layer import write_layer
from oci_builder.oci.documents import RunConfig
from oci_builder.platforms import AMD64
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, Kind, directory, file, symlink
from oci_builder.tree.tree import Tree
from tests.support.images import CREATED, ORIGIN, base_tree

Seen = Mapping[str, tuple[object, ...]]

_OWN = ("dev", "proc", "sys", "run", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")
_CAPABILITY = (b"\1\0\0\2\xc0" + bytes(15)).decode("utf-8", "surrogateescape")


def linked(path: str, target: str, like: Entry) -> Entry:
    """A hard link to a file that comes before it."""
    return msgspec.structs.replace(like, path=path, kind=Kind.HARDLINK, target=target, size=0, content=None)


def old_layers(nonce: str) -> list[Tree]:
    """A base, and two layers upon it of which the second is about to change."""
    kept = file("opt/app/kept", f"{nonce} kept".encode(), origin=ORIGIN)
    program = file("opt/app/program", b"\x7fELF" + nonce.encode(), mode=0o755, origin=ORIGIN)
    library = [file(f"opt/lib/part{number}", f"{nonce} {number}".encode() * 999, origin=ORIGIN) for number in range(9)]
    noise = file("opt/lib/noise", random.Random(nonce).randbytes(60_000), origin=ORIGIN)
    return [
        base_tree(nonce),
        Tree(
            [
                # What a script of the target runs is the program that there is.
                directory("bin", origin=ORIGIN),
                symlink("bin/python", "hello", origin=ORIGIN),
                directory("opt", origin=ORIGIN),
                directory("opt/lib", mode=0o750, origin=ORIGIN),
                *library,
                noise,
            ]
        ),
        Tree(
            [
                directory("opt", origin=ORIGIN),
                directory("opt/app", uid=1000, gid=1000, origin=ORIGIN),
                kept,
                msgspec.structs.replace(program, attributes=(("security.capability", _CAPABILITY),)),
                directory("opt/app/cache", origin=ORIGIN),
                file("opt/app/cache/one", b"1", origin=ORIGIN),
                file("opt/app/cache/two", b"2", origin=ORIGIN),
                directory("opt/app/gone", origin=ORIGIN),
                file("opt/app/gone/deep", b"deep", origin=ORIGIN),
                file("opt/app/config", b"old", mode=0o600, uid=1000, gid=1000, origin=ORIGIN),
                file("opt/app/mode", b"mode", origin=ORIGIN),
                directory("opt/app/becomes-a-file", origin=ORIGIN),
                file("opt/app/becomes-a-file/inner", b"", origin=ORIGIN),
                file("opt/app/becomes-a-folder", b"", origin=ORIGIN),
                symlink("opt/app/link", "kept", origin=ORIGIN),
                first := file("opt/app/name1", f"{nonce} names".encode() * 99, origin=ORIGIN),
                linked("opt/app/name2", "opt/app/name1", first),
            ]
        ),
    ]


def new_layers(nonce: str) -> list[Tree]:
    """What follows: every kind of change there is, in the highest layer."""
    *below, app = old_layers(nonce)
    gone = {"opt/app/gone", "opt/app/gone/deep", "opt/app/cache/one", "opt/app/cache/two"}
    changed = [entry for entry in app if entry.path not in gone and "becomes" not in entry.path]
    changed = [
        msgspec.structs.replace(entry, mode=0o640) if entry.path == "opt/app/mode" else entry for entry in changed
    ]
    changed = [_changed(entry) for entry in changed]
    first = next(entry for entry in changed if entry.path == "opt/app/name1")
    changed += [
        file("opt/app/cache/three", b"3", origin=ORIGIN),
        file("opt/app/becomes-a-file", b"a file", origin=ORIGIN),
        directory("opt/app/becomes-a-folder", origin=ORIGIN),
        file("opt/app/becomes-a-folder/inner", b"inner", origin=ORIGIN),
        file("opt/app/größe-☃", nonce.encode(), origin=ORIGIN),
        linked("opt/app/name3", "opt/app/name1", first),
        file("opt/app/large", hashlib.sha256(nonce.encode()).digest() * 5000, origin=ORIGIN),
    ]
    return [*below, Tree(changed)]


def _changed(entry: Entry) -> Entry:
    if entry.path == "opt/app/config":
        made = file(entry.path, b"new", mode=0o600, uid=1001, gid=1000, origin=ORIGIN)
        return msgspec.structs.replace(made, mtime=1_000_000_000)
    if entry.path == "opt/app/program":
        return msgspec.structs.replace(entry, mode=0o750)
    if entry.path == "opt/app/link":
        return symlink(entry.path, "/nowhere", origin=ORIGIN)
    return entry


def image_of(trees: Sequence[Tree], store: Store, *, label: str) -> Image:
    """An image of layers, in the store."""
    layers = [write_layer(tree, store, created_by=f"layer {number}", holds=()) for number, tree in enumerate(trees, 1)]
    run = RunConfig(entrypoint=("/bin/hello",), env={"PATH": "/bin", "RELEASE": label}, labels={"release": label})
    return Image(platform=AMD64, run=run, created=CREATED).append(*layers)


def write_images(folder: Path, nonce: str) -> tuple[Path, Path]:
    """The old and the new image as files, named ``tested-NONCE:1``."""
    store = Store(folder / "images")
    found = []
    for name, trees in (("old", old_layers(nonce)), ("new", new_layers(nonce))):
        path = folder / f"{name}.tar"
        image = image_of(trees, store, label=name)
        write_file(image, path, references=[name_of(nonce)], store=store, reporter=Quiet())
        found.append(path)
    return found[0], found[1]


def name_of(nonce: str) -> Reference:
    """What both are called."""
    return Reference.parse(f"tested-{nonce}:1")


def exported(path: Path) -> Seen:
    """All that an engine's export says of a root filesystem: what each path is, with its content and its times."""
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("./").rstrip("/")
            if not name or name.split("/")[0] in _OWN or name in _OWN:
                continue
            stream = archive.extractfile(member) if member.isreg() else None
            content = hashlib.sha256(stream.read()).hexdigest() if stream else ""
            # An engine puts files of its own into /etc.
            time = 0 if name == "etc" else int(member.mtime)
            attributes = {key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")}
            face = (member.type, member.mode & 0o7777, member.uid, member.gid, time, member.size, member.linkname)
            found[name] = (*face, content, tuple(sorted(attributes.items())))
    return found
