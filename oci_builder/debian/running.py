"""Whether a base's own Python starts on this machine, and which of the machine's compiles in its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from oci_builder import machine
from oci_builder.bytecode import why_not_started
from oci_builder.debian.interpreter import Interpreter, write_loader
from oci_builder.errors import InvalidValue
from oci_builder.files import fill
from oci_builder.platforms import Platform
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.tree import Tree


@dataclass(frozen=True, kw_only=True)
class HostPython:
    """A CPython of this machine, and its ``version`` to the last figure: bytecode depends on it."""

    version: str
    interpreter: Interpreter

    @property
    def name(self) -> str:
        """What keys call it, as one that compiles."""
        return f"CPython {self.version}"


FindPython: TypeAlias = Callable[[str], HostPython | None]
"""Finds the machine's CPython that is nearest to a version: that very one, or one of the same minor version."""


def no_python(version: str) -> HostPython | None:
    """Find no interpreter, on whatever machine this is."""
    return None


def host_platform() -> Platform | None:
    """The platform whose programs this machine starts; None where no base's do: off Linux, and on other CPUs."""
    cpu = machine.linux_cpu()
    try:
        return Platform.parse(cpu) if cpu else None
    except InvalidValue:
        return None


def obstacle(tree: Tree | None, store: Store) -> str:
    """Why the Python of ``tree``, a base of this machine's platform, does not start here, in words; empty if it does.

    It is tried: its loader is started, from where all of it would be. Without a tree what the folder says has to do.
    Raises FileProblem.
    """
    host = host_platform()
    if host is None:
        return "no base's does on this machine"
    with store.scratch() as folder, MappedFiles() as sources:
        if tree is not None:
            return why_not_started(write_loader(tree, folder, machine=host.machine, sources=sources))
        trial = folder / "trial"
        fill(trial, b"")
        machine.give_mode(trial, 0o755)
        # Of a file on a disk that starts no programs (noexec) the kernel says so.
        return "" if machine.may(trial, os.X_OK) else "permission denied"


def compiled_instead(name: str, why: str, host: HostPython | None, version: str) -> str:
    """The line that says who compiles in the place of the Python of the base ``name``."""
    minor = version.rpartition(".")[0]
    if host is not None:
        return f"{name}: its own Python does not start here ({why}); this machine's {host.name} compiles for it"
    return (
        f"{name}: its own Python does not start here ({why}), nor is there a CPython {minor} on PATH, "
        "so the image comes without bytecode and starts slower"
    )
