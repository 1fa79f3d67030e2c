"""Bases made elsewhere, in a file or folder of this machine, or nothing at all. Read, and nothing of them is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from oci_builder import inputs
from oci_builder.bases.base import Base
from oci_builder.errors import NoPython, NotFound
from oci_builder.imported.installed import find_installed, removal
from oci_builder.imported.opening import ForeignImage, open_file
from oci_builder.imported.python import Python, find_python
from oci_builder.oci.inherited import Inherited
from oci_builder.platforms import Platform
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.tree.tree import Tree
from oci_builder.wheels.target import PythonEnvironment


def open_nothing(platform: Platform) -> Base:
    """The base that ``scratch`` means: no layers."""
    return Base(name="scratch", layers=(), tree=Tree(), platform=platform, promise=None, missing="it is empty")


def open_path(path: Path, platform: Platform, *, store: Store, reporter: Reporter) -> Base:
    """The image in an archive or an OCI layout folder, as a base; its layers are in the store afterwards.

    Raises NotFound, UnsupportedImage, DigestMismatch, FileProblem.
    """
    if not inputs.exists(path):
        raise NotFound("base image", path.name, searched=(str(path.parent),))
    image = open_file(path, platform, store=store, reporter=reporter)
    # The file's name alone: where it lies is this machine's affair.
    return as_base(replace(image, name=path.name), platform)


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


def as_base(image: ForeignImage, platform: Platform) -> Base:
    """An image as a base: what it promises of its Python, or why it promises nothing."""
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


def _promise(python: Python) -> PythonEnvironment:
    version = python.libc.version
    return PythonEnvironment(
        version=python.version,
        interpreter=python.interpreter,
        prefix=python.prefix,
        purelib=python.purelib,
        scripts=python.scripts,
        glibc=version if python.libc.kind == "glibc" else (0, 0),
        musl=version if python.libc.kind == "musl" else (0, 0),
    )
