"""What holds for every tree: its layer reads back, and its bytes depend on no order."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oci_builder.errors import OcibuildError, PathConflict, UnsafePath
from oci_builder.layer import Layer, write_layer
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, directory, entry_path, file, symlink
from oci_builder.tree.limits import Budget
from oci_builder.tree.placing import place
from oci_builder.tree.tarstream import TarStream
from oci_builder.tree.tree import Tree
from oci_builder.verify.layer_rules import LayerRules

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh.")
)
short = st.sampled_from(["a", "b", "lib", "usr", "tmp"])
paths = st.lists(names | short, min_size=1, max_size=4).map("/".join)
modes = st.integers(0, 0o7777)
owners = st.integers(0, 2**32 - 2)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    """Entries with different paths, in any order; nothing lies below a file."""
    found: list[Entry] = []
    for path in draw(st.lists(paths, max_size=12, unique=True)):
        owner: dict[str, Any] = {"uid": draw(owners), "gid": draw(owners), "origin": "t"}
        kind = draw(st.sampled_from(["file", "directory", "symlink"]))
        if kind == "file":
            found.append(file(path, draw(st.binary(max_size=1500)), mode=draw(modes), **owner))
        elif kind == "directory":
            found.append(directory(path, mode=draw(modes), **owner))
        else:
            found.append(symlink(path, draw(paths), **owner))
    return found


def placed(found: list[Entry]) -> Tree | None:
    try:
        return place(found, Tree())
    except PathConflict:
        return None


def layer_of(tree: Tree, folder: str) -> tuple[Layer, Store, bytes]:
    store = Store(Path(folder))
    layer = write_layer(tree, store, created_by="t", holds=())
    return layer, store, gzip.decompress(store.read(layer.descriptor.digest, layer.descriptor.size))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries())
def test_a_layer_reads_back_as_the_tree_it_was_made_from(found: list[Entry]) -> None:
    tree = placed(found)
    if tree is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        layer, store, plain = layer_of(tree, folder)
        assert hashlib.sha256(plain).hexdigest() == layer.diff_id.hex
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            seen = [(m.name, m.mode, m.uid, m.gid, m.linkname, m.mtime, _content(archive, m)) for m in archive]
        with MappedFiles() as sources:
            expected = [
                (
                    e.path,
                    e.mode,
                    e.uid,
                    e.gid,
                    e.target,
                    e.mtime,
                    sources.read(e.content, what="") if e.content else b"",
                )
                for e in tree
            ]
            assert seen == expected
            # And again through the layer's own index.
            again = [sources.read(e.content, what="") if e.content else b"" for e in layer.tree(store)]
        assert again == [content for *_, content in expected]


@settings(max_examples=40, deadline=None)
@given(entries())
def test_every_placed_tree_keeps_the_rules_of_layers(found: list[Entry]) -> None:
    tree = placed(found)
    if tree is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        _, _, plain = layer_of(tree, folder)
    rules = LayerRules("layer", links=set())
    for member in TarStream(io.BytesIO(plain), what="layer", budget=Budget()).members():
        rules.add(member)
    assert rules.findings == []


@settings(max_examples=40, deadline=None)
@given(entries(), st.randoms(use_true_random=False))
def test_the_bytes_do_not_depend_on_the_order_of_entries(found: list[Entry], source: random.Random) -> None:
    shuffled = list(found)
    source.shuffle(shuffled)
    first, second = placed(found), placed(shuffled)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        with tempfile.TemporaryDirectory() as folder:
            assert layer_of(first, folder)[0] == layer_of(second, folder)[0]


@given(st.text() | paths | st.lists(st.sampled_from(["a", "..", ".", "", "/", ".wh.a", "\0"])).map("/".join))
def test_no_accepted_path_escapes(text: str) -> None:
    try:
        path = entry_path(text)
    except UnsafePath:
        return
    parts = path.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert not any(part.startswith(".wh.") for part in parts)
    assert Path("/root", path).resolve().is_relative_to("/root") and "\0" not in path


@given(st.dictionaries(paths, paths | st.just("..") | paths.map("/{}".format), max_size=8), paths)
def test_no_resolved_path_escapes(links: dict[str, str], path: str) -> None:
    tree = Tree(symlink(name, target, origin="t") for name, target in links.items())
    for resolve in (tree.resolve, tree.place):
        try:
            found = resolve(path)
        except OcibuildError:
            continue
        assert found == "" or entry_path(found) == found


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member) if member.isfile() else None
    return stream.read() if stream else b""
