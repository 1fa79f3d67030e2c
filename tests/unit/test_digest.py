from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from oci_builder.digest import CHUNK, Digest, HashingWriter, digest_file, verified_chunks
from oci_builder.errors import DigestMismatch, InvalidValue

HELLO = Digest("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")


def test_a_digest_reads_back_from_its_text() -> None:
    assert Digest.parse(str(HELLO)) == HELLO == Digest.of(b"hello")


@pytest.mark.parametrize(
    "text",
    [
        "",
        HELLO.hex,
        f"sha512:{HELLO.hex}",
        f"sha256:{HELLO.hex.upper()}",
        f"sha256:{HELLO.hex}\n",
        f"sha256:{HELLO.hex}0",
    ],
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="sha256 digest"):
        Digest.parse(text)


def test_a_writer_counts_and_hashes_what_passes() -> None:
    below = io.BytesIO()
    sink = HashingWriter(below)
    assert sink.write(b"hel") + sink.write(memoryview(b"lo")) == 5
    sink.flush()
    assert (below.getvalue(), sink.size, sink.digest()) == (b"hello", 5, HELLO)


def test_verified_chunks_pass_the_very_bytes() -> None:
    data = b"x" * (CHUNK + 7)
    chunks = verified_chunks(io.BytesIO(data), digest=Digest.of(data), size=len(data), what="a blob")
    assert b"".join(chunks) == data


@pytest.mark.parametrize("data", [b"hell", b"hello!", b"hallo", b""])
def test_bytes_that_are_not_the_named_ones_raise(data: bytes) -> None:
    with pytest.raises(DigestMismatch, match="a blob: expected"):
        list(verified_chunks(io.BytesIO(data), digest=HELLO, size=5, what="a blob"))


def test_an_endless_stream_is_left_at_the_first_byte_too_many() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1, /) -> bytes:
            self.given += size
            return bytes(size)

    stream = Endless()
    with pytest.raises(DigestMismatch, match="got more"):
        list(verified_chunks(stream, digest=HELLO, size=5, what="a blob"))
    assert stream.given == CHUNK


def test_a_file_has_a_digest_and_a_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    assert digest_file(str(path)) == (Digest(hashlib.sha256(b"hello").hexdigest()), 5)
