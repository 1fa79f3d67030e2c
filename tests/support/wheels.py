"""Wheels built in memory, correct unless a test asks for something else."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_EPOCH = (2024, 1, 1, 0, 0, 0)


def make_wheel(
    folder: Path,
    name: str = "demo",
    version: str = "1.0",
    *,
    tag: str = "py3-none-any",
    files: Mapping[str, bytes | str] | None = None,
    data: Mapping[str, bytes | str] | None = None,
    requires: Sequence[str] = (),
    extras: Sequence[str] = (),
    requires_python: str | None = None,
    entry_points: Mapping[str, Mapping[str, str]] | None = None,
    metadata: Sequence[str] = (),
    dist_info: Mapping[str, bytes | str] | None = None,
    executable: Sequence[str] = (),
    purelib: bool | None = None,
    build: str = "",
    wheel_version: str = "1.0",
    compression: int = zipfile.ZIP_DEFLATED,
    record_lies: Mapping[str, str | None] | None = None,
    filename: str | None = None,
) -> Path:
    """Write a wheel into ``folder`` and return its path; the same arguments give the same bytes.

    ``files`` lie below site-packages (default: one module named after the project), ``data`` below ``.data/`` with the
    scheme first ("scripts/run"), ``dist_info`` below ``.dist-info/``. ``executable`` names archive members with the x
    bit. ``record_lies`` replaces the RECORD line of a member ("path,sha256=…,size") or, with None, leaves it out.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    members = _members(stem, files or {f"{name.replace('-', '_')}.py": f"VERSION = {version!r}\n"}, data or {})
    info = f"{stem}.dist-info"
    members[f"{info}/METADATA"] = _metadata(name, version, requires, extras, requires_python, metadata)
    members[f"{info}/WHEEL"] = _wheel(
        wheel_version, tag, build, tag.endswith("-none-any") if purelib is None else purelib
    )
    if entry_points:
        members[f"{info}/entry_points.txt"] = _entry_points(entry_points)
    members |= {f"{info}/{path}": _bytes(content) for path, content in (dist_info or {}).items()}
    members[f"{info}/RECORD"] = _record(members, f"{info}/RECORD", record_lies or {})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (filename or f"{stem}{f'-{build}' if build else ''}-{tag}.whl")
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, content in members.items():
            write_member(archive, member, content, mode=0o755 if member in executable else 0o644)
    return path


def write_member(archive: zipfile.ZipFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    """Add one regular file with a fixed time."""
    header = zipfile.ZipInfo(name, _EPOCH)
    header.external_attr = (0o100000 | mode) << 16
    header.compress_type = archive.compression
    archive.writestr(header, content)


def add_member(wheel: Path, name: str, content: bytes) -> Path:
    """Put a file into a wheel behind its RECORD's back."""
    with zipfile.ZipFile(wheel, "a") as archive:
        write_member(archive, name, content)
    return wheel


def corrupt(path: Path, *, at: int | None = None) -> Path:
    """Flip one bit of a file, by default in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 0x01
    path.write_bytes(content)
    return path


def sha256(path: Path) -> str:
    """The file's sha256 in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record_line(path: str, content: bytes) -> str:
    """One correct line of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}"


def _members(stem: str, files: Mapping[str, bytes | str], data: Mapping[str, bytes | str]) -> dict[str, bytes]:
    members = {path: _bytes(content) for path, content in files.items()}
    return members | {f"{stem}.data/{path}": _bytes(content) for path, content in data.items()}


def _metadata(
    name: str,
    version: str,
    requires: Sequence[str],
    extras: Sequence[str],
    requires_python: str | None,
    more: Sequence[str],
) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {requires_python}"] if requires_python else []
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    return ("\n".join([*lines, *more]) + "\n").encode()


def _wheel(version: str, tag: str, build: str, purelib: bool) -> bytes:
    pythons, abis, platforms = tag.split("-")
    tags = [f"{p}-{a}-{s}" for p in pythons.split(".") for a in abis.split(".") for s in platforms.split(".")]
    lines = [f"Wheel-Version: {version}", "Generator: tests", f"Root-Is-Purelib: {str(purelib).lower()}"]
    lines += [f"Tag: {one}" for one in tags] + ([f"Build: {build}"] if build else [])
    return ("\n".join(lines) + "\n").encode()


def _entry_points(groups: Mapping[str, Mapping[str, str]]) -> bytes:
    sections = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()]
    return "\n".join(sections).encode()


def _record(members: Mapping[str, bytes], record: str, lies: Mapping[str, str | None]) -> bytes:
    lines = [lies.get(path, record_line(path, content)) for path, content in members.items()]
    lines += [line for path, line in lies.items() if path not in members]
    return "".join(f"{line}\n" for line in [*lines, f"{record},,"] if line is not None).encode()


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content
