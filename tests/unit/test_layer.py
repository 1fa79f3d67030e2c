from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import tarfile
import zipfile
import zlib
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch
from oci_builder.layer import RECORDS, Layer, LayerKey, find, keep, write_layer
from oci_builder.store import Store
from oci_builder.tree.content import LARGE, MappedFiles
from oci_builder.tree.entry import DeflateSlice, Entry, Kind, directory, entry_path, file, symlink
from oci_builder.tree.tree import Tree
from tests.support.images import base_tree, random_entries
from tests.support.readers import read_back

KEY = LayerKey.of(inputs=["a"])


def layer_of(store: Store, *entries: Entry) -> Layer:
    layer = dataclasses.replace(write_layer(Tree(entries), store, created_by="a test", holds=("x 1",)), comment="why")
    read_back(layer, store)
    return layer


def packed(layer: Layer, store: Store) -> bytes:
    return store.read(layer.descriptor.digest, layer.descriptor.size)


def unpacked(layer: Layer, store: Store) -> bytes:
    return gzip.decompress(packed(layer, store))


def zipped(folder: Path, data: bytes, method: int = zipfile.ZIP_DEFLATED) -> DeflateSlice:
    """``data`` as a member of a zip file, and where its deflate stream lies."""
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("member", data)
        info = archive.getinfo("member")
    offset = 30 + len("member")
    return DeflateSlice(path, offset, info.compress_size, info.file_size, info.CRC)


def _without_content(entry: Entry) -> Entry:
    return replace(entry, content=None, sha256="")


def zip_entry(content: DeflateSlice) -> Entry:
    return Entry(path=entry_path("f"), kind=Kind.FILE, mode=0o644, size=content.size, content=content, origin="x 1")


def test_the_layer_is_the_tree_as_tar_reads_it(store: Store) -> None:
    entries = [directory("d", origin="t"), file("d/f", b"content", mode=0o755, uid=7, gid=8, origin="t")]
    layer = layer_of(store, *entries, symlink("d/l", "f", origin="t"))
    with tarfile.open(fileobj=io.BytesIO(unpacked(layer, store))) as archive:
        members = archive.getmembers()
        content = archive.extractfile("d/f")
        assert content is not None and content.read() == b"content"
    seen = [(m.name, m.type, m.mode, m.uid, m.gid, m.size, m.linkname, m.uname) for m in members]
    assert seen == [
        ("d", tarfile.DIRTYPE, 0o755, 0, 0, 0, "", ""),
        ("d/f", tarfile.REGTYPE, 0o755, 7, 8, 7, "", ""),
        ("d/l", tarfile.SYMTYPE, 0o777, 0, 0, 0, "f", ""),
    ]


def test_the_digests_and_sizes_are_those_of_the_bytes(store: Store) -> None:
    layer = layer_of(store, *base_tree("n"))
    plain = unpacked(layer, store)
    assert layer.diff_id == Digest.of(plain)
    assert layer.unpacked == len(plain)
    assert layer.descriptor.digest == Digest.of(packed(layer, store))


def test_any_file_reads_back_alone_from_its_offset(store: Store) -> None:
    entries = random_entries("nonce", size=3_000_000)
    layer = layer_of(store, *entries)
    blob = packed(layer, store)
    for item in layer.entries:
        if item.kind == Kind.FILE.value and item.size:
            data = zlib.decompressobj(31).decompress(blob[item.offset :])
            assert (len(data), hashlib.sha256(data).hexdigest()) == (item.size, item.sha256), item.path


def test_the_tree_of_a_layer_is_the_tree_it_was_made_from(store: Store) -> None:
    tree = Tree([*random_entries("nonce"), *base_tree("n")])
    layer = write_layer(tree, store, created_by="t", holds=())
    again = layer.tree(store)
    assert [_without_content(entry) for entry in again] == [_without_content(entry) for entry in tree]
    with MappedFiles() as sources:
        for entry in again:
            if entry.content is not None:
                data = sources.read(entry.content, what=entry.path)
                assert hashlib.sha256(data).hexdigest() == entry.sha256


def test_a_layer_made_from_a_layer_is_the_same_layer(store: Store) -> None:
    layer = layer_of(store, *base_tree("n"), *random_entries("nonce"))
    again = write_layer(layer.tree(store), store, created_by="t", holds=())
    assert again.diff_id == layer.diff_id
    assert again.descriptor == layer.descriptor


