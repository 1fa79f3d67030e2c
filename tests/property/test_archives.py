"""Whatever changes in an image file is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oci_builder.export.docker_archive import write_file
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.verify.results import Report
from oci_builder.verify.verify import verify_file
from tests.support.images import random_image

# Enough layers, files and names that every kind of byte is there.
NAMES = [Reference.parse("mypy:1"), Reference.parse("localhost:5000/mypy:2")]


@cache
def archive() -> bytes:
    """An image file, made once."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder, "store"))
        image = random_image(store, layers=2, nonce="property", size=2000)
        path = Path(folder, "x.tar")
        write_file(image, path, references=NAMES, store=store, reporter=Quiet())
        return path.read_bytes()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def verified(data: bytes, folder: Path) -> Report:
    path = folder / "x.tar"
    path.write_bytes(data)
    return verify_file(path)


def noticed(data: bytes, folder: Path) -> bool:
    """Whether something is said, be it that engines pass over it."""
    report = verified(data, folder)
    return bool(report.findings or report.remarks)


def test_the_file_is_right_to_begin_with(folder: Path) -> None:
    assert not noticed(archive(), folder)


SIZE = len(archive())
places = st.integers(0, SIZE - 1)


@settings(max_examples=250, deadline=None)
@given(place=places, flip=st.integers(1, 255))
@example(place=155, flip=0x20)
@example(place=148, flip=0x10)
@example(place=SIZE - 1, flip=1)
def test_a_flipped_byte_is_noticed(folder: Path, place: int, flip: int) -> None:
    data = bytearray(archive())
    data[place] ^= flip
    assert noticed(bytes(data), folder)


@settings(max_examples=60, deadline=None)
@given(place=places, length=st.integers(1, 2000))
def test_cut_bytes_are_noticed(folder: Path, place: int, length: int) -> None:
    data = archive()
    assert noticed(data[:place] + data[place + length :], folder)


@settings(max_examples=60, deadline=None)
@given(length=places)
def test_an_end_cut_off_is_noticed(folder: Path, length: int) -> None:
    assert noticed(archive()[:length], folder)


@settings(max_examples=80, deadline=None)
@given(place=st.integers(0, SIZE), added=st.binary(min_size=1, max_size=3))
def test_added_bytes_are_noticed(folder: Path, place: int, added: bytes) -> None:
    data = archive()
    assert noticed(data[:place] + added + data[place:], folder)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000))
def test_noise_is_no_image_and_no_crash(folder: Path, data: bytes) -> None:
    report = verified(data, folder)
    assert report.findings
    assert report.image_id is None
