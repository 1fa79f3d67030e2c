"""Source archives that need nothing but Python to build: each brings its own build backend."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_BACKEND = """
import base64, hashlib, zipfile
NAME, VERSION, TAG, RANDOM = {name!r}, {version!r}, {tag!r}, {random!r}

def build_wheel(folder, config_settings=None, metadata_directory=None):
    import os, pathlib
    pathlib.Path({witness!r}).write_text("ran") if {witness!r} else None
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    body = os.urandom(8).hex() if RANDOM else "1"
    members = {{
        f"{{NAME}}.py": f"VALUE = '{{body}}'\\n",
        f"{{info}}/METADATA": f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n",
        f"{{info}}/WHEEL": f"Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: {{TAG}}\\n",
    }}
    lines = []
    for path, text in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{{path}},sha256={{digest}},{{len(text)}}\\n")
    members[f"{{info}}/RECORD"] = "".join(lines) + f"{{info}}/RECORD,,\\n"
    name = f"{{NAME}}-{{VERSION}}-{{TAG}}.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), text)
    return name
"""


def make_sdist(
    folder: Path,
    name: str,
    version: str,
    *,
    tag: str = "py3-none-any",
    random: bool = False,
    witness: str = "",
    broken: bool = False,
    more: Sequence[tarfile.TarInfo] = (),
) -> Path:
    """Write a .tar.gz whose build gives a wheel with ``tag``; ``witness`` is a file the build writes when it runs."""
    stem = f"{name}-{version}"
    backend = _BACKEND.format(name=name, version=version, tag=tag, random=random, witness=witness)
    files = {
        f"{stem}/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        f"{stem}/backend.py": "raise RuntimeError('no compiler here')\n" if broken else backend,
        f"{stem}/PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    return write_tar(folder / f"{stem}.tar.gz", files, more)


def write_tar(path: Path, files: Mapping[str, str | bytes], more: Sequence[tarfile.TarInfo] = ()) -> Path:
    """A .tar.gz of ``files``, and of members that have a header only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.GzipFile(path, "wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
        for header in more:
            archive.addfile(header)
    return path


def symlink(name: str, target: str) -> tarfile.TarInfo:
    """The header of a symbolic link."""
    header = tarfile.TarInfo(name)
    header.type, header.linkname = tarfile.SYMTYPE, target
    return header
