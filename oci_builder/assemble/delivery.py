"""Images to where they are wanted besides a file of their own: registries, folders; and from one to the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oci_builder.digest import Digest
from oci_builder.errors import UnsupportedImage
from oci_builder.export import docker_archive, oci_layout
from oci_builder.files import explained
from oci_builder.imported.documents import Findings
from oci_builder.imported.parts import ImageParts, LayerBlob, find_parts, open_parts
from oci_builder.imported.travel import FileBlobs, open_files, read_parcel
from oci_builder.oci.contracts import Blobs, ImageDocuments
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import JSON, MAX_DOCUMENT, decode
from oci_builder.oci.manifest import GivenImage, Index, Manifest, manifest_of, parse_manifest, platform_of
from oci_builder.oci.mediatypes import CONFIG, LAYER_GZIP, LAYER_TAR
from oci_builder.oci.parcel import pack
from oci_builder.platforms import AMD64, ARM64, Platform
from oci_builder.reference import Reference
from oci_builder.registry.pulling import fetch_blobs, fetch_image, fetch_manifest, fetch_parcel
from oci_builder.registry.pushing import Pushed, Pusher
from oci_builder.registry.registries import Registries
from oci_builder.store import Store

if TYPE_CHECKING:
    from oci_builder.assemble.build import Built
    from oci_builder.assemble.context import BuildContext

_PLATFORM = ("architecture", "os", "os.version", "variant")
"""Keys of a configuration that are keys of a platform as well (image-index.md)."""

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """An image, or what lies beside one: the digests of its configuration and manifest, and what it says it is for."""

    id: Digest
    digest: Digest
    platform: str


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What was pulled: its images, the bytes that came over the network, and those written."""

    images: tuple[Arrived, ...]
    received: int
    written: int


def push_file(path: Path, references: Sequence[Reference], context: BuildContext) -> tuple[Pushed, ...]:
    """Push the image in the file or folder at ``path``, or the several of a layout as one index, whatever they run on.

    What its documents say is what arrives, byte for byte, and every blob is verified on the way. Raises
    UnsupportedImage for what is no image, and what ``push`` raises.
    """
    # Opened once, and its index read once: a dozen blobs are read at the same time.
    findings = Findings()
    with open_files(path, findings) as files:
        parcel = read_parcel(files, str(path))
        if parcel is None:
            parts = find_parts(files, str(path), None, findings)
            image = _image_in(parts)
            layers = zip(image.layers, parts.layers, strict=True)
            parcel, openers = pack((image,)), {each.descriptor.digest: blob.open for each, blob in layers}
            blobs = FileBlobs(str(path), openers)
        else:
            blobs = FileBlobs.of_layout(files, parcel, str(path))
        with context.reporter.stage("push"):
            return _pusher(context, blobs).push_parcel(parcel, references)


def _pusher(context: BuildContext, blobs: Blobs, sources: Mapping[Digest, Reference] | None = None) -> Pusher:
    return Pusher(
        registries=context.registries,
        blobs=blobs,
        store=context.store,
        jobs=context.jobs,
        reporter=context.reporter,
        sources=sources or {},
    )


def pull_file(
    reference: Reference,
    path: Path,
    *,
    platforms: Sequence[Platform],
    folder: bool,
    context: BuildContext,
) -> Pulled:
    """Write what ``reference`` names to ``path``: a file that engines load, or with ``folder`` an OCI image layout.

    A folder gets all ``platforms`` asked for, or else everything, an index as it is; a file the one asked for. Of one
    image Docker's media types become OCI's, and in a file layers in zstd become gzip. Raises UnsupportedImage,
    RegistryError, DigestMismatch, FileProblem.
    """
    if folder and not platforms:
        return _pull_all(reference, path, context)
    store, registries, reporter = context.store, context.registries, context.reporter
    with reporter.stage("pull"):
        wanted = platforms or _platforms(reference, registries)
        images = [fetch_image(reference, platform, registries) for platform in (wanted if folder else wanted[:1])]
        layers = [layer.descriptor for image in images for layer in image.layers]
        received = _fetch(reference, layers, context)
    given = tuple(image.as_oci() for image in images)
    with reporter.stage("write"):
        named = [reference] if reference.tag else []
        if folder:
            written = oci_layout.write_folder(given, path, references=named, blobs=store, reporter=reporter)
        else:
            from oci_builder.imported.repacked import in_gzip

            given = (in_gzip(given[0], store, what=str(reference)),)
            written = docker_archive.write_file(given[0], path, references=named, store=store, reporter=reporter)
    arrived = tuple(Arrived(id=each.id, digest=each.digest, platform=str(each.platform)) for each in given)
    return Pulled(images=arrived, received=received, written=written)


def _fetch(reference: Reference, blobs: Sequence[Descriptor], context: BuildContext) -> int:
    return fetch_blobs(
        reference, blobs, context.registries, store=context.store, jobs=context.jobs, reporter=context.reporter
    )


