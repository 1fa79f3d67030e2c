"""Keeping a store small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue
from oci_builder.inventory import shelves
from oci_builder.pruning import DAY, Pruned, parse_size, prune
from oci_builder.store import Store

NOW = 1_000_000_000
A, B = Digest.of(b"a" * 10), Digest.of(b"b" * 10)


@pytest.fixture
def used(store: Store) -> Store:
    """Two blobs; ``A`` was used last."""
    for data, when in ((b"b" * 10, NOW - 20), (b"a" * 10, NOW - 10)):
        digest = store.put_bytes(data)
        assert Store(store.root, now=when).has(digest)
    return store


def test_the_least_recently_used_goes_until_the_rest_fits(used: Store) -> None:
    assert prune(used, now=NOW, max_size=20) == Pruned(left=20)
    assert prune(used, now=NOW, max_size=19) == Pruned(files=1, size=10, left=10)
    assert used.has(A) and not used.has(B)


def test_what_was_not_used_for_long_goes(used: Store) -> None:
    assert prune(used, now=NOW, max_age=15) == Pruned(files=1, size=10, left=10)
    assert used.has(A) and not used.has(B)


def test_a_record_counts_as_used_when_it_is_read(store: Store) -> None:
    store.put_record("layer", "k", b"{}")
    assert Store(store.root, now=NOW).record("layer", "k") == b"{}"
    assert prune(store, now=NOW + 5, max_age=10).files == 0
    assert prune(store, now=NOW + 20, max_age=10).files == 1


def test_nothing_goes_while_another_process_uses_the_store(used: Store) -> None:
    program = "import sys; from pathlib import Path; from oci_builder.store import Store\n"
    program += "store = Store(Path(sys.argv[1])); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(used.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"ready\n"
        assert prune(used, now=NOW, max_size=0) == Pruned(done=False)
        # However it ends, its hold ends with it.
        other.kill()
    assert prune(used, now=NOW, max_size=0).files == 2


def test_what_a_killed_process_had_begun_goes_when_the_next_one_comes(tmp_path: Path) -> None:
    begun = leftovers(tmp_path / "cache")
    Store(tmp_path / "cache")
    assert not any(path.exists() for path in begun)


def test_what_a_living_process_has_begun_stays(store: Store) -> None:
    begun = leftovers(store.root)
    Store(store.root)
    assert all(path.exists() for path in begun)


def test_where_no_lock_tells_who_lives_leftovers_go_when_they_are_a_day_old(store: Store) -> None:
    old, new = leftovers(store.root)
    os.utime(old, (NOW - 2 * DAY, NOW - 2 * DAY))
    os.utime(new, (NOW - DAY // 2, NOW - DAY // 2))
    prune(store, now=NOW)
    assert (old.exists(), new.exists()) == (False, True)


def leftovers(cache: Path) -> tuple[Path, Path]:
    """A half-written file, and a folder that was worked in."""
    folder = cache / "v1" / "tmp" / "1-b"
    folder.mkdir(parents=True)
    (folder / "x").write_bytes(b"x")
    file = folder.with_name("1-a")
    file.write_bytes(b"half")
    return file, folder


def test_damaged_blobs_are_found(used: Store) -> None:
    Path(used.path(A)).write_bytes(b"x")
    assert list(used.unsound()) == [used.path(A)]
    assert list(used.unsound()) == []
    assert used.has(B)


def test_looking_at_what_is_kept_is_no_use_of_it(used: Store) -> None:
    used.put_record("layer", "k", b"{}")
    for path, _ in used.kept():
        os.utime(path, (NOW, NOW))
    assert shelves(used).keys() == {"others", "records/layer"}
    assert list(used.unsound()) == []
    assert {info.st_atime for _, info in used.kept()} == {NOW}


def test_damaged_records_are_found(store: Store) -> None:
    store.put_record("layer", "k", b"{}")
    path = store.root / "v1" / "records" / "layer" / "k.json"
    path.write_bytes(path.read_bytes().replace(b"{}", b"[]"))
    assert list(store.unsound()) == [path]
    assert store.record("layer", "k") is None


@pytest.mark.parametrize(
    ("text", "size"), [("1000B", 1000), ("0", 0), ("20GB", 20 * 10**9), ("1.5MiB", 3 << 19), ("2 kB", 2000)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1 PB", "1e3", "20", "1.5"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_size(text)
