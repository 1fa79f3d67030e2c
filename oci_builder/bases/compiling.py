"""Who makes the bytecode for a base: its own interpreter if it may run here, else one that compiles like it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from oci_builder.bases.base import Base
from oci_builder.bases.host import find_interpreter
from oci_builder.bases.layers import open_layers, own_interpreter, why_not_own
from oci_builder.debian.interpreter import spool
from oci_builder.debian.running import HostPython, compiled_instead, host_platform
from oci_builder.debian.supply import Supply
from oci_builder.errors import OcibuildError, ToolFailed
from oci_builder.layer import LayerKey, find
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.wheels.layers import CompilerProcess
from oci_builder.wheels.steps import CompilerRef
from oci_builder.wheels.target import Target

Wish: TypeAlias = Literal["auto", "base"]
"""Who is to compile, by a recipe's ``[python] compiler``."""


@dataclass(frozen=True, kw_only=True)
class Compiling:
    """An interpreter that compiles, and what lends it here."""

    ref: CompilerRef
    start: Callable[[], AbstractContextManager[CompilerProcess]]


def compiling(
    base: Base,
    *,
    wish: Wish = "auto",
    layers: Callable[[str], Path | None],
    supply: Supply,
    store: Store,
    reporter: Reporter,
) -> Compiling | None:
    """Who compiles for ``base``; None, after saying so, where nobody does.

    A base of ``layers/`` is trusted to run here; where it does not start, this machine's Python of its minor version
    compiles for it. One made elsewhere is not trusted: a Python of exactly its version that this machine has compiles
    for it, else its own where the recipe's ``wish`` is "base", else the base of ``layers/`` with the same minor
    version, which ``layers`` finds.
    """
    if base.folder is not None:
        return _trusted(base, supply, store, reporter)
    version = base.target.promise.version
    host = supply.host_python(version)
    if host is not None and host.version == version:
        return _by_host(host)
    if wish == "base" and (own := _by_image(base, store, reporter)) is not None:
        return own
    name = near_layer(base.target)
    near = _near(layers(name), supply, store, reporter)
    if near is None:
        reporter.note(_no_bytecode(base, name, offered=wish != "base"))
        return None
    other = near.target.promise.version
    reporter.note(f"{base.name}: no Python {version} on this machine; {near.name}'s {other} compiles for it")
    return _trusted(near, supply, store, reporter)


def _no_bytecode(base: Base, name: str, *, offered: bool) -> str:
    """The line that says that nobody compiles for ``base``, and what would; ``name`` would be near in ``layers/``."""
    version = base.target.promise.version
    said = (
        f"{base.name}: no bytecode: no Python {version} on this machine and no {name} in layers/, so programs start "
        "slower; put that Python on PATH"
    )
    if not offered or base.platform != host_platform():
        return said
    return f'{said}, or `[python] compiler = "base"` lets the image\'s own Python compile'


def near_layer(target: Target) -> str:
    """The name of the base of ``layers/`` that has a Python of the same minor version, if there is one."""
    return f"python-{target.minor[0]}.{target.minor[1]}"


def _trusted(base: Base, supply: Supply, store: Store, reporter: Reporter) -> Compiling | None:
    why = why_not_own(base, store)
    if not why:
        return _own(base, supply, store, reporter)
    version = base.target.promise.version
    host = supply.host_python(version)
    reporter.note(compiled_instead(base.name, why, host, version))
    return _by_host(host) if host is not None else None


def _by_host(host: HostPython) -> Compiling:
    ref = CompilerRef(name=host.name, version=host.version)
    return Compiling(ref=ref, start=lambda: contextlib.nullcontext(host.interpreter))


def _by_image(base: Base, store: Store, reporter: Reporter) -> Compiling | None:
    # Loaded only where a recipe asks for it.
    from oci_builder.bases.image_python import image_python, why_not_image_python

    version, why = base.target.promise.version, why_not_image_python(base, store)
    if why:
        reporter.note(f"{base.name}: its own Python does not compile here: {why}")
        return None
    reporter.note(f"{base.name}: no Python {version} on this machine; the image's own compiles")
    # Nobody vouches for what it gives: that never stands in for what a Python of this machine would.
    ref = CompilerRef(name=f"CPython {version} of {base.digest}", version=version)
    return Compiling(ref=ref, start=lambda: image_python(base, store))


def _own(base: Base, supply: Supply, store: Store, reporter: Reporter) -> Compiling:
    # Who compiles is no part of the image: a lock does not bind it.
    free = replace(supply, locked=False)
    start = partial(own_interpreter, base, store=store, supply=free, reporter=reporter)
    # One of another platform has a layer that cannot run here.
    layer = base.key.hex if base.key is not None and base.platform == host_platform() else ""
    return Compiling(ref=CompilerRef(name=base.python, version=base.target.promise.version, layer=layer), start=start)


@contextlib.contextmanager
def lend_compiler(ref: CompilerRef, store: Store, environ: Mapping[str, str]) -> Iterator[CompilerProcess]:
    """The interpreter that ``ref`` means: that of a base's layer in ``store``, or one of this machine.

    Raises ToolFailed where neither is here.
    """
    layer = find(LayerKey(ref.layer), store) if ref.layer else None
    host = find_interpreter(ref.version, environ) if layer is None and ref.name == f"CPython {ref.version}" else None
    if host is not None:
        yield host
        return
    if layer is None:
        raise ToolFailed(f"Python {ref.version}", "nothing here has it, and bytecode is to be made with it")
    minor, platform = ref.version.rpartition(".")[0], host_platform()
    if platform is None:
        raise ToolFailed(f"Python {ref.version}", "no base's Python starts on this machine")
    with store.scratch() as folder, MappedFiles() as sources:
        yield spool(layer.tree(store), folder, minor=minor, machine=platform.machine, sources=sources)


def _near(folder: Path | None, supply: Supply, store: Store, reporter: Reporter) -> Base | None:
    host = host_platform()
    if folder is None or host is None:
        return None
    try:
        free = replace(supply, locked=False)
        return open_layers(folder, host, store=store, supply=free, reporter=reporter)
    except OcibuildError:
        return None  # it would have been a help, and is no part of the image
