from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import CorruptBlob, DigestMismatch, FileProblem
from oci_builder.files import clone, spooled
from oci_builder.outputs import atomic
from oci_builder.pruning import prune
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


FOLDERS = [".", "v1", "v1/blobs", "v1/blobs/sha256", "v1/records", "v1/records/layer", "v1/tmp"]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("bits", [0o020, 0o002])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, folder: str, bits: int) -> None:
    Store(tmp_path / "c").put_record("layer", "key", b"1")
    place = tmp_path / "c" / folder
    place.chmod(0o755 | bits)
    with pytest.raises(FileProblem, match=r"others may write to it \(mode 07") as caught:
        Store(tmp_path / "c").record("layer", "key")
    hint = str(caught.value.hint)
    assert f"chmod -R go-w {place}" in hint and "--cache-dir" in hint
    subprocess.run(["chmod", "-R", "go-w", str(place)], check=True)
    assert Store(tmp_path / "c").record("layer", "key") == b"1"


def test_a_cache_may_be_in_a_folder_like_tmp_and_its_own_folders_may_not_be_open(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c").chmod(0o1777)
    Store(tmp_path / "c").put_bytes(b"hello")
    (tmp_path / "c" / "v1").chmod(0o1777)
    with pytest.raises(FileProblem, match="v1: others may write to it"):
        Store(tmp_path / "c")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_another_user_is_refused_but_not_roots(folder: str) -> None:
    place = Path(tempfile.mkdtemp())
    try:
        place.chmod(0o755)
        Store(place).put_record("layer", "key", b"1")
        with nobody():
            assert Store(place).record("layer", "key") == b"1"
        os.chown(place / folder, 12345, 12345)
        for who in (nobody(), contextlib.nullcontext()):
            with who, pytest.raises(FileProblem, match=r"it belongs to another user \(uid 12345\)"):
                Store(place).record("layer", "key")
    finally:
        shutil.rmtree(place)


def test_a_cache_may_be_a_link_and_nothing_in_it_may(tmp_path: Path) -> None:
    (tmp_path / "c").symlink_to("elsewhere")
    (tmp_path / "elsewhere").mkdir()
    Store(tmp_path / "c").put_record("layer", "key", b"1")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_bytes(b"x")
    for folder in reversed(FOLDERS[1:]):
        inner = tmp_path / "c" / folder
        if inner.is_symlink() or not inner.exists():
            continue
        shutil.rmtree(inner)
        inner.symlink_to(outside)
        with pytest.raises(FileProblem, match="a symbolic link, and what is in a cache"):
            Store(tmp_path / "c").put_record("layer", "key", b"1")
        inner.unlink()
    assert list(outside.iterdir()) == [outside / "canary"]


@pytest.mark.parametrize("umask", [0, 0o077])
def test_no_umask_opens_a_cache_to_others(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = Store(tmp_path / "new" / "c")
        store.put_record("layer", "key", b"1")
        with store.writer() as sink:
            (half,) = (tmp_path / "new" / "c" / "v1" / "tmp").iterdir()
            assert stat.S_IMODE(half.stat().st_mode) == 0o600
            sink.write(b"hello")
    finally:
        os.umask(before)
    made = [tmp_path / "new", *(tmp_path / "new").rglob("*")]
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in made}
    assert modes == {(True, 0o755 & ~umask), (False, 0o644)}


def test_folders_that_are_swapped_for_links_lose_and_gain_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    canaries = {HELLO.hex: b"canary", "key.json": b"canary", "1-0123456789abcdef": b"canary"}
    for name, data in canaries.items():
        (outside / name).write_bytes(data)
    for folder in FOLDERS[1:]:
        cache = tmp_path / folder.replace("/", "-")
        store = Store(cache)
        store.put_bytes(b"hello")
        store.put_record("layer", "key", b"1")
        (cache / folder).rename(tmp_path / "moved")
        (cache / folder).symlink_to(outside)
        for act in (
            lambda store=store: store.put_bytes(b"new"),
            lambda store=store: store.put_record("layer", "key", b"2"),
            lambda store=store: store.drop(HELLO),
            lambda store=store: store.drop_record("layer", "key"),
            lambda store=store: prune(store, now=1 << 40, max_size=0),
            lambda store=store: list(store.unsound()),
        ):
            with contextlib.suppress(FileProblem):
                act()
        assert {path.name: path.read_bytes() for path in outside.iterdir()} == canaries
        shutil.rmtree(tmp_path / "moved")


def test_a_pipe_or_folder_in_place_of_a_blob_or_record_is_as_good_as_none(store: Store) -> None:
    for make in (os.mkfifo, os.mkdir):
        store.put_bytes(b"hello")
        store.put_record("layer", "key", b"1")
        for path in (store.path(HELLO), store.root / "v1" / "records" / "layer" / "key.json"):
            path.unlink()
            make(path)
        assert not store.has(HELLO) and store.record("layer", "key") is None
        with pytest.raises(CorruptBlob):
            store.read(HELLO, 5)
        store.put_bytes(b"hello")
        store.put_record("layer", "key", b"2")
        assert (store.read(HELLO, 5), store.record("layer", "key")) == (b"hello", b"2")


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
