"""Who makes the bytecode for a base: its own interpreter if it may run here, else one that compiles like it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from oci_builder.bases.base import Base
from oci_builder.bases.host import find_interpreter
from oci_builder.bases.layers import open_layers, own_interpreter
from oci_builder.debian.opening import Supply, host_platform
from oci_builder.errors import OcibuildError
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.wheels.layers import CompilerProcess
from oci_builder.wheels.target import Target


@dataclass(frozen=True, kw_only=True)
class Compiling:
    """An interpreter that compiles: ``name`` tells it from those that compile differently, ``start`` lends it."""

    name: str
    start: Callable[[], AbstractContextManager[CompilerProcess]]


def compiling(
    base: Base,
    *,
    environ: Mapping[str, str],
    layers: Callable[[str], Path | None],
    supply: Supply,
    store: Store,
    reporter: Reporter,
) -> Compiling | None:
    """Who compiles for ``base``; None, after saying so, where nobody does.

    A base of ``layers/`` is trusted to run here. One made elsewhere is not: a Python of exactly its version that this
    machine has compiles for it, else the base of ``layers/`` with the same minor version, which ``layers`` finds.
    """
    if base.folder is not None:
        return _own(base, supply, store, reporter)
    version = base.target.promise.version
    host = find_interpreter(version, environ)
    if host is not None:
        return Compiling(name=f"CPython {version}", start=lambda: contextlib.nullcontext(host))
    name = near_layer(base.target)
    near = _near(layers(name), supply, store, reporter)
    if near is None:
        reporter.note(
            f"{base.name}: no Python {version} on this machine and no {name} in layers/, so its wheels come "
            "without bytecode and start slower; put that Python on PATH"
        )
        return None
    other = near.target.promise.version
    reporter.note(f"{base.name}: no Python {version} on this machine; {near.name}'s {other} compiles for it")
    return _own(near, supply, store, reporter)


def near_layer(target: Target) -> str:
    """The name of the base of ``layers/`` that has a Python of the same minor version, if there is one."""
    return f"python-{target.minor[0]}.{target.minor[1]}"


def _own(base: Base, supply: Supply, store: Store, reporter: Reporter) -> Compiling:
    # Who compiles is no part of the image: a lock does not bind it.
    free = replace(supply, locked=False)
    start = partial(own_interpreter, base, store=store, supply=free, reporter=reporter)
    return Compiling(name=base.python, start=start)


def _near(folder: Path | None, supply: Supply, store: Store, reporter: Reporter) -> Base | None:
    if folder is None:
        return None
    try:
        free = replace(supply, locked=False)
        return open_layers(folder, host_platform(), store=store, supply=free, reporter=reporter)
    except OcibuildError:
        return None  # it would have been a help, and is no part of the image
