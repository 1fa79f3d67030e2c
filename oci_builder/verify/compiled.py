"""Bytecode against the modules it is said to be of: by the hash of the source that each ``.pyc`` file begins with.

A RECORD has no digest of what is compiled when wheels are installed. The header tells for which interpreter and of
which source a file was made (PEP 552); whether the code behind it is that source's, only compiling it again can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from oci_builder.bytecode import MAGIC, magic_of, source_hash
from oci_builder.inspect.contents import FileRecord

_PYC = re.compile(r"(?P<folder>(?:.*/)?)__pycache__/(?P<module>[^/]+)\.(?P<tag>cpython-3\d+)\.pyc\Z")
_HEADER = 16
_UNCHECKED_HASH = (1).to_bytes(4, "little")


@dataclass(slots=True)
class BytecodeWatcher:
    """Watches an image being read, and keeps of modules and bytecode what tells whether they belong together."""

    _headers: dict[str, bytes] = field(default_factory=dict)
    _hashes: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def wants(self, path: str) -> bool:
        """Whether a file's content is to be shown."""
        return path.endswith((".py", ".pyc"))

    def seen(self, path: str, data: bytes) -> None:
        """A file of a layer; a later one of its path takes its place."""
        if path.endswith(".pyc"):
            self._headers[path] = data[:_HEADER]
        else:
            self._hashes[path] = {tag: source_hash(tag, data) for tag in MAGIC}

    def judge(self, tree: Mapping[str, FileRecord], path: str) -> str | None:
        """What is wrong with the bytecode at ``path`` of an image with this ``tree``, if anything is."""
        match = _PYC.match(path)
        if match is None:
            return None
        source = f"{match['folder']}{match['module']}.py"
        if source not in tree:
            return f"/{path} is bytecode of no module"
        header, tag = self._headers.get(path, b""), match["tag"]
        if tag not in MAGIC or source not in self._hashes:
            return None
        if header[:8] != magic_of(tag) + _UNCHECKED_HASH:
            return f"/{path} is not bytecode as ocibuild writes it for {tag}"
        return None if header[8:] == self._hashes[source][tag] else f"/{path} is not the bytecode of /{source}"


def bytecode_files(tree: Mapping[str, FileRecord]) -> Iterator[str]:
    """The paths of what Python takes for bytecode of the modules beside."""
    return (path for path, record in tree.items() if record.kind == "file" and _PYC.match(path))
