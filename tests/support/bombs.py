"""Archives that are small and want to be large: each made piece by piece, none held in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from tests.support.archives import member

Pieces = Iterable[bytes]
END = bytes(1024)
MB = 1 << 20


def header(name: str, kind: bytes = tarfile.REGTYPE, *, size: int = 0, target: str = "") -> bytes:
    """One header block."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")


def extended(kind: bytes, data: bytes) -> bytes:
    """A header that tells of the next one."""
    return header("x", kind, size=len(data)) + data + bytes(-len(data) % 512)


def record(name: str, value: bytes) -> bytes:
    """One PAX record."""
    body = b" %b=%b\n" % (name.encode(), value)
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return b"%d%b" % (length, body)


def headers_in_a_row() -> Iterator[bytes]:
    """PAX headers, none of which any member follows."""
    for number in range(100):
        yield extended(tarfile.XHDTYPE, record(f"k{number}", b"A" * (MB - 64)))


def long_names_in_a_row() -> Iterator[bytes]:
    """GNU's form of the same."""
    for _ in range(100):
        yield extended(tarfile.GNUTYPE_LONGNAME, b"n" * (MB - 64))


def records() -> Iterator[bytes]:
    """A PAX header of very many short records, before each of a few members."""
    data = b"".join(record(f"{number:x}", b"") for number in range(100_000))[: MB - 64]
    whole = data[: data.rindex(b"\n") + 1]
    for number in range(20):
        yield extended(tarfile.XHDTYPE, whole) + header(f"m{number}")


def link_targets() -> Iterator[bytes]:
    """Links that lead very far."""
    for number in range(100):
        yield extended(tarfile.XHDTYPE, record("linkpath", b"a" * (MB - 64))) + header(f"l{number}", tarfile.SYMTYPE)


def long_paths() -> Iterator[bytes]:
    """Each path as long as one may be, and too many of them."""
    folder = b"/".join([b"d" * 250] * 16)
    for number in range(17_000):
        yield extended(tarfile.XHDTYPE, record("path", b"%b/%05d" % (folder, number))) + header("x")


def deep_paths() -> Iterator[bytes]:
    """Very many folders in each other, and files at the bottom."""
    folder = b"/".join([b"d"] * 2000)
    for number in range(5000):
        yield extended(tarfile.XHDTYPE, record("path", b"%b/%05d" % (folder, number))) + header("x")


def sparse_header_lies() -> Iterator[bytes]:
    """A file that says it is larger than everything."""
    yield header("x", size=8**11 - 1)


def opaque_whiteouts() -> Iterator[bytes]:
    """Deletions of what is in folders deep down, over files in them."""
    folder = "/".join(["d"] * 40)
    for number in range(4000):
        yield header(f"{folder}/{number:05}")
        yield header(f"{folder}/.wh.{number + 50_000:05}")


LAYERS: dict[str, Callable[[], Iterator[bytes]]] = {
    "headers in a row": headers_in_a_row,
    "long names in a row": long_names_in_a_row,
    "records": records,
    "link targets": link_targets,
    "long paths": long_paths,
    "deep paths": deep_paths,
    "a size that lies": sparse_header_lies,
    "deletions": opaque_whiteouts,
}


def packed_layer(pieces: Pieces, path: Path) -> str:
    """Write a layer in gzip, and return its diff ID."""
    plain = hashlib.sha256()
    with gzip.open(path, "wb", compresslevel=1) as sink:
        for piece in chain(pieces, [END]):
            plain.update(piece)
            sink.write(piece)
    return plain.hexdigest()


def save(path: Path, layer: Path, diff_id: str, *, times: int = 1) -> Path:
    """An image file, as docker saved them, whose layer is that in the file ``layer``, named so many times."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"] * times},
    }
    manifest = [{"Config": "c.json", "RepoTags": [], "Layers": ["l"] * times}]
    documents = {"c.json": config, "manifest.json": manifest}
    with tarfile.open(path, "w") as archive:
        archive.add(layer, "l")
        for name, document in documents.items():
            info, data = member(name, data=json.dumps(document).encode())
            archive.addfile(info, io.BytesIO(data))
    return path


def zstd_window() -> bytes:
    """A frame that wants the decoder to remember two GiB."""
    # A magic number, a descriptor without a size of the content, the exponent of the window, and one empty block that
    # is the last (RFC 8878, 3.1.1).
    return b"\x28\xb5\x2f\xfd" + bytes([0x00, (31 - 10) << 3]) + b"\x01\0\0"


def xz_memory(data: bytes) -> bytes:
    """``data`` in xz, with the word that unpacking it takes 4 GiB (xz file format, 3.1)."""
    packed = bytearray(lzma.compress(data, preset=0))
    size = (packed[12] + 1) * 4
    packed[12 + 4] = 40
    packed[12 + size - 4 : 12 + size] = zlib.crc32(packed[12 : 12 + size - 4]).to_bytes(4, "little")
    return bytes(packed)
