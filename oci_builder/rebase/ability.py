"""What an image can do upon one of its bases: its ELF files, its modules, its distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from oci_builder.gate.facts import Distribution, ElfFile, Facts, layer_facts
from oci_builder.gate.gate import elf_files, installed
from oci_builder.gate.modules import Modules
from oci_builder.rebase.sides import Side
from oci_builder.store import Store


@dataclass(frozen=True)
class Ability:
    """One side, looked into. Raises DigestMismatch for a damaged layer in the store."""

    side: Side
    store: Store

    @cached_property
    def files(self) -> Mapping[str, ElfFile]:
        """The ELF files by path."""
        return elf_files(self._facts, self.side.tree)

    @cached_property
    def modules(self) -> Modules | None:
        """What its Python can import; None where it has no Python."""
        image = self.side.image
        return Modules(self.side.tree, image.target) if image.promise is not None else None

    @cached_property
    def distributions(self) -> Sequence[Distribution]:
        """The Python distributions, each by its name and version, whoever brought it."""
        there = installed(self._facts, self.side.tree, self.modules)
        return [msgspec.structs.replace(each, origin=f"{each.key} {each.version}") for each in there]

    @cached_property
    def _facts(self) -> Sequence[Facts]:
        return [layer_facts(layer, self.store) for layer in self.side.image.layers]
