"""Whatever two images are, an update between them makes of the one exactly the other: by a reading that is not ours."""

from __future__ import annotations

import gzip
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_builder.imported.parts import open_parts
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.updates.proving import verify_update
from oci_builder.updates.target import target_of
from oci_builder.updates.update import UpdateContext, UpdatePolicy, UpdateRequest, make_update, write_update
from tests.support.archives import folder as directory
from tests.support.archives import make_tar, member
from tests.support.imported import config_of, save_like_new_docker, save_like_old_docker
from tests.support.overlaid import layers_of, root_of

_NAMES = ("a", "b", "c.d", "größe", "-")
_CONTENTS = (b"", b"one", b"two" * 400, bytes(5000))
_ATTRIBUTES: tuple[dict[str, str], ...] = (
    {},
    {},
    {},
    {"SCHILY.xattr.user.note": "yes"},
    {"SCHILY.xattr.user.note": "a\0b"},
)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


def layer(source: random.Random) -> bytes:
    """A layer that docker loads: every folder is listed, files may have several names, paths of others are deleted."""
    found: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
    folders = [""]
    for _ in range(source.randrange(1, 14)):
        parent = source.choice(folders)
        path = f"{parent}/{source.choice(_NAMES)}".strip("/")
        if path in found or path.count("/") > 3:
            continue
        face: dict[str, Any] = {
            "mode": source.choice((0o644, 0o755, 0o4755)),
            "uid": source.choice((0, 1000)),
            "mtime": source.choice((7, 1_000_000_007)),
        }
        files = [name for name, (info, _) in found.items() if info.isreg()]
        kind = source.choice("ddffflh")
        if kind == "d":
            found[path] = directory(path, **face)
            folders.append(path)
        elif kind == "f":
            headers = source.choice(_ATTRIBUTES)
            found[path] = member(path, data=source.choice(_CONTENTS), pax_headers=headers, **face)
        elif kind == "l":
            found[path] = member(path, tarfile.SYMTYPE, target=source.choice(("a", "/nowhere")), **face)
        elif files:
            first = source.choice(files)
            like = found[first][0]
            same: dict[str, Any] = {"mode": like.mode, "uid": like.uid, "mtime": like.mtime}
            found[path] = member(path, tarfile.LNKTYPE, target=first, **same)
    for parent in folders:
        if parent and source.random() < 0.15:
            found[f"{parent}/.wh..wh..opq"] = member(f"{parent}/.wh..wh..opq")
        name = source.choice(_NAMES)
        if f"{parent}/{name}".strip("/") not in found and source.random() < 0.4:
            hidden = f"{parent}/.wh.{name}".strip("/")
            found[hidden] = member(hidden)
    return make_tar(*found.values())


def save(source: random.Random, path: Path, layers: list[bytes]) -> Path:
    config = config_of(layers, run={"Labels": {"n": path.name}})
    write = source.choice((save_like_new_docker, save_like_old_docker, save_like_kaniko))
    return write(path, layers, config)


def save_like_kaniko(path: Path, layers: list[bytes], config: dict[str, Any]) -> Path:
    """Layers are packed, and nothing says by which digest they would be known."""
    return save_like_old_docker(path, [gzip.compress(each, mtime=0) for each in layers], config)


@given(seed=st.integers(0, 1 << 40))
@settings(max_examples=25, deadline=None)
def test_the_old_image_with_its_patch_is_the_new_image(scratch: Path, seed: int) -> None:
    source = random.Random(seed)
    below = [layer(source) for _ in range(source.randrange(1, 4))]
    above = below[: source.randrange(len(below) + 1)] + [layer(source) for _ in range(source.randrange(1, 3))]
    with TemporaryDirectory(dir=scratch) as folder:
        place = Path(folder)
        old, new = save(source, place / "old.tar", below), save(source, place / "new.tar", above)
        store, update = Store(place / "store"), place / "update.tar"
        for exact in (False, True):
            context = UpdateContext(store=store, scratch=Store(place / "scratch"), reporter=Quiet())
            with open_parts(old) as before, open_parts(new) as after:
                policy = UpdatePolicy(exact=exact, force=True)
                request = UpdateRequest(target=target_of(before), new=after, references=(), policy=policy)
                made = make_update(request, context)
                write_update(made, update, context)
            with open_parts(old) as before:
                assert verify_update(update, before, scratch=Store(place / "proof")).findings == ()
            with tarfile.open(update) as archive:
                travels = {Path(name).name for name in archive.getnames()}
            assert not travels & {digest.hex for digest in made.omitted}
            assert (made.equals == made.image.id) == exact
            assert root_of(layers_of(update, old)) == root_of(above)
