"""A small base in two versions, and images upon it: what a rebase is told to bring together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.archives import make_tar, member
from tests.support.elves import ElfSpec, make_elf
from tests.support.imported import Member, config_of, docker_python, files, save_like_new_docker

LIB = "usr/lib/x86_64-linux-gnu"
SITE = "usr/local/lib/python3.11/site-packages"
LOADER = "/lib64/ld-linux-x86-64.so.2"
BASE_RUN = {
    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "PYTHON_VERSION=3.11.9"],
    "Cmd": ["python3"],
    "Labels": {"maker": "the base's"},
    "ExposedPorts": {"80/tcp": {}},
}
APP_RUN = {
    "Env": ["PATH=/opt/app/bin:/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "PYTHON_VERSION=3.11.9", "MODE=fast"],
    "Cmd": ["tool"],
    "WorkingDir": "/opt/app",
    "User": "app",
    "Labels": {"maker": "the base's", "app": "yes"},
    "ExposedPorts": {"80/tcp": {}, "8080/tcp": {}},
}
USUAL: Mapping[str, bytes | str] = {
    f"{LIB}/libssl.so.3": make_elf(ElfSpec(soname="libssl.so.3", versions=("OPENSSL_3.0.0",))),
    f"{LIB}/libz.so.1": make_elf(ElfSpec(soname="libz.so.1")),
    "lib64/ld-linux-x86-64.so.2": make_elf(ElfSpec(soname="ld-linux-x86-64.so.2")),
    "usr/bin/sh": make_elf(ElfSpec(interpreter=LOADER)),
    "usr/bin/curl": make_elf(ElfSpec(interpreter=LOADER)),
    "etc/ssl/certs/ca-certificates.crt": b"old",
    "etc/motd": b"welcome",
}
"""What the base has besides its Python, by path; text is a link's target."""

APP: Mapping[str, bytes | str] = {
    "opt/app/bin/tool": make_elf(
        ElfSpec(interpreter=LOADER, needed=("libssl.so.3",), wanted={"libssl.so.3": ("OPENSSL_3.0.0",)})
    ),
    "opt/app/bin/script": b"#!/usr/bin/sh\ntrue\n",
    f"{SITE}/demo.py": b"import os\n",
}


def base_layer(changed: Mapping[str, bytes | str | None] | None = None, *, version: str = "3.11.9") -> bytes:
    """The base's one layer; what is ``changed`` is another's, or gone."""
    there: dict[str, Member | tuple[str, bytes | str]] = {
        each[0].name: each for each in docker_python(version) if not each[0].isdir()
    }
    there |= {path: (path, content) for path, content in USUAL.items()}
    for path, content in (changed or {}).items():
        there.pop(path, None)
        if content is not None:
            there[path] = (path, content)
    return make_tar(*files(*there.values()))  # type: ignore[arg-type]


def own_layer(changed: Mapping[str, bytes | str | None] | None = None, *more: Member) -> bytes:
    """The image's own layer; ``more`` are members as they are."""
    there = {**APP, **(changed or {})}
    named = [(path, content) for path, content in there.items() if content is not None]
    listed = files(*named)  # type: ignore[arg-type]
    return make_tar(*listed, *more)


def whiteout(path: str) -> Member:
    """What deletes a path."""
    folder, _, name = path.rpartition("/")
    return member(f"{folder}/.wh.{name}" if folder else f".wh.{name}")


def save(path: Path, layers: Sequence[bytes], run: Mapping[str, Any], **keys: Any) -> Path:
    """An image in a file."""
    return save_like_new_docker(path, layers, config_of(layers, run=run, **keys))
