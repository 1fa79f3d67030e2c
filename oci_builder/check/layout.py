"""What an archive says it holds: an OCI image layout, a docker archive, or one file that is both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue
from oci_builder.foreign.archive import Archive
from oci_builder.foreign.documents import (
    Findings,
    Named,
    as_object,
    as_strings,
    only_known,
    read_descriptor,
    read_descriptors,
    read_list,
    read_object,
)
from oci_builder.oci.layout import BLOBS, CONTAINERD_NAME, REF_NAME, blob_path
from oci_builder.oci.mediatypes import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    INDEX,
    LAYER_GZIP,
    LAYER_TAR,
    MANIFEST,
)
from oci_builder.reference import Reference

_LAYOUT_KEYS = frozenset({"imageLayoutVersion"})
_INDEX_KEYS = frozenset({"schemaVersion", "mediaType", "manifests", "annotations", "artifactType", "subject"})
_DESCRIPTOR_KEYS = frozenset({"mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"})
_DOCKER_KEYS = frozenset({"Config", "RepoTags", "Layers", "LayerSources", "Parent"})
# Which kinds of blob go with which manifest: engines refuse a mixture, each another one.
_FAMILIES = {MANIFEST: (CONFIG, {LAYER_TAR, LAYER_GZIP}), DOCKER_MANIFEST: (DOCKER_CONFIG, {DOCKER_LAYER})}


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A layer by its name in the archive, and what was promised of it; None where nothing was."""

    path: str
    digest: Digest | None = None
    size: int | None = None
    is_gzip: bool | None = None

    @property
    def label(self) -> str:
        """What findings call it."""
        return str(self.digest) if self.digest else self.path


@dataclass(frozen=True, slots=True)
class Contents:
    """The one image of an archive. ``config`` is None where it could not be read."""

    config: bytes | None = None
    manifest_digest: Digest | None = None
    layers: tuple[LayerFile, ...] = ()
    config_path: str = ""


def find_contents(archive: Archive, findings: Findings) -> Contents:
    """The image in ``archive``; what its documents say wrong, or differently from each other, is said."""
    names = set(archive.names)
    if not names & {"index.json", "manifest.json"}:
        findings.add("the archive holds neither index.json (an OCI layout) nor manifest.json (a docker archive)")
        return Contents()
    descriptors = _read_index(archive, findings) if names & {"index.json", "oci-layout"} else []
    entry = _read_docker_manifest(archive, findings) if "manifest.json" in names else None
    if not descriptors and "index.json" in names:
        findings.add("index.json names no image")
    contents = _from_manifest(archive, descriptors[0], findings) if descriptors else None
    if contents is None:
        return _from_docker(archive, entry or {}, findings)
    if entry is not None:
        _compare(entry, contents, descriptors, findings)
    _check_unreferenced(archive, contents, descriptors, findings)
    return contents


def _read_index(archive: Archive, findings: Findings) -> list[Named]:
    layout = read_object(archive.document("oci-layout", findings), "oci-layout", findings)
    if layout is not None:
        only_known(layout, _LAYOUT_KEYS, "oci-layout", findings)
        if layout.get("imageLayoutVersion") != "1.0.0":
            findings.add("oci-layout: imageLayoutVersion is not '1.0.0'")
    index = read_object(archive.document("index.json", findings), "index.json", findings)
    if index is None:
        return []
    only_known(index, _INDEX_KEYS, "index.json", findings)
    if index.get("schemaVersion") != 2 or index.get("mediaType", INDEX) != INDEX:
        findings.add("index.json: it is not an OCI index of schemaVersion 2")
    return list(_image_manifests(index.get("manifests"), findings))


def _image_manifests(values: object, findings: Findings) -> Iterator[Named]:
    first: Named | None = None
    for value in values if isinstance(values, list) else ():
        only_known(as_object(value), _DESCRIPTOR_KEYS, "index.json: a descriptor", findings)
    for named in read_descriptors(values, "index.json", findings):
        if named.media_type not in _FAMILIES:
            findings.add(f"index.json: {named.digest} is a {named.media_type}, and only image manifests are checked")
        elif first is not None and first.digest != named.digest:
            findings.add(f"index.json: more than one image: {first.digest} and {named.digest}; only one is checked")
        else:
            first = first or named
            if (first.size, first.media_type) != (named.size, named.media_type):
                findings.add(f"index.json: two descriptors of {named.digest} differ in size or media type")
            yield named


