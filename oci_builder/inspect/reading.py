"""Image parts to their contents: every layer streamed once, each file hashed, little of it kept."""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, InvalidValue, UnsupportedImage
from oci_builder.imported.documents import as_object, as_strings
from oci_builder.imported.names import layer_path, readable, shown
from oci_builder.imported.parts import ImageParts, LayerBlob, open_parts
from oci_builder.imported.unpacked import HEAD, Hashed, packing_of, unpacked
from oci_builder.inspect.contents import (
    MAX_KEPT_FILE,
    FileRecord,
    ImageContents,
    LayerContents,
    Merge,
    is_wanted,
)
from oci_builder.inspect.memory import LayerMemory, LayerSeen
from oci_builder.oci.jsonio import decode
from oci_builder.platforms import Platform
from oci_builder.tree.entry import OPAQUE, WHITEOUT, EntryPath
from oci_builder.tree.limits import Budget, Damaged, Spent
from oci_builder.tree.tarstream import TarMember, TarStream
from oci_builder.tree.tree import order

_HELD = {kind: kind for kind in ("file", "directory", "symlink", "hardlink", "special")}
_KINDS = {tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}


class Watch(Protocol):
    """Somebody who wants to see the content of files while they pass."""

    def wants(self, path: str) -> bool:
        """Whether a file's content is to be shown."""

    def seen(self, path: str, data: bytes) -> None:
        """A file of a layer, whole."""


def read_image(
    path: Path,
    *,
    platform: Platform | None = None,
    watch: Watch | None = None,
    like: Mapping[str, FileRecord] = MappingProxyType({}),
    memory: LayerMemory | None = None,
) -> ImageContents:
    """What is in the image file or folder at ``path``; ``watch`` sees the files of all layers as they pass.

    Where it is ``like`` the tree of another image, names and digests are in memory once for both. Layers that
    ``memory`` knows are hashed and not unpacked, unless they are to be watched; those that an update leaves out have to
    be known. Raises UnsupportedImage, DigestMismatch where a layer is not the one that was promised, FileProblem.
    """
    with open_parts(path, platform=platform, partial=True) as parts:
        return read_parts(parts, watch=watch, like=like, memory=memory)


def read_parts(
    parts: ImageParts,
    *,
    watch: Watch | None = None,
    like: Mapping[str, FileRecord] = MappingProxyType({}),
    memory: LayerMemory | None = None,
) -> ImageContents:
    """What is in an image, from wherever its parts come. Raises UnsupportedImage, and as ``read_image``."""
    try:
        config = _readable_document(decode(parts.config, what=f"{parts.name}: configuration"))
    except RecursionError as error:
        raise UnsupportedImage(parts.name, "its configuration is nested too deeply") from error
    diff_ids = as_strings(as_object(config.get("rootfs")).get("diff_ids"))
    steps = created_by(config)
    merge, layers, budget = Merge(parts.name), [], Budget()
    for number, blob in enumerate(parts.layers, 1):
        pass_ = _Pass(number, _Reading(parts.name, watch, budget, like, memory))
        with _explained(parts.name):
            if not pass_.recall(blob, nth(diff_ids, number)):
                _expect_bytes(parts.name, number, blob)
                pass_.read(blob, nth(diff_ids, number))
        pass_.merge_into(merge)
        layers.append(
            LayerContents(
                number=number,
                digest=blob.digest,
                diff_id=nth(diff_ids, number),
                size=blob.size,
                created_by=nth(steps, number),
                files=tuple(pass_.files),
                hidden=tuple(pass_.hidden),
            )
        )
    return ImageContents(
        name=parts.name,
        config=config,
        config_digest=Digest.of(parts.config),
        manifest_digest=Digest.of(parts.manifest) if parts.manifest is not None else None,
        references=tuple(map(readable, parts.references)),
        layers=tuple(layers),
        tree=in_order(merge.tree),
        kept=merge.kept,
        annotations={readable(key): readable(value) for key, value in parts.annotations.items()},
    )


def created_by(config: Mapping[str, object]) -> list[str]:
    """What made each layer, by the history of a configuration; shorter than the layers where it does not say."""
    history = config.get("history")
    steps = [as_object(step) for step in history] if isinstance(history, list) else []
    return [str(step.get("created_by", "")) for step in steps if step.get("empty_layer") is not True]


