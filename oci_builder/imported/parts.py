"""The parts of an image, wherever it lies: its documents, and its layers to be opened one after another.

More lenient than ``verify``: what engines write and run is read, whether or not every word of it is right.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from oci_builder import inputs
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, UnsupportedImage
from oci_builder.imported.archive import open_archive
from oci_builder.imported.documents import (
    Findings,
    NamedBlob,
    as_list,
    as_object,
    as_strings,
    read_descriptor,
    read_descriptors,
    read_docker_images,
    read_object,
)
from oci_builder.imported.folder import open_folder
from oci_builder.oci.layout import CONTAINERD_NAME, REF_NAME, blob_path
from oci_builder.oci.mediatypes import CONFIG, DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, INDEX, MANIFEST
from oci_builder.platforms import Platform
from oci_builder.tree.limits import ByteReader

_MAX_DEPTH = 4
"""Indexes in indexes; docker writes two."""

_MAX_MANIFESTS = 1000
MAX_LAYERS = 125
"""What Docker mounts at most."""


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """A layer as it is stored: ``size`` in bytes, ``digest`` None where nobody promised one.

    One that is ``absent`` is named by its manifest and left out: of an update whose target has it. Opening raises
    UnsupportedImage.
    """

    digest: Digest | None
    size: int
    open: Callable[[], ByteReader]
    absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageParts:
    """What an image is read from, be it a file, a folder or a registry. Layers are opened one at a time, in order."""

    name: str
    config: bytes
    manifest: bytes | None
    layers: tuple[LayerBlob, ...]
    references: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


class Files(Protocol):
    """Files by name: an archive's or a folder's."""

    @property
    def names(self) -> Sequence[str]:
        """The names of all files."""

    def size(self, name: str) -> int | None:
        """Bytes, or None if it is not there."""

    def open(self, name: str) -> ByteReader | None:
        """Open a file's content, or None where there is no such file."""

    def document(self, name: str, findings: Findings) -> bytes | None:
        """All of a small file, or None."""


@contextlib.contextmanager
def open_parts(path: Path, *, platform: Platform | None = None, partial: bool = False) -> Iterator[ImageParts]:
    """The image in the file or folder at ``path``; of several, the one for ``platform``.

    Where that is ``partial``, layers may be absent. Raises UnsupportedImage when there is none, or more than one;
    FileProblem.
    """
    findings = Findings()
    with open_folder(path, findings) if inputs.is_dir(path) else open_archive(path, findings) as files:
        yield find_parts(files, str(path), platform, findings, partial=partial)


def find_parts(
    files: Files, name: str, platform: Platform | None, findings: Findings, *, partial: bool = False
) -> ImageParts:
    """The one image of ``files``, of which layers may be absent where that is ``partial``. Raises UnsupportedImage."""
    names = set(files.names)
    manifests = _manifests(files, findings) if "index.json" in names else {}
    if manifests:
        found = _from_manifest(files, name, _chosen(manifests, files, name, platform, findings), findings)
        if not partial:
            for layer in found.layers:
                if layer.absent:
                    layer.open()
        return found
    if "manifest.json" in names:
        return _from_docker(files, name, findings)
    why = "neither a docker archive (manifest.json) nor an OCI image layout (index.json)"
    raise UnsupportedImage(name, next(iter(findings.lines), why), hint="`ocibuild verify FILE` says all that is wrong")


@dataclass(frozen=True, slots=True)
class _Found:
    named: NamedBlob
    names: dict[str, None]


def _manifests(files: Files, findings: Findings) -> dict[Digest, _Found]:
    """The image manifests of the layout that are there, by digest, indexes in the index followed."""
    found: dict[Digest, _Found] = {}
    followed: set[Digest] = set()
    todo = deque([(files.document("index.json", findings), "", 0)])
    while todo:
        data, inherited, depth = todo.popleft()
        index = read_object(data, "index.json", findings)
        for value in as_list((index or {}).get("manifests"), "index.json", findings):
            named = read_descriptor(value, "index.json", findings)
            # docker keeps indexes whole and leaves out the platforms it does not have.
            if named is None or _is_attestation(named, value) or files.size(blob_path(named.digest)) is None:
                continue
            text = named.annotations.get(CONTAINERD_NAME) or named.annotations.get(REF_NAME) or inherited
            if named.media_type in (INDEX, DOCKER_LIST) and depth < _MAX_DEPTH and named.digest not in followed:
                followed.add(named.digest)
                todo.append((files.document(blob_path(named.digest), findings), text, depth + 1))
            elif named.media_type in (MANIFEST, DOCKER_MANIFEST):
                if len(found) >= _MAX_MANIFESTS:
                    findings.add(f"index.json: more than {_MAX_MANIFESTS} manifests")
                    return found
                there = found.setdefault(named.digest, _Found(named, {}))
                if text:
                    there.names[text] = None
    return found


def _is_attestation(named: NamedBlob, value: object) -> bool:
    platform = as_object(as_object(value).get("platform"))
    return "vnd.docker.reference.type" in named.annotations or platform.get("os") == "unknown"


