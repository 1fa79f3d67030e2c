"""Where two files of one image first differ: in which layer, which path, at which byte."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oci_builder.digest import CHUNK
from oci_builder.errors import UnsupportedImage
from oci_builder.files import explained, open_regular
from oci_builder.imported.archive import Archive, open_archive
from oci_builder.imported.documents import Findings, as_object, as_strings, read_docker_images, read_object
from oci_builder.imported.unpacked import HEAD, packing_of, unpacked
from oci_builder.oci.documents import parse_rfc3339
from oci_builder.oci.layout import COPIED_FROM
from oci_builder.tree.limits import Budget, ByteReader, Damaged
from oci_builder.tree.tarstream import TarMember, TarStream
from oci_builder.verify.layout import find_contents
from oci_builder.verify.manifests import Contents

_FIELDS = ("type", "mode", "uid", "gid", "mtime", "size", "target", "pax")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file says of its image that a rebuild has to repeat: names, platform, and date (seconds since 1970).

    ``base`` is the image that it stands on, as it says itself, and empty where it does not; ``copied`` are those that
    it has files of.
    """

    references: tuple[str, ...]
    platform: str
    created: int
    base: str
    copied: tuple[str, ...] = ()


def identity(path: Path) -> Identity:
    """Who the image in a sound file is. Raises UnsupportedImage where it does not say, FileProblem."""
    findings = Findings()
    with open_archive(path, findings) as archive:
        contents = find_contents(archive, findings)
        tags = archive.document("manifest.json", findings) if "manifest.json" in archive.names else None
    config = as_object(read_object(contents.config, "the configuration", findings))
    parts = [str(config.get(key, "")) for key in ("os", "architecture", "variant")]
    created = parse_rfc3339(config.get("created"))
    if created is None or created < 0:
        findings.add("its configuration has no date")
    listed = read_docker_images(tags, findings) if tags else ()
    if created is None or findings.lines or not all(parts[:2]):
        raise UnsupportedImage(str(path), "; ".join(findings.lines) or "its configuration names no platform")
    names = as_strings(listed[0].get("RepoTags")) if listed else []
    labels = as_object(as_object(config.get("config")).get("Labels"))
    base = str(labels.get("org.opencontainers.image.base.name", ""))
    copied = tuple(str(labels.get(COPIED_FROM, "")).split())
    return Identity(tuple(names), "/".join(filter(None, parts)), created, base, copied)


def first_difference(given: Path, rebuilt: Path) -> str | None:
    """The first difference of two sound files, in words, or None where they are the same bytes. Raises FileProblem."""
    at = _first_byte(given, rebuilt)
    if at is None:
        return None
    findings = Findings()
    with open_archive(given, findings) as one, open_archive(rebuilt, findings) as two:
        pair = _Pair(one, two, find_contents(one, findings), find_contents(two, findings))
        return pair.difference() or f"the image is the same, but the files around it differ from byte {at} on"


