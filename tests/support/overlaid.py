"""Layers laid on each other by ``tarfile`` and a few lines of a test's own: what a root filesystem should be."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Root = dict[str, tuple[object, ...]]
_OPAQUE, _WHITEOUT = ".wh..wh..opq", ".wh."


def plain(blob: bytes) -> bytes:
    """A layer, unpacked by Python's own gzip where it is packed."""
    return gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob


def root_of(layers: Iterable[bytes]) -> Root:
    """What is at each path once plain layers, oldest first, lie on each other; files of one inode know each other."""
    root: dict[str, tuple[object, ...]] = {}
    inodes: dict[str, object] = {}
    for number, layer in enumerate(layers):
        listed, inner = _read(layer, number)
        for path in [path for path, kind in listed if kind == _OPAQUE]:
            _drop(root, path, keep=True)
        for path in [path for path, kind in listed if kind == _WHITEOUT]:
            _drop(root, path)
        for path, (face, inode) in inner.items():
            if path in root and not (root[path][0] == face[0] == tarfile.DIRTYPE):
                _drop(root, path)
            for parent in _parents(path):
                if parent in root and root[parent][0] != tarfile.DIRTYPE:
                    _drop(root, parent)
            root[path], inodes[path] = face, inode
    names: dict[object, list[str]] = {}
    for path in sorted(root):
        names.setdefault(inodes[path], []).append(path)
    return {path: (*face, tuple(names[inodes[path]])) for path, face in root.items()}


def _read(layer: bytes, number: int) -> tuple[list[tuple[str, str]], dict[str, tuple[tuple[object, ...], object]]]:
    listed: list[tuple[str, str]] = []
    inner: dict[str, tuple[tuple[object, ...], object]] = {}
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        for member in archive:
            path = member.name.strip("/")
            folder, name = posixpath.split(path)
            if name == _OPAQUE:
                listed.append((folder, _OPAQUE))
            elif name.startswith(_WHITEOUT):
                listed.append((posixpath.join(folder, name.removeprefix(_WHITEOUT)), _WHITEOUT))
            elif member.islnk():
                inner[path] = inner[member.linkname]
            else:
                inner[path] = _face(archive, member), (number, path)
    return listed, inner


def _face(archive: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[object, ...]:
    stream = archive.extractfile(member) if member.isreg() else None
    content = hashlib.sha256(stream.read()).hexdigest() if stream else ""
    mode = 0 if member.issym() else member.mode & 0o7777
    attributes = {key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")}
    face = (member.type, mode, member.uid, member.gid, int(member.mtime), member.size, member.linkname, content)
    return (*face, tuple(sorted(attributes.items())))


def _parents(path: str) -> Iterable[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _drop(root: Mapping[str, object], path: str, *, keep: bool = False) -> None:
    assert isinstance(root, dict)
    for each in [each for each in root if each.startswith(f"{path}/") or (each == path and not keep)]:
        del root[each]


def layers_of(path: Path, *behind: Path) -> list[bytes]:
    """The plain layers of an image file, in order; what it leaves out is looked for in the files ``behind`` it."""
    blobs: dict[str, bytes] = {}
    for place in (*behind, path):
        with tarfile.open(place) as archive:
            for member in archive:
                if stream := archive.extractfile(member) if member.isreg() else None:
                    data = blobs[member.name] = stream.read()
                    # docker before 25 names layers by folders.
                    blobs[f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"] = data
    manifest: Any = json.loads(blobs["manifest.json"])[0]
    return [plain(blobs[name]) for name in manifest["Layers"]]
