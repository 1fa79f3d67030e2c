"""What nobody can do without: inflating everything once, and sha256 of what goes in and of what comes out."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import deflate


def inflate(file: Path) -> None:
    """Inflate and hash one wheel."""
    whole, plain = file.read_bytes(), hashlib.sha256()
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            lengths = (whole[info.header_offset + at : info.header_offset + at + 2] for at in (26, 28))
            start = info.header_offset + 30 + sum(int.from_bytes(each, "little") for each in lengths)
            data: bytes | bytearray = whole[start : start + info.compress_size]
            if info.compress_type == zipfile.ZIP_DEFLATED:
                data = deflate.deflate_decompress(data, info.file_size)
            plain.update(data)
            hashlib.sha256(data)
    hashlib.sha256(whole)


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(inflate, sorted(map(Path, sys.argv[1:]), key=lambda path: -path.stat().st_size)))
