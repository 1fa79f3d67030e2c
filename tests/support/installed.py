"""Images with packages installed in them, written by hand as installers leave them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from oci_builder.inspect.packages import Inventory, inventory
from oci_builder.inspect.reading import read_image
from oci_builder.tree.tree import parents
from tests.support.archives import HandMade, folder, make_tar, member
from tests.support.wheels import record_line

SITE = "usr/local/lib/python3.11/site-packages"
Files = dict[str, bytes]

OS_RELEASE = b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'


def distribution(
    name: str,
    version: str = "1.0",
    *,
    files: Mapping[str, bytes] | None = None,
    metadata: Sequence[str] = (),
    requires: Sequence[str] = (),
    dist_info: Mapping[str, bytes] | None = None,
    requested: bool = False,
    missing: Sequence[str] = (),
    site: str = SITE,
) -> Files:
    """What pip leaves of a wheel: ``files`` and ``missing`` are relative to ``site``; the latter only RECORD knows."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *metadata]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    inside: Files = dict(files if files is not None else {f"{name.replace('-', '_')}.py": b"x = 1\n"})
    inside |= {f"{info}/METADATA": "\n".join([*lines, "", "A description."]).encode()}
    inside |= {f"{info}/INSTALLER": b"pip\n", f"{info}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n"}
    inside |= {f"{info}/{path}": data for path, data in (dist_info or {}).items()}
    inside |= {f"{info}/REQUESTED": b""} if requested else {}
    record = [record_line(path, data) for path, data in inside.items()]
    record += [record_line(path, b"") for path in missing] + [f"{info}/RECORD,,"]
    inside[f"{info}/RECORD"] = "".join(f"{line}\n" for line in record).encode()
    return {f"{site}/{path}": data for path, data in inside.items()}


def package(name: str, version: str = "1", *, files: Mapping[str, bytes] | None = None, fields: str = "") -> Files:
    """What a base without dpkg keeps of a Debian package: a stanza in status.d, and its list of files."""
    inside = dict(files or {})
    stanza = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: The {name}\n more\n{fields}"
    listed = "".join(f"{'0' * 32}  {path}\n" for path in inside)
    return {
        **inside,
        f"var/lib/dpkg/status.d/{name}": stanza.encode(),
        f"var/lib/dpkg/status.d/{name}.md5sums": listed.encode(),
    }


def layer(*parts: Mapping[str, bytes], links: Mapping[str, str] | None = None, modes: int = 0o644) -> bytes:
    """A layer's tar with every folder in it; ``links`` are symbolic links by path."""
    files = {path: data for part in parts for path, data in part.items()}
    names = {*files, *(links or {})}
    folders = {above for name in names for above in parents(name)} - set(links or {})
    members: dict[str, tuple[tarfile.TarInfo, bytes]] = {name: folder(name) for name in folders}
    members |= {name: member(name, data=data, mode=modes) for name, data in files.items()}
    members |= {name: member(name, tarfile.SYMTYPE, target=target) for name, target in (links or {}).items()}
    return make_tar(*(members[name] for name in sorted(members, key=lambda name: name.split("/"))))


def image_file(path: Path, *layers: bytes, run: Mapping[str, object] | None = None) -> Path:
    """A docker archive and OCI layout of ``layers`` at ``path``."""

    def change(config: dict[str, object]) -> None:
        config["config"] = dict(run or {})
        config["created"] = "2024-05-06T07:08:09.123456789Z"

    return HandMade(list(layers), change_config=change).write(path)


def found(path: Path, *layers: bytes, run: Mapping[str, object] | None = None) -> Inventory:
    """The packages of an image made of ``layers``."""
    return inventory(read_image(image_file(path, *layers, run=run)))


def docker_save(path: Path, layers: Sequence[bytes], config: bytes, *, repeated: bool = False) -> Path:
    """What docker before 25 saves: plain layers in folders of their own, one that comes twice as a symbolic link."""
    names = [f"{number:064x}/layer.tar" for number in range(len(layers))]
    members = [member("config.json", data=config)]
    for name, data in zip(names, layers, strict=True):
        members += [folder(name.partition("/")[0]), member(name, data=data)]
    if repeated:
        names.append(f"{len(layers):064x}/layer.tar")
        members += [folder(names[-1].partition("/")[0])]
        members += [member(names[-1], tarfile.SYMTYPE, target=f"../{names[0]}")]
    quoted = ",".join(f'"{name}"' for name in names)
    text = f'[{{"Config":"config.json","RepoTags":["old:1"],"Layers":[{quoted}]}}]'
    path.write_bytes(make_tar(*members, member("manifest.json", data=text.encode())))
    return path


def unpacked(archive: Path, to: Path) -> Path:
    """An image file as a folder."""
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as tar:
        for info in tar.getmembers():
            content = tar.extractfile(info)
            if content is not None:
                (to / info.name).parent.mkdir(parents=True, exist_ok=True)
                (to / info.name).write_bytes(content.read())
    return to
