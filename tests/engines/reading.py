"""What we make of an image archive, in the words of the table."""

from __future__ import annotations

import tempfile
from pathlib import Path

from oci_builder.errors import OcibuildError
from oci_builder.imported.opening import open_file
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind
from tests.engines.asking import Answer, entry, is_made, shown

_WORDS = {Kind.FILE: "file", Kind.DIRECTORY: "folder", Kind.SYMLINK: "link"}


def ours(archive: Path) -> Answer:
    """The tree that a build on the archive starts from, every content read; or why it is refused."""
    with tempfile.TemporaryDirectory() as cache, MappedFiles() as sources:
        store = Store(Path(cache))
        try:
            image = open_file(archive, AMD64, store=store, reporter=Quiet())
        except OcibuildError as error:
            return Answer(None, str(error))
        return Answer({shown(each.path): _line(each, sources) for each in image.tree if not is_made(each.path)})


def _line(each: Entry, sources: MappedFiles) -> str:
    content = each.content
    data = sources.read(content, what=each.path) if content is not None else b""
    return entry(_WORDS[each.kind], each.mode, each.uid, each.gid, content=data, target=each.target)
