from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from oci_builder.digest import Digest, digest_file
from oci_builder.file_digests import FileDigests
from oci_builder.store import Store

OLD = 1_600_000_000


def digests(store: Store, paths: list[Path], *, name: str = "these") -> tuple[list[Digest], list[Path]]:
    """The digests of files, and those that were read for it."""
    read: list[Path] = []

    def hashed(path: Path) -> Digest:
        read.append(path)
        return digest_file(str(path))[0]

    with FileDigests(store, name) as known:
        found = [known.of(path, path.stat(), partial(hashed, path)) for path in paths]
    return found, read


def settled(path: Path, data: bytes) -> Path:
    """A file that was written long enough ago."""
    path.write_bytes(data)
    time.sleep(0.2)
    return path


def test_a_file_that_is_as_it_was_is_not_read_again(tmp_path: Path, store: Store) -> None:
    one = settled(tmp_path / "one", b"1")
    assert digests(store, [one]) == ([Digest.of(b"1")], [one])
    assert digests(store, [one]) == ([Digest.of(b"1")], [])
    assert digests(store, [one], name="others") == ([Digest.of(b"1")], [one])


def test_a_file_with_other_bytes_is_read_also_where_its_size_and_time_are_the_same(
    tmp_path: Path, store: Store
) -> None:
    one = tmp_path / "one"
    one.write_bytes(b"1")
    os.utime(one, (OLD, OLD))
    settled(tmp_path / "wait", b"")
    digests(store, [one])
    one.write_bytes(b"2")
    os.utime(one, (OLD, OLD))
    assert digests(store, [one])[0] == [Digest.of(b"2")]


def test_a_file_that_was_written_a_moment_ago_is_read_again(tmp_path: Path, store: Store) -> None:
    one = tmp_path / "one"
    for data in (b"1", b"2", b"3", b"4"):
        # Each within the time that a file system cannot tell apart.
        one.write_bytes(data)
        assert digests(store, [one])[0] == [Digest.of(data)]


def test_what_was_not_asked_for_is_forgotten(tmp_path: Path, store: Store) -> None:
    one, two = settled(tmp_path / "one", b"1"), settled(tmp_path / "two", b"2")
    digests(store, [one, two])
    digests(store, [two])
    assert digests(store, [one, two])[1] == [one]


def test_a_name_need_not_be_letters(tmp_path: Path, store: Store) -> None:
    odd = settled(tmp_path / os.fsdecode(b"a\xff"), b"1")
    for read in ([odd], []):
        assert digests(store, [odd], name=f"project {odd}") == ([Digest.of(b"1")], read)
