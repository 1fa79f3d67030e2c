"""The JSON of an image, received from outside: read into values, with what is wrong said and passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oci_builder.bounded import load_json
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, UnsupportedImage
from oci_builder.oci.documents import parse_rfc3339
from oci_builder.oci.jsonio import MAX_DOCUMENT, decode

_MOST = 1000
_LONGEST = 2000
"""Findings, and characters of one, that are kept: nobody reads more, and an image decides how many there are."""


@dataclass(slots=True)
class Findings:
    """What is wrong, in the order it was found, each thing once; of very much only the beginning.

    ``remarks`` is what engines pass over.
    """

    lines: dict[str, None] = field(default_factory=dict)
    remarks: dict[str, None] = field(default_factory=dict)

    def add(self, line: str) -> None:
        """One more; saying it twice is saying it once."""
        _say(self.lines, line)

    def remark(self, line: str) -> None:
        """One more of what engines pass over."""
        _say(self.remarks, line)


def _say(lines: dict[str, None], line: str) -> None:
    if len(lines) < _MOST:
        lines[line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"] = None
    else:
        lines[f"and more than these {_MOST} findings"] = None


_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]]', re.DOTALL)
"""Brackets and texts, in which brackets are none."""

_MAX_ITEMS = 10_000
"""Manifests of an index, layers of a manifest, images of a file."""

MAX_DOCUMENTS = 64 << 20
"""Bytes of all documents that are read of one file or folder, those that are read twice twice."""


@dataclass(slots=True)
class DocumentBudget:
    """How much was read of a file or folder as documents."""

    size: int = 0

    def fits(self, name: str, size: int, findings: Findings) -> bool:
        """Whether a document of so many bytes may still be read; why not is said."""
        if size > MAX_DOCUMENT:
            findings.add(f"{name}: {size} bytes, and a document has {MAX_DOCUMENT} at most")
            return False
        self.size += size
        if self.size > MAX_DOCUMENTS:
            findings.add(f"{name}: the documents have more than {MAX_DOCUMENTS} bytes together")
            return False
        return True


@dataclass(frozen=True, slots=True)
class NamedBlob:
    """A descriptor of a document: what blob it names, as what, how long."""

    digest: Digest
    size: int
    media_type: str
    annotations: Mapping[str, str]


def read_object(data: bytes | None, what: str, findings: Findings) -> Mapping[str, object] | None:
    """The JSON object ``data`` holds, or None after saying why not."""
    if data is None:
        return None
    try:
        return decode(data, what=what)
    except UnsupportedImage as error:
        findings.add(str(error))
        return None


_DOCKER_KEYS = {key.lower(): key for key in ("Config", "RepoTags", "Layers", "LayerSources", "Parent")}


def read_docker_images(data: bytes, findings: Findings) -> Sequence[Mapping[str, object]]:
    """The images that a manifest.json names, read as docker reads it; what is wrong is said.

    docker takes the first JSON value, of keys that come twice the last, and "layers" for "Layers".
    """
    what = "manifest.json"
    end = _end_of_array(data)
    if data[end:].strip(b" \t\r\n"):
        findings.add(f"{what}: something lies behind its JSON value, which podman refuses")
    if len(data) > MAX_DOCUMENT:
        findings.add(f"{what}: a JSON document of {len(data)} bytes, more than {MAX_DOCUMENT}")
        return []
    try:
        found = load_json(data[:end])
    except ValueError as error:
        findings.add(f"{what}: not valid JSON: {error}")
        return []
    if not isinstance(found, list):
        findings.add(f"{what}: expected a JSON array")
        return []
    try:
        load_json(data[:end], unique=True)
    except ValueError as error:
        findings.remark(f"{what}: {error}")
    images = []
    for value in as_list(found, what, findings):
        entry = as_object(value)
        for key in sorted(entry.keys() - _DOCKER_KEYS.values()):
            findings.remark(f"{what}: unknown key {json.dumps(key)}")
        images.append({_DOCKER_KEYS.get(key.lower(), key): item for key, item in entry.items()})
    return images


def _end_of_array(data: bytes) -> int:
    """Where the array ends that the text begins with; its end where it does not."""
    depth = 0
    for match in _BRACKETS.finditer(data):
        mark = match[0]
        depth += (mark == b"[") - (mark == b"]")
        if mark == b"]" and depth == 0:
            return match.end()
    return len(data)


def as_list(value: object, what: str, findings: Findings) -> Sequence[object]:
    """``value`` if it is an array, as far as anybody reads it; else an empty one."""
    found = value if isinstance(value, list) else []
    if len(found) > _MAX_ITEMS:
        findings.add(f"{what}: an array of {len(found)} items, more than {_MAX_ITEMS}")
    return found[:_MAX_ITEMS]


def read_descriptor(value: object, what: str, findings: Findings) -> NamedBlob | None:
    """A descriptor (descriptor.md), or None after saying why not."""
    fields = as_object(value)
    size, media_type = fields.get("size"), fields.get("mediaType")
    try:
        digest = Digest.parse(str(fields.get("digest")))
    except InvalidValue as error:
        findings.add(f"{what}: {error}")
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(media_type, str):
        findings.add(f"{what}: the descriptor of {digest} lacks a size or a media type")
        return None
    annotations = as_object(fields.get("annotations"))
    return NamedBlob(digest, size, media_type, {key: str(text) for key, text in annotations.items()})


def read_descriptors(values: object, what: str, findings: Findings) -> Iterator[NamedBlob]:
    """The descriptors of an array; those that do not read are said and left out."""
    if not isinstance(values, list):
        findings.add(f"{what}: expected an array of descriptors")
        return
    for value in as_list(values, what, findings):
        if named := read_descriptor(value, what, findings):
            yield named


def only_known(document: Mapping[str, object], known: frozenset[str], what: str, findings: Findings) -> None:
    """Remark which keys of a document that no digest protects are not in its specification."""
    for key in sorted(document.keys() - known):
        findings.remark(f"{what}: unknown key {json.dumps(key)}")


def bad_times(config: Mapping[str, object]) -> Iterator[str]:
    """What a configuration says in place of times; engines refuse to read it then."""
    history = config.get("history")
    for place in (config, *map(as_object, history if isinstance(history, list) else ())):
        said = place.get("created")
        if said is not None and parse_rfc3339(said) is None:
            yield f"created is no time: {json.dumps(said)[:60]}"


def as_object(value: object) -> Mapping[str, object]:
    """``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_strings(value: object) -> list[str]:
    """``value`` if it is an array of strings, else an empty one."""
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else []