def _from_manifest(archive: Archive, of: Named, findings: Findings) -> Contents | None:
    data = _checked_blob(archive, of, findings)
    manifest = read_object(data, f"manifest {of.digest}", findings)
    if data is None or manifest is None:
        return None
    what = f"manifest {of.digest}"
    if manifest.get("schemaVersion") != 2 or manifest.get("mediaType", of.media_type) != of.media_type:
        findings.add(f"{what}: it is not a {of.media_type} of schemaVersion 2")
    config = read_descriptor(manifest.get("config"), what, findings)
    layers = list(read_descriptors(manifest.get("layers"), what, findings))
    _check_media_types(of, config, layers, findings)
    return Contents(
        config=_checked_blob(archive, config, findings) if config else None,
        config_path=blob_path(config.digest) if config else "",
        manifest_digest=Digest.of(data),
        layers=tuple(
            LayerFile(blob_path(layer.digest), layer.digest, layer.size, layer.media_type.endswith("gzip"))
            for layer in layers
        ),
    )


def _checked_blob(archive: Archive, named: Named, findings: Findings) -> bytes | None:
    data = archive.document(blob_path(named.digest), findings)
    if data is not None and (len(data) != named.size or Digest.of(data) != named.digest):
        findings.add(
            f"{blob_path(named.digest)}: {len(data)} bytes with the digest {Digest.of(data)}, "
            f"and its descriptor says {named.size} bytes"
        )
    return data


def _check_media_types(of: Named, config: Named | None, layers: Sequence[Named], findings: Findings) -> None:
    config_type, layer_types = _FAMILIES[of.media_type]
    if config is not None and config.media_type != config_type:
        findings.add(f"manifest {of.digest}: its configuration is a {config.media_type}, not a {config_type}")
    for number, layer in enumerate(layers, 1):
        if layer.media_type not in layer_types:
            findings.add(f"layer {number} ({layer.digest}): a {layer.media_type} in a {of.media_type}")


def _read_docker_manifest(archive: Archive, findings: Findings) -> Mapping[str, object]:
    images = read_list(archive.document("manifest.json", findings) or b"[]", "manifest.json", findings)
    if len(images) != 1:
        findings.add(f"manifest.json: {len(images)} images, and only files with one are checked")
    entry = as_object(images[0]) if images else {}
    only_known(entry, _DOCKER_KEYS, "manifest.json", findings)
    return entry


def _from_docker(archive: Archive, entry: Mapping[str, object], findings: Findings) -> Contents:
    path = str(entry.get("Config", ""))
    config = archive.document(path, findings) if path else None
    promised = path.removeprefix(BLOBS).removesuffix(".json")
    if config is not None and Digest.of(config).hex != promised:
        findings.add(f"{path}: its bytes have the digest {Digest.of(config)}")
    return Contents(config=config, config_path=path, layers=tuple(map(_docker_layer, as_strings(entry.get("Layers")))))


def _docker_layer(path: str) -> LayerFile:
    try:
        return LayerFile(path, Digest.parse(f"sha256:{path.removeprefix(BLOBS)}"))
    except InvalidValue:
        return LayerFile(path)


def _compare(entry: Mapping[str, object], contents: Contents, descriptors: Sequence[Named], findings: Findings) -> None:
    if entry.get("Config") != contents.config_path:
        findings.add("manifest.json and index.json name different configurations")
    if as_strings(entry.get("Layers")) != [layer.path for layer in contents.layers]:
        findings.add("manifest.json and index.json name different layers")
    names = [name for named in descriptors if (name := _name(named, findings))]
    tags = [tag for text in as_strings(entry.get("RepoTags")) if (tag := _parse(text, "manifest.json", findings))]
    if sorted(map(str, names)) != sorted(map(str, tags)):
        findings.add(f"manifest.json names the image {_listed(tags)}, and index.json {_listed(names)}")


def _name(named: Named, findings: Findings) -> Reference | None:
    if not named.annotations.keys() & {CONTAINERD_NAME, REF_NAME}:
        return None
    reference = _parse(named.annotations.get(CONTAINERD_NAME, ""), "index.json", findings)
    if reference is not None and named.annotations.get(REF_NAME) != reference.tag:
        findings.add(f"index.json: {REF_NAME} is not the tag of {reference}")
    return reference


def _parse(text: str, what: str, findings: Findings) -> Reference | None:
    try:
        return Reference.parse(text)
    except InvalidValue as error:
        findings.add(f"{what}: {error}")
        return None


def _listed(names: Sequence[Reference]) -> str:
    return ", ".join(sorted(map(str, names))) or "nothing"


def _check_unreferenced(archive: Archive, contents: Contents, descriptors: Sequence[Named], findings: Findings) -> None:
    known = {contents.config_path, *(layer.path for layer in contents.layers)}
    known.update(blob_path(named.digest) for named in descriptors)
    for name in archive.names:
        if name.startswith("blobs/") and name not in known:
            findings.add(f"{name}: nothing refers to it")
