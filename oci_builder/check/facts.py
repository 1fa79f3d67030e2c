"""What the gate needs to know of a layer, gathered in one reading and remembered under the layer's digest."""

from __future__ import annotations

import configparser
import email.parser
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import deflate
import msgspec
from packaging.utils import canonicalize_name

from oci_builder.errors import DamagedElf
from oci_builder.layer import Layer
from oci_builder.store import Store
from oci_builder.tree import elf
from oci_builder.tree.content import LARGE, Sources
from oci_builder.tree.elf import Elf
from oci_builder.tree.entry import Entry, Kind, Member
from oci_builder.tree.tree import Tree

RECORDS = "facts-1"
"""The number is raised when a reading finds other things than before."""

_NEVER_ELF = (".py", ".pyc", ".pyi", ".txt", ".json", ".h", ".html", ".svg")
_GZIP = 16 + zlib.MAX_WBITS
_HEAD = 512
_SLACK = 1 << 12
"""Bytes that a gzip member of incompressible content may be longer than it, at least; and a sixteenth part more."""

_MAX_METADATA = 16 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ElfFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One ELF file of a layer. ``sha256`` tells whether a later layer replaced it; ``damage`` why it does not read."""

    path: str
    origin: str
    sha256: str
    elf: Elf | None = None
    damage: str = ""


class Distribution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An installed distribution, by its metadata; ``path`` is that of its .dist-info folder."""

    path: str
    origin: str
    name: str
    version: str
    requires: tuple[str, ...] = ()
    requires_python: str = ""
    extras: tuple[str, ...] = ()
    requested: bool = False
    scripts: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """The normalised name."""
        return canonicalize_name(self.name)

    @property
    def required_names(self) -> tuple[str, ...]:
        """The normalised names of all it may require, under whatever conditions."""
        return tuple(canonicalize_name(found[0]) for text in self.requires if (found := _NAME.match(text)))


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All of one layer."""

    files: tuple[ElfFile, ...]
    distributions: tuple[Distribution, ...]


def layer_facts(layer: Layer, store: Store) -> Facts:
    """The facts of ``layer``, read from its blob the first time. Raises DigestMismatch for a damaged blob."""
    key = layer.descriptor.digest.hex
    data = store.record(RECORDS, key)
    if data is not None:
        try:
            return msgspec.json.decode(data, type=Facts)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            store.drop_record(RECORDS, key)
    facts = _gathered(layer.tree(store))
    store.put_record(RECORDS, key, msgspec.json.encode(facts))
    return facts


def _gathered(tree: Tree) -> Facts:
    with Sources() as sources:
        files = tuple(found for entry in tree if (found := _elf_file(entry, sources)) is not None)
        folders = [entry.path.rpartition("/")[0] for entry in tree if entry.path.endswith(".dist-info/METADATA")]
        return Facts(files=files, distributions=tuple(_distribution(folder, tree, sources) for folder in folders))


def _elf_file(entry: Entry, sources: Sources) -> ElfFile | None:
    if entry.kind is not Kind.FILE or entry.size < _HEAD // 8 or entry.path.endswith(_NEVER_ELF):
        return None
    if not _head(entry, sources).startswith(elf.MAGIC):
        return None
    known = ElfFile(path=entry.path, origin=entry.origin, sha256=entry.sha256)
    try:
        parsed = elf.parse(_whole(entry, sources), what=entry.path)
    except DamagedElf as error:
        return msgspec.structs.replace(known, damage=error.why)
    return msgspec.structs.replace(known, elf=parsed)


def _head(entry: Entry, sources: Sources) -> bytes:
    """The first bytes, without reading the rest: most files are no ELF files."""
    content = entry.content
    if not isinstance(content, Member):
        return bytes(next(sources.chunks(content, what=entry.path), b"")[:4]) if content is not None else b""
    packed = sources.slice(content.blob, content.offset, min(_HEAD, _rest(content)))
    try:
        return zlib.decompressobj(_GZIP).decompress(packed, 4)
    except zlib.error:
        return b""  # whoever reads it all says what is wrong with it


def _whole(entry: Entry, sources: Sources) -> bytes:
    content = entry.content
    if isinstance(content, Member) and content.size <= LARGE:
        length = content.size + content.size // 16 + _SLACK
        packed = sources.slice(content.blob, content.offset, min(length, _rest(content)))
        # One member holds it nearly always, and whole buffers are several times quicker than streams.
        try:
            data = bytes(deflate.gzip_decompress(packed, content.size))
        except (deflate.DeflateError, ValueError):
            data = b""
        if len(data) == content.size:
            return data
    return sources.read(content, what=entry.path) if content is not None else b""


def _rest(content: Member) -> int:
    return _size(content.blob) - content.offset


def _size(blob: Path) -> int:
    return blob.stat().st_size


def _distribution(folder: str, tree: Tree, sources: Sources) -> Distribution:
    text = _text(f"{folder}/METADATA", tree, sources)
    fields = email.parser.HeaderParser().parsestr(text)
    entry = tree.paths[tree.resolve(f"{folder}/METADATA")]
    return Distribution(
        path=folder,
        origin=entry.origin,
        name=str(fields.get("Name", "")),
        version=str(fields.get("Version", "")),
        requires=tuple(map(str, fields.get_all("Requires-Dist", ()))),
        requires_python=str(fields.get("Requires-Python", "")),
        extras=tuple(map(str, fields.get_all("Provides-Extra", ()))),
        requested=f"{folder}/REQUESTED" in tree,
        scripts=tuple(_scripts(_text(f"{folder}/entry_points.txt", tree, sources))),
    )


def _scripts(text: str) -> Iterator[tuple[str, str]]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names of scripts keep their case
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for section in ("console_scripts", "gui_scripts"):
        if parser.has_section(section):
            yield from parser.items(section)


def _text(path: str, tree: Tree, sources: Sources) -> str:
    entry = tree.get(path)
    if entry is None or entry.content is None or entry.size > _MAX_METADATA:
        return ""
    return sources.read(entry.content, what=path).decode("utf-8", "replace")
