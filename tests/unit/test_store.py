from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import CorruptBlob, DigestMismatch, FileProblem
from oci_builder.store import Store, atomic, spooled

HELLO = Digest.of(b"hello")


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_bytes_are_found_again_by_their_digest(store: Store) -> None:
    assert store.put_bytes(b"hello") == HELLO == store.put_bytes(b"hello")
    assert store.read(HELLO, 5) == b"hello"
    assert store.has(HELLO) and store.has(HELLO, 5)
    assert not store.has(HELLO, 6) and not store.has(Digest.of(b""))
    assert files_below(store.root) == {f"v1/blobs/sha256/{HELLO.hex}"}


def test_two_stores_on_one_folder_see_the_same(store: Store) -> None:
    store.put_bytes(b"hello")
    assert Store(store.root).read(HELLO, 5) == b"hello"


@pytest.mark.parametrize("damage", [b"hallo", b"hell", b"hello!"])
def test_a_damaged_blob_is_noticed_and_dropped(store: Store, damage: bytes) -> None:
    store.put_bytes(b"hello")
    store.path(HELLO).write_bytes(damage)
    with pytest.raises(CorruptBlob, match=f"cached blob {HELLO}"):
        store.read(HELLO, 5)
    assert not store.has(HELLO)


def test_what_is_damaged_among_the_blobs_asked_for_is_found_and_dropped(store: Store) -> None:
    other = store.put_bytes(b"other")
    for digest in (HELLO, other, Digest.of(b"never here")):
        store.has(digest)
    store.put_bytes(b"hello")
    assert store.drop_damaged() == ()
    store.path(HELLO).write_bytes(b"hallo")
    assert store.drop_damaged() == (HELLO,)
    assert not store.has(HELLO) and store.has(other)


def test_trouble_with_a_spooled_file_is_told_apart_from_that_of_its_writer(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="nowhere"), spooled(tmp_path / "nowhere" / "x"):
        pass
    with pytest.raises(OSError, match="the writer's"), spooled(tmp_path / "x"):
        raise OSError("the writer's")


def test_a_missing_blob_is_a_corrupt_one(store: Store) -> None:
    with pytest.raises(CorruptBlob, match="expected a file, got none"):
        store.read(HELLO, 5)


def test_nothing_is_kept_of_a_write_that_failed(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.writer() as sink:
        sink.write(b"hello")
        raise ZeroDivisionError
    assert files_below(store.root) == set()


def test_a_file_is_copied_only_if_it_is_the_named_one(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"hello")
    store.put_file(source, digest=HELLO, size=5, what="a wheel")
    assert store.has(HELLO, 5)
    with pytest.raises(DigestMismatch, match="a wheel"):
        store.put_file(source, digest=Digest.of(b"other"), size=5, what="a wheel")
    with pytest.raises(FileProblem, match="no such file"):
        store.put_file(tmp_path / "none", digest=HELLO, size=5, what="a wheel")
    assert files_below(store.root) == {f"v1/blobs/sha256/{HELLO.hex}"}


def test_a_record_is_replaced_and_forgotten(store: Store) -> None:
    assert store.record("layer", "key") is None
    store.put_record("layer", "key", b"1")
    store.put_record("layer", "key", b"2")
    assert store.record("layer", "key") == b"2"
    store.drop_record("layer", "key")
    store.drop_record("layer", "key")
    assert store.record("layer", "key") is None


def test_scratch_is_gone_afterwards(store: Store) -> None:
    with store.scratch() as folder:
        (folder / "x").write_bytes(b"x")
    assert not folder.exists()


def test_a_store_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileProblem, match="file: not a directory"):
        Store(tmp_path / "file")


def test_many_writers_of_one_blob_leave_one(store: Store) -> None:
    threads = [threading.Thread(target=store.put_bytes, args=(b"hello",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files_below(store.root) == {f"v1/blobs/sha256/{HELLO.hex}"}
    assert store.read(HELLO, 5) == b"hello"


def test_a_file_appears_whole_with_the_mode_the_umask_gives(tmp_path: Path) -> None:
    path = tmp_path / "out"
    before = os.umask(0o027)
    try:
        with atomic(path) as sink:
            sink.write(b"new")
            assert not path.exists()
    finally:
        os.umask(before)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o640)


def test_a_file_stays_what_it_was_when_its_replacement_fails(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic(path) as sink:
        sink.write(b"new")
        raise ZeroDivisionError
    assert (path.read_bytes(), files_below(tmp_path)) == (b"old", {"out"})


def test_a_place_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="none/out: no such file"), atomic(tmp_path / "none" / "out"):
        pass
    with pytest.raises(FileProblem, match="is a directory"), atomic(tmp_path) as sink:
        sink.write(b"x")
    assert files_below(tmp_path) == set()
