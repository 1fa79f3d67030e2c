"""Bases made elsewhere: of a registry, of a file or folder of this machine, or nothing at all.

They are read, and nothing of them is run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from oci_builder.bases.base import Base
from oci_builder.digest import Digest
from oci_builder.errors import CorruptBlob, InvalidValue, NoPython, NotFound, UnsupportedImage
from oci_builder.foreign.installed import find_installed, removal
from oci_builder.foreign.layers import remembered
from oci_builder.foreign.opening import ForeignImage, describe, open_file, open_image
from oci_builder.foreign.parts import ImageParts, LayerBlob
from oci_builder.foreign.python import Python, find_python
from oci_builder.layer import Layer
from oci_builder.listener import Listener
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.inherited import Inherited
from oci_builder.oci.manifest import Manifest, parse_manifest
from oci_builder.oci.mediatypes import DOCKER_LAYER, LAYER_GZIP, LAYER_TAR
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.registry.access import Registries
from oci_builder.registry.pulling import PulledImage, fetch_blobs, fetch_image
from oci_builder.store import Store
from oci_builder.tree.tree import Tree
from oci_builder.wheels.target import Promise

_READABLE = (LAYER_GZIP, LAYER_TAR, DOCKER_LAYER)


_PULLED = "pulled"


class _Named(msgspec.Struct, frozen=True):
    media_type: str
    manifest: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Pulling:
    """How an image comes from a registry: so many blobs at once.

    ``lazily`` leaves layers whose content is known where they are: for whoever pushes and writes no file.
    """

    registries: Registries
    jobs: int = 1
    lazily: bool = False


def open_nothing(platform: Platform) -> Base:
    """The base that ``scratch`` means: no layers."""
    return Base(name="scratch", layers=(), tree=Tree(), platform=platform, promise=None, missing="it is empty")


def open_path(path: Path, platform: Platform, *, store: Store, listener: Listener) -> Base:
    """The image in an archive or an OCI layout folder, as a base; its layers are in the store afterwards.

    Raises NotFound, UnsupportedImage, DigestMismatch, FileProblem.
    """
    if not path.exists():
        raise NotFound("base image", path.name, searched=(str(path.parent),))
    image = open_file(path, platform, store=store, listener=listener)
    # The file's name alone: where it lies is this machine's affair.
    return _base(replace(image, name=path.name), platform)


def open_reference(
    reference: Reference, platform: Platform, *, pulling: Pulling, store: Store, listener: Listener
) -> Base:
    """The image that a registry has under ``reference``, as a base; its layers are in the store afterwards.

    Raises RegistryError, UnsupportedImage, DigestMismatch, FileProblem.
    """
    pulled = _pulled(reference, platform, pulling.registries, store)
    name = str(pulled.reference)
    descriptors = [layer.descriptor for layer in pulled.layers]
    for descriptor in descriptors:
        _check_readable(descriptor, name)
    known = _known(pulled, platform, store) if pulling.lazily else {}
    wanted = [descriptor for number, descriptor in enumerate(descriptors, 1) if number not in known]
    fetch_blobs(pulled.reference, wanted, pulling.registries, store=store, jobs=pulling.jobs, listener=listener)
    with _blobs(descriptors, store) as blobs:
        parts = ImageParts(name=name, config=pulled.config, manifest=pulled.manifest, layers=blobs)
        image = open_image(parts, platform, known=known, store=store, listener=listener)
    return replace(_base(image, platform), reference=pulled.reference)


def _known(pulled: PulledImage, platform: Platform, store: Store) -> dict[int, Layer]:
    """The layers that were read before, by number. What came plain is not among them: it is packed here."""
    named = describe(pulled.config, platform, layers=len(pulled.layers), what=str(pulled.reference)).layers
    found = {}
    for layer, name in zip(pulled.layers, named, strict=True):
        if layer.descriptor.media_type != LAYER_TAR:
            descriptor = replace(layer.descriptor, media_type=LAYER_GZIP, annotations={})
            found[name.number] = remembered(descriptor, name, store)
    return {number: layer for number, layer in found.items() if layer is not None}


def without_replaced(base: Base, names: Sequence[str], store: Store) -> Base:
    """``base`` without the distributions ``names`` (normalised), which wheels are about to bring.

    What pip would uninstall is deleted by a layer more. A base of ``layers/`` has none.
    """
    if base.promise is None or base.inherited is None:
        return base
    installed = find_installed(base.tree, base.promise.purelib)
    gone = {name: installed[name] for name in names if name in installed}
    made = removal(base.tree, gone, prefix=base.promise.prefix, store=store)
    if made is None:
        return base
    layer, tree = made
    return replace(base, layers=(*base.layers, layer), tree=tree)


def _pulled(reference: Reference, platform: Platform, registries: Registries, store: Store) -> PulledImage:
    """Manifest and configuration; what a digest names is asked for once."""
    if reference.digest is None:
        return _kept(fetch_image(reference, platform, registries), store)
    key = Digest.of(f"{reference.digest} {platform}".encode()).hex
    found = _remembered(key, reference, platform, store)
    if found is None:
        found = _kept(fetch_image(reference, platform, registries), store)
        named = {"media_type": found.descriptor.media_type, "manifest": str(found.digest), "size": len(found.manifest)}
        store.put_record(_PULLED, key, msgspec.json.encode(named))
    return found


def _kept(image: PulledImage, store: Store) -> PulledImage:
    store.put_bytes(image.manifest)
    store.put_bytes(image.config)
    return image


def _remembered(key: str, reference: Reference, platform: Platform, store: Store) -> PulledImage | None:
    try:
        named = msgspec.json.decode(store.record(_PULLED, key) or b"", type=_Named)
        digest = Digest.parse(named.manifest)
        raw = store.read(digest, named.size)
        parsed = parse_manifest(raw, media_type=named.media_type, what=str(reference))
        assert isinstance(parsed, Manifest), "no index is kept"
        config = store.read(parsed.config.digest, parsed.config.size)
    except (msgspec.MsgspecError, InvalidValue, CorruptBlob):
        return None
    exact = replace(reference, digest=digest)
    return PulledImage(reference=exact, platform=platform, parsed=parsed, config=config)


def _check_readable(descriptor: Descriptor, name: str) -> None:
    if descriptor.media_type in _READABLE:
        return
    hint = None
    if descriptor.media_type.endswith("zstd"):
        hint = "push it with gzip layers: skopeo copy --dest-compress-format gzip"
    raise UnsupportedImage(name, f"one of its layers is a {descriptor.media_type}", hint=hint)


@contextlib.contextmanager
def _blobs(descriptors: Sequence[Descriptor], store: Store) -> Iterator[tuple[LayerBlob, ...]]:
    """Layers of the store, opened by whoever reads them and closed here."""
    with contextlib.ExitStack() as stack:

        def opened(digest: Digest) -> BinaryIO:
            return stack.enter_context(store.path(digest).open("rb"))

        yield tuple(LayerBlob(each.digest, each.size, partial(opened, each.digest)) for each in descriptors)


def _base(image: ForeignImage, platform: Platform) -> Base:
    promise, missing = None, ""
    inherited: Inherited = image.inherited
    try:
        promise = _promise(find_python(image.tree, inherited.run.env, machine=platform.machine, what=image.name))
    except NoPython as error:
        missing = error.why
    return Base(
        name=image.name,
        layers=image.layers,
        tree=image.tree,
        platform=platform,
        promise=promise,
        missing=missing,
        created=inherited.created,
        digest=image.digest,
        env=inherited.run.env,
        inherited=inherited,
    )


def _promise(python: Python) -> Promise:
    version = python.libc.version
    return Promise(
        version=python.version,
        interpreter=python.interpreter,
        prefix=python.prefix,
        purelib=python.purelib,
        scripts=python.scripts,
        glibc=version if python.libc.kind == "glibc" else (0, 0),
        musl=version if python.libc.kind == "musl" else (0, 0),
    )
