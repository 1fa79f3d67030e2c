from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import CorruptBlob, DigestMismatch, FileProblem
from oci_builder.files import atomic, clone, spooled
from oci_builder.store import Store

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
    store.drop_damaged()
    assert store.told_damaged() == ()
    store.path(HELLO).write_bytes(b"hallo")
    store.drop_damaged()
    assert store.told_damaged() == (f"cached blob {HELLO}",)
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


def test_a_record_of_json_is_kept_as_json(store: Store) -> None:
    store.put_record("layer", "key", b'[1, "two"]')
    path = store.root / "v1" / "records" / "layer" / "key.json"
    assert json.loads(path.read_bytes())["record"] == [1, "two"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"flipped", b"cut", b"longer"])
def test_a_damaged_record_is_noticed_dropped_and_told_once(store: Store, damage: bytes) -> None:
    store.put_record("layer", "key", b'{"size": 1}')
    path = store.root / "v1" / "records" / "layer" / "key.json"
    whole = path.read_bytes()
    how = {b"flipped": whole.replace(b"1}}", b"2}}"), b"cut": whole[:-1], b"longer": whole + b"}"}
    path.write_bytes(how.get(damage, damage))
    assert store.record("layer", "key") is None
    assert store.told_damaged() == ("cached record layer/key",)
    assert store.told_damaged() == () and not path.exists()


def test_a_blob_of_another_length_is_told_and_none(store: Store) -> None:
    store.put_bytes(b"hello")
    store.path(HELLO).write_bytes(b"hell")
    assert not store.has(HELLO, 5)
    assert store.told_damaged() == (f"cached blob {HELLO}",)


def test_what_may_not_be_read_is_made_anew(tmp_path: Path) -> None:
    place = Path(tempfile.mkdtemp())  # not tmp_path, which nobody else may enter
    try:
        store = Store(place)
        for path in (place, *place.rglob("*")):
            path.chmod(0o777)
        store.put_bytes(b"hello")
        store.put_record("layer", "key", b"1")
        locked = [store.path(HELLO), place / "v1" / "records" / "layer" / "key.json"]
        (place / "v1" / "records" / "layer").chmod(0o777)
        for path in locked:
            path.chmod(0)
        with nobody():
            assert not store.has(HELLO, 5) and store.record("layer", "key") is None
            with pytest.raises(CorruptBlob, match="permission denied"):
                store.read(HELLO, 5)
            store.put_bytes(b"hello")
            store.put_record("layer", "key", b"2")
            assert (store.read(HELLO, 5), store.record("layer", "key")) == (b"hello", b"2")
    finally:
        shutil.rmtree(place)


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Without root's rights, for as long as the block lasts; who has none stays who he is."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_one_store_shared_with_others_is_still_alone(store: Store) -> None:
    class Nobody:
        def fetch(self, kind: str, keys: Collection[str], store: Store) -> None:
            pass

        def use(self, kind: str, key: str) -> None:
            pass

    other = store.sharing(Nobody())
    assert other.shared is not None and store.shared is None
    with store.alone() as first, other.alone() as second:
        assert (first, second) == (True, True)


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


def test_what_a_killed_writer_left_beside_a_file_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    path, other = tmp_path / "out", tmp_path / ".out.notes"
    dead = tmp_path / ".out.4194999-0123456789abcdef"
    dead.write_bytes(b"half")
    other.write_bytes(b"mine")
    with atomic(path) as living:
        living.write(b"slow")
        assert not dead.exists()
        with atomic(path) as sink:
            sink.write(b"quick")
        assert path.read_bytes() == b"quick"
    assert (path.read_bytes(), files_below(tmp_path)) == (b"slow", {"out", ".out.notes"})


def test_a_clone_is_the_same_file_or_none(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"blob")
    with atomic(tmp_path / "copy") as sink:
        cloned = clone(source, sink)
    assert (tmp_path / "copy").read_bytes() == (b"blob" if cloned else b"")
    with atomic(tmp_path / "none") as sink:
        assert not clone(tmp_path / "nowhere", sink)


def test_what_is_kept_of_a_file_that_changes_is_what_was_asked_for_or_nothing(tmp_path: Path) -> None:
    # Where the file system shares blocks, the clone is what is hashed: its source may be another by then.
    source, kept, done = tmp_path / "source", Store(tmp_path / "kept"), threading.Event()
    wanted, other = b"a" * (1 << 20), b"b" * (1 << 20)
    source.write_bytes(wanted)

    def change() -> None:
        while not done.is_set():
            for data in (other, wanted):
                (tmp_path / "next").write_bytes(data)
                (tmp_path / "next").replace(source)

    changing = threading.Thread(target=change)
    changing.start()
    outcomes = set()
    try:
        for _ in range(100):
            kept.drop(Digest.of(wanted))
            with contextlib.suppress(DigestMismatch):
                kept.put_file(source, digest=Digest.of(wanted), size=len(wanted), what="it")
            there = kept.path(Digest.of(wanted))
            outcomes.add(there.read_bytes() == wanted if there.exists() else None)
    finally:
        done.set()
        changing.join(30)
    assert False not in outcomes


def test_a_copy_of_a_damaged_blob_is_refused_and_the_blob_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = store.put_bytes(b"right")
    store.path(digest).write_bytes(b"wrong")
    with pytest.raises(CorruptBlob), atomic(tmp_path / "copy") as sink:
        store.copy(digest, 5, sink)
    assert not (tmp_path / "copy").exists() and not store.has(digest)