def _pull_all(reference: Reference, folder: Path, context: BuildContext) -> Pulled:
    """Write all that ``reference`` leads to into a layout."""
    store, registries, reporter = context.store, context.registries, context.reporter
    with reporter.stage("pull"):
        parcel = fetch_parcel(reference, registries)
        received = _fetch(reference, parcel.blobs, context)
        parcel = parcel.in_oci()
    arrived = {each.descriptor.digest: _platform_in(each.config, store) for each in parcel.images}
    images = tuple(
        Arrived(id=each.config.digest, digest=each.descriptor.digest, platform=_text(arrived[each.descriptor.digest]))
        for each in parcel.images
    )
    with reporter.stage("write"):
        written = oci_layout.write_parcel(
            parcel,
            folder,
            oci_layout.LayoutNames([reference] if reference.tag else [], arrived.get(parcel.digest, {})),
            blobs=store,
            reporter=reporter,
        )
    return Pulled(images=images, received=received, written=written)


def _platform_in(config: Descriptor, store: Store) -> JSON:
    """What a configuration in the store says it is for: nothing, where it is no image's."""
    if config.size > MAX_DOCUMENT:
        return {}
    try:
        document = decode(store.read(config.digest, config.size), what=f"configuration {config.digest}")
    except UnsupportedImage:
        return {}
    return {key: document[key] for key in _PLATFORM if isinstance(document.get(key), str) and document[key]}


def _text(platform: JSON) -> str:
    return "/".join(str(platform[key]) for key in ("os", "architecture", "variant") if key in platform) or "no platform"


def push_built(built: Sequence[Built], references: Sequence[Reference], context: BuildContext) -> tuple[Pushed, ...]:
    """Push what was built, the images of several platforms as one index. Raises what ``Pusher.push`` raises."""
    sources = {digest: place for each in built for digest, place in each.sources.items()}
    with context.reporter.stage("push"):
        return _pusher(context, context.store, sources).push([each.image for each in built], references)


def write_folder(
    images: Sequence[ImageDocuments],
    folder: Path,
    *,
    references: Sequence[Reference],
    context: BuildContext,
    verify: bool = False,
) -> int:
    """Write what was built into an OCI image layout; gives the bytes written. Raises what ``oci_layout`` raises.

    With ``verify`` the layout is read again before its index names what is new; that raises CheckFailed.
    """
    from oci_builder.assemble.proof import layout_proof

    with context.reporter.stage("write"):
        return oci_layout.write_folder(
            images,
            folder,
            references=references,
            blobs=context.store,
            reporter=context.reporter,
            proof=layout_proof(folder, context.reporter) if verify else None,
        )


def read_images(path: Path) -> tuple[GivenImage, ...]:
    """The documents of the images in a file or folder, one for each platform that we build for.

    Raises UnsupportedImage, FileProblem.
    """
    try:
        return (_read_image(path, None),)
    except UnsupportedImage as error:
        # Several: then each of the platforms that could be meant.
        found = [image for platform in (AMD64, ARM64) for image in _read_image_for(path, platform)]
        if not found:
            raise error
        return tuple({image.digest: image for image in found}.values())


def _platforms(reference: Reference, registries: Registries) -> tuple[Platform | None, ...]:
    found = fetch_manifest(reference, registries)
    return found.platforms if isinstance(found, Index) and found.platforms else (None,)


def _read_image_for(path: Path, platform: Platform) -> tuple[GivenImage, ...]:
    try:
        return (_read_image(path, platform),)
    except UnsupportedImage:
        return ()


def _read_image(path: Path, platform: Platform | None) -> GivenImage:
    with explained(path), open_parts(path, platform=platform) as parts:
        return _image_in(parts)


def _image_in(parts: ImageParts) -> GivenImage:
    raw = parts.manifest or _written_manifest(parts)
    parsed = parse_manifest(raw, media_type="", what=parts.name)
    if not isinstance(parsed, Manifest):
        raise UnsupportedImage(parts.name, "its manifest is an index")
    return GivenImage(platform=platform_of(parts.config, what=parts.name), parsed=parsed, config=parts.config)


def _written_manifest(parts: ImageParts) -> bytes:
    """The manifest that a docker archive does not have."""
    config = Descriptor(media_type=CONFIG, digest=Digest.of(parts.config), size=len(parts.config))
    layers = [
        Descriptor(media_type=_media_type(layer), digest=digest, size=layer.size)
        for layer, digest in zip(parts.layers, _digests(parts), strict=True)
    ]
    return manifest_of(config, layers)


def _digests(parts: ImageParts) -> list[Digest]:
    """The layers' digests; where nobody says them they are plain tars, and their diff IDs say it."""
    rootfs = decode(parts.config, what=f"configuration of {parts.name}").get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    texts = diff_ids if isinstance(diff_ids, list) and len(diff_ids) == len(parts.layers) else [""] * len(parts.layers)
    return [layer.digest or Digest.parse(str(text)) for layer, text in zip(parts.layers, texts, strict=True)]


def _media_type(layer: LayerBlob) -> str:
    return LAYER_GZIP if layer.open().read(len(_GZIP)) == _GZIP else LAYER_TAR
