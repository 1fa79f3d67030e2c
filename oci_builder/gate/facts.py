"""What the gate needs to know of a layer, gathered in one reading and remembered under the layer's digest."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import deflate
import msgspec
from packaging.utils import canonicalize_name

from oci_builder.compression import NotGzip, gunzip_head
from oci_builder.distinfo import entry_points, headers
from oci_builder.errors import DamagedElf
from oci_builder.files import spooled
from oci_builder.layer import DELETIONS, Layer
from oci_builder.oci.jsonio import name_of, text_of
from oci_builder.store import Store
from oci_builder.tree import elf
from oci_builder.tree.content import LARGE, MappedFiles
from oci_builder.tree.elf import Elf
from oci_builder.tree.entry import Entry, Kind, Member
from oci_builder.tree.tree import order

RECORDS = "facts-3"
"""The number is raised when a reading finds other things than before."""

_NEVER_ELF = (".py", ".pyc", ".pyi", ".txt", ".json", ".h", ".html", ".svg")
_HEAD = 512
_SLACK = 1 << 12
"""Bytes that a gzip member of incompressible content may be longer than it, at least; and a sixteenth part more."""

_MAX_METADATA = 16 << 20
_METADATA = frozenset({"METADATA", "REQUESTED", "entry_points.txt"})
"""Files of a .dist-info folder that are looked at."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ElfFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One ELF file of a layer. ``sha256`` tells whether a later layer replaced it; ``damage`` why it does not read.

    ``origin`` is filled in from the image's tree: a layer's bytes are the same whoever they are said to be from.
    """

    path: str
    origin: str = ""
    sha256: str
    elf: Elf | None = None
    damage: str = ""


class Distribution(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An installed distribution, by its metadata; ``path`` is that of its .dist-info folder, ``origin`` as above."""

    path: str
    origin: str = ""
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
    """What the gate has to know of one layer."""

    files: tuple[ElfFile, ...]
    distributions: tuple[Distribution, ...]


def layer_facts(layer: Layer, store: Store) -> Facts:
    """The facts of ``layer``, read from its blob the first time. Raises DigestMismatch for a damaged blob."""
    key = layer.descriptor.digest.hex
    data = store.record(RECORDS, key)
    if data is not None:
        try:
            return _with_names(msgspec.json.decode(data, type=Facts), name_of)
        except (msgspec.MsgspecError, ValueError):
            store.drop_record(RECORDS, key)
    return _gather(layer, store, {})


