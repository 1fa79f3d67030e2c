"""The symbols of an image's libraries, each file read once."""

from __future__ import annotations

from oci_builder.errors import DamagedElf
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.elfsymbols import ElfSymbols, parse_symbols
from oci_builder.tree.entry import Checked, FileSlice, known_sha256
from oci_builder.tree.tree import Tree


class Symbols:
    """What files of images offer and ask for."""

    def __init__(self, sources: MappedFiles) -> None:
        self._sources = sources
        self._known: dict[str, ElfSymbols] = {}

    def of(self, tree: Tree, path: str) -> ElfSymbols:
        """The symbols of the file at ``path``; none of one that does not read. Raises DigestMismatch."""
        entry = tree.get(path)
        if entry is None or entry.content is None:
            return ElfSymbols()
        key = known_sha256(entry) or path
        if key not in self._known:
            content = entry.content.slice if isinstance(entry.content, Checked) else entry.content
            try:
                # Its layer was held to its digest when it was read; of a large library little is looked at.
                if isinstance(content, FileSlice):
                    data = self._sources.slice(content.file, content.offset, content.size)
                    self._known[key] = parse_symbols(data, what=path)
                else:
                    self._known[key] = parse_symbols(self._sources.whole(content, what=path), what=path)
            except DamagedElf:
                self._known[key] = ElfSymbols()
        return self._known[key]
