"""What an archive or a folder says it holds: an OCI image layout, a docker archive, or both at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue
from oci_builder.imported.documents import (
    Findings,
    NamedBlob,
    as_list,
    as_object,
    as_strings,
    only_known,
    read_descriptors,
    read_docker_images,
    read_object,
)
from oci_builder.imported.parts import Files
from oci_builder.oci.layout import BLOBS, CONTAINERD_NAME, REF_NAME, blob_path
from oci_builder.oci.mediatypes import INDEX
from oci_builder.reference import Reference
from oci_builder.tree.limits import ByteReader
from oci_builder.verify.manifests import Contents, LayerFile, ManifestFindings, follow

_LAYOUT_KEYS = frozenset({"imageLayoutVersion"})
_INDEX_KEYS = frozenset({"schemaVersion", "mediaType", "manifests", "annotations", "artifactType", "subject"})
_DESCRIPTOR_KEYS = frozenset({"mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"})


@dataclass(frozen=True, slots=True)
class FileHolder:
    """The blobs of a layout, by their names in it."""

    files: Files

    def wants(self, platform: str) -> bool:
        """Whether it is wanted: all that is here is."""
        return True

    def has(self, named: NamedBlob) -> bool:
        """Whether the file is there."""
        return self.files.size(blob_path(named.digest)) is not None

    def manifest(self, named: NamedBlob, findings: Findings) -> bytes | None:
        """All of it; None after saying why not."""
        return self.files.document(blob_path(named.digest), findings)

    def document(self, named: NamedBlob, findings: Findings) -> bytes | None:
        """All of it; None after saying why not."""
        return self.files.document(blob_path(named.digest), findings)

    def size(self, layer: LayerFile) -> int | None:
        """Its bytes; None if it is not there."""
        return self.files.size(layer.path)

    def open(self, layer: LayerFile) -> ByteReader | None:
        """Its content; None if it is not there."""
        return self.files.open(layer.path)


@dataclass(frozen=True, slots=True)
class Held:
    """The images of a file or folder, and of what other things its manifests tell (``ManifestFindings.others``).

    ``strays`` are blobs that nothing refers to.
    """

    images: tuple[Contents, ...]
    others: tuple[LayerFile, ...] = ()
    absent: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()


def find_contents(files: Files, findings: Findings) -> Contents:
    """The one image in ``files``; an empty one where there are none or several, and that is said."""
    images = find_images(files, findings).images
    if len(images) > 1:
        findings.add(f"{len(images)} images, where one is expected")
    return images[0] if len(images) == 1 else Contents()


def find_images(files: Files, findings: Findings) -> Held:
    """The images in ``files``; what their documents say wrong, or differently from each other, is said."""
    names = set(files.names)
    if not names & {"index.json", "manifest.json"}:
        findings.add("the archive holds neither index.json (an OCI layout) nor manifest.json (a docker archive)")
        return Held(())
    tops = _read_index(files, findings) if names & {"index.json", "oci-layout"} else []
    entries = _read_docker_manifest(files, findings) if "manifest.json" in names else []
    found = follow(tops, FileHolder(files), findings, what="index.json")
    if "index.json" in names and not found.images:
        findings.add("index.json names no image")
    if not found.images:
        return Held(tuple(_from_docker(files, entry, findings) for entry in entries))
    if entries:
        _compare(entries, found, tops, findings)
    return Held(
        images=tuple(found.images.values()),
        others=tuple(found.others.values()),
        absent=tuple(found.absent),
        strays=tuple(name for name in files.names if name.startswith("blobs/") and name not in found.known),
    )


def _read_index(files: Files, findings: Findings) -> list[NamedBlob]:
    layout = read_object(files.document("oci-layout", findings), "oci-layout", findings)
    if layout is not None:
        only_known(layout, _LAYOUT_KEYS, "oci-layout", findings)
        if layout.get("imageLayoutVersion") != "1.0.0":
            findings.add("oci-layout: imageLayoutVersion is not '1.0.0'")
    index = read_object(files.document("index.json", findings), "index.json", findings)
    if index is None:
        return []
    only_known(index, _INDEX_KEYS, "index.json", findings)
    if index.get("schemaVersion") != 2 or index.get("mediaType", INDEX) != INDEX:
        findings.add("index.json: it is not an OCI index of schemaVersion 2")
    values = index.get("manifests")
    for value in as_list(values, "index.json", findings):
        only_known(as_object(value), _DESCRIPTOR_KEYS, "index.json: a descriptor", findings)
    return list(read_descriptors(values, "index.json", findings))


def _read_docker_manifest(files: Files, findings: Findings) -> list[Mapping[str, object]]:
    images = read_docker_images(files.document("manifest.json", findings) or b"[]", findings)
    if not images:
        findings.add("manifest.json: 0 images")
    return list(images)


def _from_docker(files: Files, entry: Mapping[str, object], findings: Findings) -> Contents:
    path = str(entry.get("Config", ""))
    config = files.document(path, findings) if path else None
    # docker and podman write HEX.json, docker since 25 blobs/sha256/HEX, crane sha256:HEX.
    promised = path.removeprefix(BLOBS).removeprefix("sha256:").removesuffix(".json")
    if config is not None and Digest.of(config).hex != promised:
        findings.add(f"{path}: its bytes have the digest {Digest.of(config)}")
    return Contents(config=config, config_path=path, layers=tuple(map(_docker_layer, as_strings(entry.get("Layers")))))


def _docker_layer(path: str) -> LayerFile:
    try:
        return LayerFile(path, Digest.parse(f"sha256:{path.removeprefix(BLOBS)}"))
    except InvalidValue:
        return LayerFile(path)


def _compare(
    entries: Sequence[Mapping[str, object]], found: ManifestFindings, tops: Sequence[NamedBlob], findings: Findings
) -> None:
    """The two documents that name the images of a file, each for other engines, against each other."""
    names = [(top, name) for top in tops if (name := _name(top, findings))]
    unsaid = {name for _, name in names}
    for entry in entries:
        images = {digest: image for digest, image in found.images.items() if image.config_path == entry.get("Config")}
        if not images:
            findings.add("manifest.json and index.json name different configurations")
        elif as_strings(entry.get("Layers")) not in [[layer.path for layer in each.layers] for each in images.values()]:
            findings.add("manifest.json and index.json name different layers")
        tags = {tag for text in as_strings(entry.get("RepoTags")) if (tag := _parse(text, "manifest.json", findings))}
        own = {name for top, name in names if found.leads.get(top.digest, frozenset()) & images.keys()}
        if images and tags != own:
            findings.add(f"manifest.json names the image {_listed(tags)}, and index.json {_listed(own)}")
        unsaid -= own
    if unsaid:
        findings.add(f"index.json names {_listed(unsaid)}, and manifest.json does not")


def _name(named: NamedBlob, findings: Findings) -> Reference | None:
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


def _listed(names: set[Reference]) -> str:
    return ", ".join(sorted(map(str, names))) or "nothing"