class FactsCollector:
    """The facts of one layer, gathered while it is written into ``store``: no library is inflated again for them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parsed: dict[str, ElfFile | None] = {}

    def watch(self, entry: Entry, data: bytes | bytearray | memoryview) -> None:
        """Read a file as it passes."""
        if not _may_be_elf(entry):
            return  # nobody will ask: most files are such, and a word about each would be megabytes
        is_elf = bytes(data[:4]) == elf.MAGIC
        self._parsed[entry.path] = _read(entry, lambda: elf.parse(data, what=entry.path)) if is_elf else None

    def finish(self, layer: Layer) -> None:
        """Keep the facts of the layer, reading what did not pass whole. Raises DigestMismatch for a damaged blob."""
        _gather(layer, self._store, self._parsed)


def _gather(layer: Layer, store: Store, parsed: Mapping[str, ElfFile | None]) -> Facts:
    files, metadata = list[ElfFile](), dict[str, Entry]()
    with store.scratch() as spool, MappedFiles() as sources:
        for entry in _telling(layer, store):
            if (found := _elf_file(entry, sources, spool, parsed)) is not None:
                files.append(found)
            if _is_metadata(entry.path):
                metadata[entry.path] = entry
        folders = [path.rpartition("/")[0] for path in metadata if path.endswith("/METADATA")]
        told = tuple(_distribution(folder, metadata, sources) for folder in folders)
    facts = Facts(files=tuple(files), distributions=told)
    store.put_record(RECORDS, layer.descriptor.digest.hex, msgspec.json.encode(_with_names(facts, text_of)))
    return facts


def _telling(layer: Layer, store: Store) -> Iterator[Entry]:
    """The files that may tell something, in a tree's order; a tree of all would be as large as the layer's index."""
    numbers: dict[str, int] = {}
    for number, item in enumerate(layer.entries):
        # Of two with one path the later is there, whatever that is.
        if item.kind not in DELETIONS and (
            _is_as_elf(item.path, item.size) or _is_metadata(item.path) or item.path in numbers
        ):
            numbers[item.path] = number
    read = layer.reader(store)
    yield from (read(numbers[path]) for path in sorted(numbers, key=order))


def _with_names(facts: Facts, spell: Callable[[str], str]) -> Facts:
    """The facts with their paths as JSON holds them, or as they are: names may be any bytes."""
    paths = [*(file.path for file in facts.files), *(each.path for each in facts.distributions)]
    if all(spell(path) == path for path in paths):
        return facts
    return Facts(
        files=tuple(msgspec.structs.replace(file, path=spell(file.path)) for file in facts.files),
        distributions=tuple(msgspec.structs.replace(each, path=spell(each.path)) for each in facts.distributions),
    )


def _elf_file(entry: Entry, sources: MappedFiles, spool: Path, parsed: Mapping[str, ElfFile | None]) -> ElfFile | None:
    if not _may_be_elf(entry):
        return None
    if entry.path in parsed:
        found = parsed[entry.path]
    else:
        is_elf = head_of(entry, sources, 4).startswith(elf.MAGIC)
        found = _read(entry, lambda: _parsed(entry, sources, spool)) if is_elf else None
    return msgspec.structs.replace(found, sha256=entry.sha256) if found is not None else None


def _may_be_elf(entry: Entry) -> bool:
    return entry.kind is Kind.FILE and _is_as_elf(entry.path, entry.size)


def _is_as_elf(path: str, size: int) -> bool:
    return size >= _HEAD // 8 and not path.endswith(_NEVER_ELF)


def _is_metadata(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return name in _METADATA and folder.endswith(".dist-info")


def _read(entry: Entry, parse: Callable[[], Elf | None]) -> ElfFile:
    known = ElfFile(path=entry.path, sha256=entry.sha256)
    try:
        return msgspec.structs.replace(known, elf=parse())
    except DamagedElf as error:
        return msgspec.structs.replace(known, damage=error.why)


def head_of(entry: Entry, sources: MappedFiles, size: int) -> bytes:
    """The first bytes, 400 at most, without reading the rest: most files are no ELF files."""
    content = entry.content
    if not isinstance(content, Member):
        return bytes(next(sources.chunks(content, what=entry.path), b"")[:size]) if content is not None else b""
    packed = sources.slice(content.blob, content.offset, min(_HEAD, _rest(content)))
    try:
        return gunzip_head(packed, size)[0]
    except NotGzip:
        return b""  # whoever reads it all says what is wrong with it


def _parsed(entry: Entry, sources: MappedFiles, spool: Path) -> Elf | None:
    if not isinstance(entry.content, Member) or entry.size <= LARGE:
        return elf.parse(_whole(entry, sources), what=entry.path)
    # In memory, a library of gigabytes would set its peak; mapped, only what is looked at is there.
    path = spool / "large"
    with spooled(path) as sink:
        for chunk in sources.chunks(entry.content, what=entry.path):
            sink.write(chunk)
    with MappedFiles() as large:
        return elf.parse(large.slice(path, 0, entry.size), what=entry.path)


def _whole(entry: Entry, sources: MappedFiles) -> bytes | bytearray | memoryview:
    content = entry.content
    if isinstance(content, Member):
        length = content.size + content.size // 16 + _SLACK
        packed = sources.slice(content.blob, content.offset, min(length, _rest(content)))
        # One member holds it nearly always, and whole buffers are several times quicker than streams.
        try:
            data = deflate.gzip_decompress(packed, content.size)
        except (deflate.DeflateError, ValueError):
            data = bytearray()
        if len(data) == content.size:
            return data
    return sources.whole(content, what=entry.path) if content is not None else b""


def _rest(content: Member) -> int:
    return _size(content.blob) - content.offset


def _size(blob: Path) -> int:
    return blob.stat().st_size


def _distribution(folder: str, metadata: Mapping[str, Entry], sources: MappedFiles) -> Distribution:
    text = _text(f"{folder}/METADATA", metadata, sources)
    fields = headers(text)
    return Distribution(
        path=folder,
        name=str(fields.get("Name", "")),
        version=str(fields.get("Version", "")),
        requires=tuple(map(str, fields.get_all("Requires-Dist", ()))),
        requires_python=str(fields.get("Requires-Python", "")),
        extras=tuple(map(str, fields.get_all("Provides-Extra", ()))),
        requested=f"{folder}/REQUESTED" in metadata,
        scripts=tuple(_scripts(_text(f"{folder}/entry_points.txt", metadata, sources))),
    )


def _scripts(text: str) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(ValueError):
        for group in entry_points(text).values():
            yield from group.items()


def _text(path: str, metadata: Mapping[str, Entry], sources: MappedFiles) -> str:
    entry = metadata.get(path)
    if entry is None or entry.content is None or entry.size > _MAX_METADATA:
        return ""
    return sources.read(entry.content, what=path).decode("utf-8", "replace")
