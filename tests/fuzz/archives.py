"""Targets: wheels, tars, layers, images, ELF files and .deb files."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import tarfile
import zipfile

from oci_builder.debian.deb import read_deb
from oci_builder.digest import Digest
from oci_builder.gate.loader import Loader
from oci_builder.imported.layers import LayerDescription, open_layer
from oci_builder.imported.opening import open_file
from oci_builder.imported.parts import LayerBlob
from oci_builder.imported.unpacked import HEAD, Packing, packing_of
from oci_builder.layer import parse_record
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree import elf
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.elfsymbols import parse_symbols
from oci_builder.tree.entry import Entry, EntryPath, Inline, Kind
from oci_builder.tree.limits import Budget, Damaged
from oci_builder.tree.tarstream import TarStream
from oci_builder.tree.tree import Tree
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.install import install
from tests.fuzz.harness import Target, workshop, written
from tests.support.debian import ar
from tests.support.targets import TARGET

WHEEL = "demo-1.0-py3-none-any.whl"
INFO = "demo-1.0.dist-info"


def a_file(path: str, data: bytes) -> Entry:
    """``data`` as a file of a root filesystem."""
    place = EntryPath(path)
    return Entry(path=place, kind=Kind.FILE, mode=0o644, origin="t", size=len(data), content=Inline(data))


def _installed(data: bytes) -> None:
    path = written(WHEEL, data)
    with MappedFiles() as sources:
        archive = open_wheel(path, WHEEL, sources=sources)
        installed = install(archive, TARGET, requested=True, direct_url='{"url": "https://x/demo.whl"}')
        for entry in installed.entries:
            if entry.content is not None:
                assert len(sources.read(entry.content, what=entry.path)) == entry.size
        Tree(installed.entries)
        installed.record([EntryPath("usr/local/lib/python3.11/site-packages/__pycache__/demo.cpython-311.pyc")])


def _wheel(members: dict[str, bytes], record: bytes | None = None) -> bytes:
    """A wheel whose RECORD is true, unless one is given."""
    rows = [f"{name},{digest(data)},{len(data)}\n" for name, data in members.items()]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
        archive.writestr(zipfile.ZipInfo(f"{INFO}/RECORD"), "".join(rows).encode() if record is None else record)
    return out.getvalue()


def digest(data: bytes) -> str:
    """The digest of ``data`` as RECORD spells it."""
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')}"


def wheel_members(**more: bytes) -> dict[str, bytes]:
    """What a wheel holds besides its RECORD; ``more`` is of its metadata."""
    known = {
        "demo.py": b"x = 1\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    }
    return known | {f"{INFO}/{name}": data for name, data in more.items()}


def _tar(data: bytes) -> None:
    stream = TarStream(io.BytesIO(data), what="a tar", budget=Budget())
    for _ in stream.members():
        for _ in stream.content():
            pass


def repaired(data: bytes) -> bytes:
    """A plain tar with the checksums its headers should have: a change to one is looked at, and not only noticed."""
    out, at = bytearray(data), 0
    while at + tarfile.BLOCKSIZE <= len(out):
        block = bytes(out[at : at + tarfile.BLOCKSIZE])
        if any(block):
            out[at + 148 : at + 156] = b"%06o\0 " % (sum(block[:148]) + 8 * ord(" ") + sum(block[156:]))
        with contextlib.suppress(tarfile.HeaderError, ValueError):
            size = max(tarfile.nti(block[124:136]), 0)  # type: ignore[attr-defined]  # the library's own, without types
            at += size + -size % tarfile.BLOCKSIZE
        at += tarfile.BLOCKSIZE
    return bytes(out)


def _layer(data: bytes) -> None:
    if packing_of(data[:HEAD]) is Packing.NONE:
        data = repaired(data)
    store = Store(workshop() / "store")
    blob = LayerBlob(None, len(data), lambda: io.BytesIO(data))
    named = LayerDescription(image="an image", number=1, diff_id=Digest.of(data), created_by="")
    layer = open_layer(blob, named, store)
    tree = layer.tree(store)
    with MappedFiles() as sources:
        for entry in tree:
            if entry.content is not None:
                sources.read(entry.content, what=entry.path)
    store.drop(layer.descriptor.digest)
    store.drop(layer.diff_id)


def _record(data: bytes) -> None:
    layer = parse_record(data)
    if layer is not None:
        layer.tree(Store(workshop() / "store"))


def _image(data: bytes) -> None:
    if packing_of(data[:HEAD]) is Packing.NONE:
        data = repaired(data)
    open_file(written("image.tar", data), AMD64, store=Store(workshop() / "store"), reporter=Quiet())


def _elf(data: bytes) -> None:
    found = elf.parse(data, what="a file")
    assert found is None or all(isinstance(name, str) for name in found.needed)


def _symbols(data: bytes) -> None:
    parse_symbols(data, what="a file")


def _cache(data: bytes) -> None:
    Loader(Tree([a_file("etc/ld.so.cache", data)]), {}, "x86_64")


def _deb(data: bytes) -> None:
    read_deb(written("x.deb", data), workshop() / "spool", origin="demo 1.0-1")


CONTROL = b"Package: demo\nVersion: 1.0-1\nArchitecture: all\n"


def _deb_with(data: bytes, *, member: str) -> None:
    parts = {"debian-binary": b"2.0\n", "control.tar": control_tar(CONTROL), "data.tar": control_tar(b"x")}
    _deb(ar(parts | {member: repaired(data)}))


def control_tar(data: bytes) -> bytes:
    """A tar of one file, ``control``."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("./control")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


TARGETS = (
    Target(name="wheel", run=_installed),
    Target(name="wheel-record", run=lambda data: _installed(_wheel(wheel_members(), data))),
    Target(name="wheel-entry-points", run=lambda data: _installed(_wheel(wheel_members(**{"entry_points.txt": data})))),
    Target(name="wheel-metadata", run=lambda data: _installed(_wheel(wheel_members(WHEEL=data, METADATA=data)))),
    Target(name="tar", run=_tar, allowed=(Damaged,)),
    Target(name="tar-headers", run=lambda data: _tar(repaired(data)), allowed=(Damaged,)),
    Target(name="layer", run=_layer),
    Target(name="layer-record", run=_record),
    Target(name="image-archive", run=_image),
    Target(name="elf", run=_elf),
    Target(name="elf-symbols", run=_symbols),
    Target(name="ld-cache", run=_cache),
    Target(name="deb", run=_deb),
    Target(name="deb-data", run=lambda data: _deb_with(data, member="data.tar")),
    Target(name="deb-control", run=lambda data: _deb_with(data, member="control.tar")),
)