@dataclass(frozen=True)
class _Pair:
    given: Archive
    rebuilt: Archive
    given_holds: Contents
    rebuilt_holds: Contents

    def difference(self) -> str | None:
        return self._layers() or self._config() or self._manifest()

    def _layers(self) -> str | None:
        layers = itertools.zip_longest(self.given_holds.layers, self.rebuilt_holds.layers)
        for number, (one, two) in enumerate(layers, 1):
            if one is None or two is None:
                return f"{self._label(number)} is in the {'rebuilt' if one is None else 'given'} image alone"
            if one.digest is not None and one.digest == two.digest:
                continue
            label = self._label(number)
            try:
                found = self._layer(one.path, two.path, label)
            except Damaged as error:
                found = str(error)
            if found:
                return found
        return None

    def _layer(self, one: str, two: str, label: str) -> str | None:
        members = (_members(self.given, one, label), _members(self.rebuilt, two, label))
        for first, second in itertools.zip_longest(*members):
            if first is None or second is None:
                only = (first or second)[0]
                return f"{label}: {only.name} is in the {'rebuilt' if first is None else 'given'} image alone"
            if found := _member(first[0], second[0]) or _content(first, second):
                return f"{label}: {found}"
        packed = _first_unequal(_pieces(self.given, one), _pieces(self.rebuilt, two))
        return None if packed is None else f"{label}: the same files, compressed differently from byte {packed} on"

    def _label(self, number: int) -> str:
        for contents in (self.given_holds, self.rebuilt_holds):
            config = as_object(read_object(contents.config, "config", Findings()))
            history = config.get("history")
            steps = [as_object(step) for step in history] if isinstance(history, list) else []
            made = [str(step.get("created_by", "")) for step in steps if not step.get("empty_layer")]
            if number <= len(made) and made[number - 1]:
                return f"layer {number} ({made[number - 1]})"
        return f"layer {number}"

    def _config(self) -> str | None:
        documents = [
            read_object(contents.config, "config", Findings()) for contents in (self.given_holds, self.rebuilt_holds)
        ]
        found = _unequal(documents[0], documents[1], "")
        return f"the configuration: {found}" if found else None

    def _manifest(self) -> str | None:
        if self.given_holds.manifest_digest == self.rebuilt_holds.manifest_digest:
            return None
        documents = []
        for archive, contents in ((self.given, self.given_holds), (self.rebuilt, self.rebuilt_holds)):
            digest = contents.manifest_digest
            data = archive.document(f"blobs/sha256/{digest.hex}", Findings()) if digest else None
            documents.append(read_object(data, "manifest", Findings()))
        found = _unequal(documents[0], documents[1], "")
        return f"the manifest: {found}" if found else "the manifest: spelt differently"


def _members(archive: Archive, path: str, label: str) -> Iterator[tuple[TarMember, TarStream]]:
    head = archive.open(path)
    packing = packing_of(head.read(HEAD) if head else b"")
    blob = archive.open(path)
    if blob is None:
        raise Damaged(f"{label}: {path} is not in the archive")
    budget = Budget()
    size = archive.size(path) or 0
    plain = budget.unpacking(unpacked(blob, packing, what=label), key=path, packed=size, what=label)
    stream = TarStream(plain, what=label, budget=budget)
    return ((member, stream) for member in stream.members())


def _member(one: TarMember, two: TarMember) -> str | None:
    if one.name != two.name:
        return f"{one.name} stands where the rebuilt image has {two.name}"
    for field in _FIELDS:
        first, second = getattr(one, field), getattr(two, field)
        if first != second:
            shown = (f"{first:#o}", f"{second:#o}") if field == "mode" else (repr(first), repr(second))
            return f"{one.name}: {field} {shown[0]}, rebuilt {shown[1]}"
    return None


def _content(one: tuple[TarMember, TarStream], two: tuple[TarMember, TarStream]) -> str | None:
    at = _first_unequal(one[1].content(), two[1].content())
    return None if at is None else f"{one[0].name} differs at byte {at}"


def _first_unequal(one: Iterator[bytes], two: Iterator[bytes]) -> int | None:
    """Where two streams of equal pieces differ; the end of the shorter is a difference too."""
    before = 0
    for first, second in itertools.zip_longest(one, two, fillvalue=b""):
        if first != second:
            equal = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
            return before + sum(1 for _ in equal)
        before += len(first)
    return None


def _first_byte(one: Path, two: Path) -> int | None:
    with contextlib.ExitStack() as files:
        streams = []
        for path in (one, two):
            files.enter_context(explained(path))
            streams.append(_read(files.enter_context(open_regular(path))))
        return _first_unequal(streams[0], streams[1])


def _pieces(archive: Archive, path: str) -> Iterator[bytes]:
    section = archive.open(path)
    return _read(section) if section is not None else iter(())


def _read(source: ByteReader) -> Iterator[bytes]:
    while data := source.read(CHUNK):
        yield data


def _unequal(one: object, two: object, key: str) -> str | None:
    """The first key, in order of names, at which two JSON values differ, with both values."""
    if isinstance(one, dict) and isinstance(two, dict):
        for name in sorted(one.keys() | two.keys()):
            if found := _unequal(one.get(name), two.get(name), f"{key}.{name}" if key else name):
                return found
        return None
    return None if one == two else f"{key}: {_shown(one)}, rebuilt {_shown(two)}"


def _shown(value: object) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"
