"""Layers read by programs that are not ours: ``gzip`` unpacks them, ``tarfile`` reads what comes out.

A format that is written here and read here proves nothing; every helper of the tests that makes a layer or an image has
it read back by these.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from oci_builder.layer import Layer
from oci_builder.store import Store

# Found once: tests take PATH away from what they test.
_GZIP = shutil.which("gzip") or "/usr/bin/gzip"


def gunzipped(packed: bytes) -> bytes:
    """What ``gzip`` makes of it. Fails the test where it finds anything wrong, also behind the last member."""
    done = subprocess.run([_GZIP, "--decompress", "--stdout"], input=packed, capture_output=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    return done.stdout


def files_of(packed: bytes) -> dict[str, bytes]:
    """The regular files of a gzip layer; each name stands there once, and the archive ends as it should."""
    plain = gunzipped(packed)
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
        names = [member.name for member in archive]
        for member in archive:
            if member.isreg():
                stream = archive.extractfile(member)
                assert stream is not None
                found[member.name] = stream.read()
                assert len(found[member.name]) == member.size
        end = archive.offset
    assert len(set(names)) == len(names)
    assert not any(plain[end:]) and len(plain) >= end + 1024
    return found


def read_back(layer: Layer, store: Store) -> dict[str, bytes]:
    """The files of a layer that was made, which are those of its index."""
    found = files_of(store.read(layer.descriptor.digest, layer.descriptor.size))
    listed = {entry.path: entry.size for entry in layer.entries if entry.kind == "file"}
    assert {name: len(data) for name, data in found.items() if not _is_mark(name)} == listed
    return found


def read_image(path: Path) -> None:
    """Have every layer of an image's file or folder read; one in a file that is compressed itself, too."""
    with _members(path) as members:
        documents = json.loads(members("manifest.json" if path.is_file() else "index.json"))
        layers = documents[0]["Layers"] if path.is_file() else _layers(documents, members)
        assert layers
        for name in layers:
            files_of(members(name))


def _is_mark(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".wh.")


class _Members:
    def __init__(self, path: Path, archive: tarfile.TarFile | None) -> None:
        self._path, self._archive = path, archive

    def __call__(self, name: str) -> bytes:
        if self._archive is None:
            return (self._path / name).read_bytes()
        stream: IO[bytes] | None = self._archive.extractfile(name)
        assert stream is not None
        return stream.read()


@contextlib.contextmanager
def _members(path: Path) -> Iterator[_Members]:
    if path.is_dir():
        yield _Members(path, None)
        return
    with tarfile.open(path, mode="r:*") as archive:
        yield _Members(path, archive)


def _layers(index: dict[str, list[dict[str, str]]], members: _Members) -> list[str]:
    found: list[str] = []
    for entry in index["manifests"]:
        document = json.loads(members(_place(entry["digest"])))
        found += _layers(document, members) if "manifests" in document else []
        found += [_place(layer["digest"]) for layer in document.get("layers", ())]
    return found


def _place(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"