def _expect_bytes(image: str, number: int, blob: LayerBlob) -> None:
    """A layer is there to be read. Raises UnsupportedImage."""
    if blob.absent:
        why = f"layer {number} ({blob.digest}) is not in it, and the cache does not know what that holds"
        hint = "an update is read after `ocibuild inspect OLD`, the image that it is of: what was seen is remembered"
        raise UnsupportedImage(image, why, hint=hint)


def _digest_of(blob: LayerBlob) -> Digest:
    packed = Hashed(blob.open())
    packed.drain()
    return packed.digest()


def _is_digest(text: str) -> bool:
    try:
        Digest.parse(text)
    except InvalidValue:
        return False
    return True


def nth(texts: Sequence[str], number: int) -> str:
    """What is said of layer ``number``, from 1 on; nothing where less is said than there are layers."""
    return texts[number - 1] if number <= len(texts) else ""


def in_order(tree: dict[EntryPath, FileRecord]) -> dict[str, FileRecord]:
    """Give ``tree`` in order; it is empty afterwards, for two would be twice as much."""
    records = [tree[path] for path in sorted(tree, key=order)]
    tree.clear()
    return {record.path: record for record in records}


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the layers of one image are read with."""

    image: str
    watch: Watch | None
    budget: Budget
    like: Mapping[str, FileRecord]
    memory: LayerMemory | None


class _Pass:
    """One walk over a layer: its files, what it deletes, and the contents worth keeping."""

    def __init__(self, number: int, reading: _Reading) -> None:
        self._image, self._number, self._watch = reading.image, number, reading.watch
        self._budget, self._like, self._memory = reading.budget, reading.like, reading.memory
        self._label = f"layer {number}"
        # Asked for hard links, which few layers have.
        self._numbers: dict[str, int] | None = None
        self._modes: dict[int, int] = {}
        self._kept: dict[str, bytes] = {}
        self.files: list[FileRecord] = []
        self.hidden: list[str] = []
        self._opaque: list[str] = []

    def recall(self, blob: LayerBlob, diff_id: str) -> bool:
        """Take what was seen in the very same bytes before, if anything was. Raises Damaged."""
        if self._memory is None or self._watch is not None:
            return False
        digest = blob.digest or _digest_of(blob)
        seen = self._memory.find(digest)
        # What is wrong with a layer is said by who reads it.
        if seen is None or (blob.digest is not None and not blob.absent and _digest_of(blob) != digest):
            return False
        if blob.digest is None and _is_digest(diff_id) and seen.diff_id != diff_id:
            return False
        self._budget.count_packed(blob.digest or self._number, blob.size)
        self._budget.spend(seen.spent, self._label)
        self.files = [self._held(record) for record in seen.files]
        self.hidden, self._opaque, self._kept = list(seen.hidden), list(seen.opaque), seen.kept
        return True

    def _held(self, record: FileRecord) -> FileRecord:
        """A record as it is kept in memory, where what many have alike is there once."""
        path, kind = record.path, _HELD.get(record.kind, record.kind)
        mode, digest = self._modes.setdefault(record.mode, record.mode), record.digest
        if (alike := self._like.get(path)) is not None:
            path, digest = alike.path, alike.digest if alike.digest == digest else digest
        owner = record.uid, record.gid
        return FileRecord(path, kind, mode, *owner, record.size, record.target, digest, self._number)

    def read(self, blob: LayerBlob, diff_id: str) -> None:
        """Read all of ``blob``, which is what its digest says, or else its diff ID. Raises Damaged, DigestMismatch."""
        before = self._budget.spent
        packing = packing_of(blob.open().read(HEAD))
        packed = Hashed(blob.open())
        plain = unpacked(packed, packing, what=self._label)
        key = blob.digest or self._number
        counted = self._budget.unpacking(plain, key=key, packed=blob.size, what=self._label)
        tar = Hashed(counted) if blob.digest is None else counted
        stream = TarStream(tar, what=self._label, budget=self._budget)
        for member in stream.members():
            self._add(member, stream)
        packed.drain()
        promised, actual, plain_id = str(blob.digest), str(packed.digest()), ""
        if isinstance(tar, Hashed):
            tar.drain()
            promised, plain_id = diff_id, str(tar.digest())
            actual = plain_id
            if not _is_digest(diff_id):
                promised = actual  # nobody promised anything
                if stream.unclosed:
                    raise Damaged(stream.unclosed)
        if promised != actual:
            raise DigestMismatch(
                f"{self._image}: {self._label}",
                expected=promised,
                actual=actual,
                hint="the file was changed or cut off; get it again",
            )
        # One that is refused where nobody promised it is no layer to remember.
        if self._memory is not None and not stream.unclosed:
            spent = Spent(*(after - earlier for after, earlier in zip(self._budget.spent, before, strict=True)))
            self._memory.keep(packed.digest(), self._seen(plain_id, spent))

    def _seen(self, diff_id: str, spent: Spent) -> LayerSeen:
        return LayerSeen(
            diff_id=diff_id,
            files=self.files,
            hidden=self.hidden,
            opaque=self._opaque,
            kept=self._kept,
            spent=spent,
        )

    def merge_into(self, merge: Merge) -> None:
        """Lay what was read on the layers below."""
        merge.add(self.files, hidden=self.hidden, opaque=self._opaque)
        merge.keep(self._kept)

    def _add(self, member: TarMember, stream: TarStream) -> None:
        path = self._path(member.name)
        folder, name = posixpath.split(path)
        if name == OPAQUE:
            # No engine empties the root.
            self._opaque += [folder] if folder else []
        elif name.startswith(WHITEOUT):
            self.hidden.append(posixpath.join(folder, name.removeprefix(WHITEOUT)))
        elif path:
            record = self._record(path, member, stream)
            if self._numbers is not None:
                self._numbers[path] = len(self.files)
            self.files.append(record)

    def _path(self, name: str) -> str:
        try:
            return readable(layer_path(name))
        except Damaged as error:
            raise Damaged(f"{self._label}: {shown(name)!r} is no path of a layer: it {error}") from error

    def _record(self, path: str, member: TarMember, stream: TarStream) -> FileRecord:
        kind = "file" if member.is_file else _KINDS.get(member.type, "special")
        target = self._path(member.target) if kind == "hardlink" else readable(member.target)
        digest = self._content(path, member, stream) if kind == "file" else b""
        if kind == "hardlink":
            digest = self._linked(target) if target != path else b""
            if target in self._kept and is_wanted(path):
                self._kept[path] = self._kept[target]
        size = member.size if kind == "file" else 0
        # A number that is held for each file is a value of its own, unless somebody sees to it.
        mode = self._modes.setdefault(member.mode, member.mode)
        if (alike := self._like.get(path)) is not None:
            path, digest = alike.path, alike.digest if alike.digest == digest else digest
        return FileRecord(path, kind, mode, member.uid, member.gid, size, target, digest, self._number)

    def _linked(self, target: str) -> bytes:
        if self._numbers is None:
            self._numbers = {record.path: number for number, record in enumerate(self.files)}
        number = self._numbers.get(target)
        return self.files[number].digest if number is not None else b""

    def _content(self, path: str, member: TarMember, stream: TarStream) -> bytes:
        small = member.size <= MAX_KEPT_FILE
        wanted, watched = is_wanted(path) and small, self._watch is not None and small and self._watch.wants(path)
        seen, kept = hashlib.sha256(), bytearray()
        for data in stream.content():
            seen.update(data)
            if wanted or watched:
                kept += data
        if wanted:
            self._kept[path] = bytes(kept)
        if watched and self._watch is not None:
            self._watch.seen(path, bytes(kept))
        return seen.digest()


def _readable_document(document: Mapping[str, object]) -> dict[str, object]:
    return {readable(key): _readable_value(value) for key, value in document.items()}


def _readable_value(value: object) -> object:
    if isinstance(value, dict):
        return _readable_document(value)
    if isinstance(value, list):
        return [_readable_value(item) for item in value]
    return readable(value) if isinstance(value, str) else value


@contextlib.contextmanager
def _explained(image: str) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        raise UnsupportedImage(image, str(error), hint="`ocibuild verify FILE` says all that is wrong") from error
