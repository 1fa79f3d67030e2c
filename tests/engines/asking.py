"""What an engine makes of an image archive: refused, or the tree that its container would see."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.engines.archives import NAME
from tests.support import engines
from tests.support.engines import Containerd, DockerLike, EngineFailed

# What engines put into every container.
_MADE = frozenset(
    {
        ".dockerenv",
        "dev",
        "etc/hostname",
        "etc/hosts",
        "etc/mtab",
        "etc/resolv.conf",
        "proc",
        "run",
        "run/.containerenv",
        "run/secrets",
        "sys",
    }
)

Tree = Mapping[str, str]
"""By path, shown with its odd bytes escaped, what lies there: kind, mode, owner and content."""


@dataclass(frozen=True)
class Answer:
    """``tree`` is None where the archive was refused, and ``why`` what was said then."""

    tree: Tree | None
    why: str = ""


Asker = Callable[[Path], Answer]


@contextlib.contextmanager
def docker(newest: Path | None = None) -> Iterator[Asker]:
    """Ask a docker daemon."""
    with engines.dockerd(newest) as engine:
        yield lambda archive: ask_docker(engine, archive)


@contextlib.contextmanager
def podman() -> Iterator[Asker]:
    """Ask podman."""
    with engines.podman() as engine:
        yield lambda archive: ask_docker(engine, archive)


@contextlib.contextmanager
def containerd(newest: Path | None = None) -> Iterator[Asker]:
    """Ask a containerd."""
    with engines.containerd(newest) as engine:
        # Newer ones have the daemon unpack, which wants to be configured for it.
        local = ["--local"] if newest else []
        yield lambda archive: _asked_containerd(engine, archive, local)


def ask_docker(engine: DockerLike, archive: Path) -> Answer:
    """Load, look, forget."""
    try:
        image = engine.load(archive)
    except EngineFailed as error:
        return Answer(None, _reason(error))
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder, "tree.tar")
        try:
            engine.export(image, exported)
        except EngineFailed as error:
            # Newer ones find out only when the layers are needed.
            return Answer(None, _reason(error))
        finally:
            engine.call("image", "rm", "--force", image, check=False)
        return Answer(tree_of(exported))


def _asked_containerd(engine: Containerd, archive: Path, options: Sequence[str]) -> Answer:
    try:
        engine.call("images", "import", *options, "--snapshotter=native", archive)
    except EngineFailed as error:
        _forget(engine)
        return Answer(None, _reason(error))
    with tempfile.TemporaryDirectory() as folder:
        name = next(iter(engine.images()), NAME)
        try:
            engine.call("images", "mount", "--snapshotter=native", name, folder)
            return Answer(dict(_walked(Path(folder))))
        except EngineFailed as error:
            return Answer(None, _reason(error))
        finally:
            engine.call("images", "unmount", "--snapshotter=native", "--rm", folder, check=False)
            _forget(engine)


def _forget(engine: Containerd) -> None:
    for name in engine.images():
        engine.call("images", "rm", "--sync", name, check=False)


def _reason(error: EngineFailed) -> str:
    lines = [line for line in str(error).splitlines()[1:] if line.strip()]
    return lines[-1].strip() if lines else str(error)


def tree_of(path: Path) -> Tree:
    """What a tar of a whole tree holds."""
    found: dict[str, str] = {}
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as archive:
        for info in archive:
            name = info.name.removeprefix("./").strip("/")
            if is_made(name):
                continue
            if info.islnk():
                found[shown(name)] = found.get(shown(info.linkname), "")
                continue
            kind = _KINDS.get(info.type, "file")
            content = archive.extractfile(info) if kind == "file" else None
            found[shown(name)] = entry(
                kind, info.mode, info.uid, info.gid, content=content.read() if content else b"", target=info.linkname
            )
    return found


_KINDS = {
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
    tarfile.FIFOTYPE: "device",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
}


def _walked(root: Path) -> Iterator[tuple[str, str]]:
    todo = [root]
    while todo:
        for item in os.scandir(todo.pop()):
            path = Path(item.path)
            name = str(path.relative_to(root))
            if is_made(name):
                continue
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue  # an overlay shows what it cannot open
            mode, content, target = stat.S_IMODE(status.st_mode), b"", ""
            if path.is_symlink():
                kind, target = "link", os.readlink(path)
            elif path.is_dir():
                kind = "folder"
                todo.append(path)
            elif stat.S_ISREG(status.st_mode):
                kind, content = "file", path.read_bytes()
            else:
                kind = "device"
            yield shown(name), entry(kind, mode, status.st_uid, status.st_gid, content=content, target=target)


def is_made(name: str) -> bool:
    """Whether engines make such a path, or the root folder, themselves."""
    return not name or name in _MADE or name.startswith(("dev/", "proc/", "sys/"))


def entry(kind: str, mode: int, uid: int, gid: int, *, content: bytes | str = b"", target: str = "") -> str:
    """One line about what lies at a path; ``content`` is a file's bytes, or their SHA-256 in hex."""
    if kind == "device":
        return "device"
    if kind == "link":
        return f"link to {shown(target)}, {uid}:{gid}"
    line = f"{kind} {mode & 0o7777:04o} {uid}:{gid}"
    if kind != "file":
        return line
    digest = content if isinstance(content, str) else hashlib.sha256(content).hexdigest()
    return f"{line} {digest[:16]}"


def shown(text: str) -> str:
    """``text`` with what is no printable ASCII as bytes in hex."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}"
        for byte in text.encode("utf-8", "surrogateescape")
    )