def _chosen(
    found: Mapping[Digest, _Found], files: Files, name: str, platform: Platform | None, findings: Findings
) -> _Found:
    if len(found) == 1 and platform is None:
        return next(iter(found.values()))
    there = {digest: _platform(files, each.named, findings) for digest, each in found.items()}
    wanted = [digest for digest, text in there.items() if platform is None or text == str(platform)]
    # One image under several manifests (docker's and ours) would be the same configuration: take the first.
    if len(wanted) == 1 or (wanted and len({_config_of(files, found[each].named, findings) for each in wanted}) == 1):
        return found[wanted[0]]
    has = ", ".join(sorted(text or "an unknown platform" for text in there.values()))
    if not wanted:
        # Of one that does not read nobody knows what it is for: why it does not is what to say.
        unread = list(findings.lines)[-1:] if "" in there.values() else []
        raise UnsupportedImage(name, unread[0] if unread else f"holds no image for {platform}, but for {has}")
    hint = "choose one with --platform, or save one image per file"
    raise UnsupportedImage(name, f"holds {len(found)} images: for {has}", hint=hint)


def _config_of(files: Files, named: NamedBlob, findings: Findings) -> str:
    manifest = read_object(files.document(blob_path(named.digest), findings), "manifest", findings)
    return str(as_object((manifest or {}).get("config")).get("digest"))


def _platform(files: Files, named: NamedBlob, findings: Findings) -> str:
    manifest = read_object(files.document(blob_path(named.digest), findings), "manifest", findings)
    config = read_descriptor((manifest or {}).get("config"), "manifest", findings)
    data = files.document(blob_path(config.digest), findings) if config else None
    document = read_object(data, "configuration", findings) or {}
    parts = (document.get(key) for key in ("os", "architecture", "variant"))
    text = "/".join(part for part in parts if isinstance(part, str) and part)
    try:
        return str(Platform.parse(text))
    except InvalidValue:
        return text


def _from_manifest(files: Files, name: str, found: _Found, findings: Findings) -> ImageParts:
    data = files.document(blob_path(found.named.digest), findings)
    manifest = read_object(data, f"manifest {found.named.digest}", findings)
    if data is None or manifest is None:
        raise UnsupportedImage(name, _first(findings))
    config = read_descriptor(manifest.get("config"), f"manifest {found.named.digest}", findings)
    if config is None or config.media_type not in (CONFIG, DOCKER_CONFIG):
        raise UnsupportedImage(name, f"{found.named.digest} is the manifest of no image")
    content = files.document(blob_path(config.digest), findings)
    if content is None:
        raise UnsupportedImage(name, _first(findings))
    layers = read_descriptors(manifest.get("layers"), "manifest", findings)
    annotations = as_object(manifest.get("annotations"))
    return ImageParts(
        name=name,
        config=content,
        manifest=data,
        layers=_layers(files, name, [(blob_path(layer.digest), layer) for layer in layers]),
        references=tuple(found.names) or _repo_tags(files, findings),
        annotations={key: str(value) for key, value in annotations.items()},
    )


def _repo_tags(files: Files, findings: Findings) -> tuple[str, ...]:
    if "manifest.json" not in files.names:
        return ()
    images = read_docker_images(files.document("manifest.json", findings) or b"[]", findings)
    return tuple(as_strings(images[0].get("RepoTags"))) if len(images) == 1 else ()


def _from_docker(files: Files, name: str, findings: Findings) -> ImageParts:
    images = read_docker_images(files.document("manifest.json", findings) or b"[]", findings)
    if len(images) != 1:
        hint = "save one image per file" if images else None
        raise UnsupportedImage(name, f"manifest.json names {len(images)} images, and one can be read", hint=hint)
    entry = images[0]
    config = files.document(str(entry.get("Config", "")), findings)
    if config is None:
        raise UnsupportedImage(name, _first(findings))
    layers = _layers(files, name, [(path, None) for path in as_strings(entry.get("Layers"))])
    parts = ImageParts(name=name, config=config, manifest=None, layers=layers)
    return replace(parts, references=tuple(as_strings(entry.get("RepoTags"))))


def _layers(files: Files, name: str, named: Sequence[tuple[str, NamedBlob | None]]) -> tuple[LayerBlob, ...]:
    if len(named) > MAX_LAYERS:
        raise UnsupportedImage(name, f"{len(named)} layers, and Docker mounts {MAX_LAYERS} at most")
    return tuple(_layer(files, name, path, blob) for path, blob in named)


def _layer(files: Files, name: str, path: str, blob: NamedBlob | None) -> LayerBlob:
    size = files.size(path)

    def opened() -> ByteReader:
        found = files.open(path)
        if found is None:
            # Its size was known a moment ago.
            raise UnsupportedImage(name, f"{path} is not in it any more", hint="let whoever writes to it end first")
        return found

    def missing() -> ByteReader:
        hint = "a file that leaves out layers the engine has already cannot be read alone"
        raise UnsupportedImage(name, f"{path} is not in it", hint=hint)

    if size is None and blob is None:
        missing()
    if size is None and blob is not None:
        return LayerBlob(blob.digest, blob.size, missing, absent=True)
    return LayerBlob(blob.digest if blob else None, size or 0, opened)


def _first(findings: Findings) -> str:
    return next(iter(findings.lines), "it cannot be read")