def test_content_larger_than_memory_likes_is_split_and_read_back_whole(store: Store) -> None:
    data = bytes(range(256)) * (LARGE // 256 * 2) + b"end"
    layer = layer_of(store, file("big", data, origin="t"), file("small", b"x", origin="t"))
    assert layer.diff_id == Digest.of(unpacked(layer, store))
    tree = layer.tree(store)
    with MappedFiles() as sources:
        for path, expected in (("big", data), ("small", b"x")):
            entry = tree.get(path)
            assert entry is not None and entry.content is not None
            assert sources.read(entry.content, what=path) == expected


def test_a_deflate_stream_is_copied_and_not_packed_again(store: Store, tmp_path: Path) -> None:
    data = b"some text\n" * 1000
    content = zipped(tmp_path, data)
    layer = layer_of(store, zip_entry(content))
    stream = content.file.read_bytes()[content.offset : content.offset + content.length]
    assert stream in packed(layer, store)
    with tarfile.open(fileobj=io.BytesIO(unpacked(layer, store))) as archive:
        member = archive.extractfile("f")
        assert member is not None and member.read() == data
    assert layer.entries[0].sha256 == hashlib.sha256(data).hexdigest()


def test_a_large_deflate_stream_is_copied_too(store: Store, tmp_path: Path) -> None:
    data = bytes(LARGE) + b"end"
    layer = layer_of(store, zip_entry(zipped(tmp_path, data)))
    assert layer.entries[0].sha256 == hashlib.sha256(data).hexdigest()
    assert layer.diff_id == Digest.of(unpacked(layer, store))


@pytest.mark.parametrize("size", [1000, LARGE + 5])
@pytest.mark.parametrize("wrong", ["crc", "size+", "size-", "promise", "bytes"])
def test_a_stream_that_is_not_what_was_promised_makes_no_layer(
    store: Store, tmp_path: Path, wrong: str, size: int
) -> None:
    content = zipped(tmp_path, bytes(range(250)) * (size // 250))
    if wrong == "bytes":
        data = bytearray(content.file.read_bytes())
        data[content.offset + content.length // 2] ^= 0xFF
        content.file.write_bytes(data)
    changed = {
        "crc": replace(content, crc=content.crc ^ 1),
        "size+": replace(content, size=content.size + 1),
        "size-": replace(content, size=content.size - 1),
        "promise": replace(content, expected=("sha256", bytes(32))),
        "bytes": content,
    }[wrong]
    with pytest.raises(DigestMismatch, match="x 1: f"):
        layer_of(store, zip_entry(changed))
    assert list(store.path(Digest.of(b"")).parent.iterdir()) == []


def test_a_content_of_another_length_than_its_entry_makes_no_layer(store: Store) -> None:
    wrong = replace(file("f", b"four", origin="t"), size=5)
    with pytest.raises(DigestMismatch, match="t: f: expected 5 bytes, got 4"):
        layer_of(store, wrong)


def test_a_kept_layer_is_found_by_its_key(store: Store) -> None:
    layer = layer_of(store, *base_tree("n"))
    assert find(KEY, store) is None
    keep(layer, KEY, store)
    assert find(KEY, store) == layer
    assert find(LayerKey.of(inputs=["b"]), store) is None


def test_a_layer_whose_blob_is_gone_is_not_found(store: Store) -> None:
    layer = layer_of(store, *base_tree("n"))
    keep(layer, KEY, store)
    store.drop(layer.descriptor.digest)
    assert find(KEY, store) is None


@pytest.mark.parametrize("record", [b"", b"{}", b"null", b"\xff", b'{"digest": 1}'])
def test_a_record_that_does_not_read_is_forgotten(store: Store, record: bytes) -> None:
    store.put_record(RECORDS, KEY.hex, record)
    assert find(KEY, store) is None
    assert store.record(RECORDS, KEY.hex) is None


def test_a_record_with_a_bad_digest_is_forgotten(store: Store) -> None:
    keep(layer_of(store, *base_tree("n")), KEY, store)
    data = store.record(RECORDS, KEY.hex)
    assert data is not None
    store.put_record(RECORDS, KEY.hex, msgspec.json.encode(msgspec.json.decode(data) | {"digest": "sha256:12"}))
    assert find(KEY, store) is None
    assert store.record(RECORDS, KEY.hex) is None


def test_a_key_depends_on_every_input_and_on_no_order() -> None:
    assert LayerKey.of(a=1, b=[2]) == LayerKey.of(b=[2], a=1)
    assert len({LayerKey.of(a=1), LayerKey.of(a=2), LayerKey.of(b=1), LayerKey.of(a=[1])}) == 4


def test_a_blob_damaged_in_the_store_is_noticed_when_a_file_of_it_is_read(store: Store) -> None:
    layer = layer_of(store, file("f", b"content" * 100, origin="t"))
    path = store.path(layer.descriptor.digest)
    data = bytearray(path.read_bytes())
    data[layer.entries[0].offset + 14] ^= 0xFF
    path.write_bytes(data)
    entry = layer.tree(store).get("f")
    assert entry is not None and entry.content is not None
    with MappedFiles() as sources, pytest.raises(DigestMismatch, match="f"):
        sources.read(entry.content, what="f")
