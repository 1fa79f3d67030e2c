"""Files out of another image, as a Dockerfile's ``COPY --from`` takes them: podman builds the same."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.support.engines import DockerLike
from tests.support.readers import gunzipped
from tests.support.sources import COPIES, NAME, save_source
from tests.support.tiny import IMAGE, built, make_tiny

pytestmark = pytest.mark.real

Row = tuple[int, int, int, bytes, str, bytes, float]


def merged(path: Path) -> dict[str, Row]:
    """What lies below /o in an image's file, but for the folders that only lead there; later layers on earlier ones."""
    found: dict[str, Row] = {}
    with tarfile.open(path) as archive:

        def content(name: str) -> bytes:
            stream = archive.extractfile(name)
            assert stream is not None
            return stream.read()

        for name in json.loads(content("manifest.json"))[0]["Layers"]:
            data = content(name)
            plain = gunzipped(data) if data[:2] == b"\x1f\x8b" else data
            with tarfile.open(fileobj=io.BytesIO(plain)) as layer:
                for each in layer:
                    if each.name.startswith("o/") and each.name not in ("o/bin", "o/two"):
                        found[each.name] = row(layer, each)
    return found


def row(layer: tarfile.TarFile, each: tarfile.TarInfo) -> Row:
    """What counts of a member: a hard link is the file that it repeats, and no folder's time is anybody's."""
    stream = layer.extractfile(each) if each.isfile() or each.islnk() else None
    data = stream.read() if stream is not None else b""
    target = each.linkname if each.issym() else ""
    kind = tarfile.REGTYPE if each.islnk() else each.type
    mode = 0 if each.issym() else each.mode & 0o7777
    return (mode, each.uid, each.gid, kind, target, data, each.mtime if each.isfile() or each.islnk() else 0.0)


def test_podman_copies_the_same_out_of_an_image(tmp_path: Path, podman: DockerLike) -> None:
    tiny = make_tiny(tmp_path / "project")
    source = save_source(tmp_path / "project" / "build" / "app" / "source.tar")
    name = podman.load(source)
    lines = [f"COPY --from={name} --chown=0:0 {path} {dest}" for path, dest in COPIES]
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("\n".join(["FROM scratch", *lines, ""]))
    theirs = tmp_path / "theirs.tar"
    podman.call("build", "--pull=never", "--isolation", "chroot", "--tag", NAME, context)
    podman.call("save", "--output", theirs, NAME)
    podman.remove(NAME)
    tables = [f'[[copy]]\nfrom = "./source.tar"\nsrc = "{path}"\ndest = "{dest}"\n' for path, dest in COPIES]
    (tiny.image / "image.toml").write_text(IMAGE + "".join(tables))
    built(tiny)
    assert merged(tiny.out) == merged(theirs)
