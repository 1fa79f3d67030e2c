"""Archives that want more memory or time than there is, however they are read: refused early, and nothing is kept.

The kernel counts the memory, and the seconds of the processor; nobody asks a clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import bombs
from tests.support.archives import make_tar, member
from tests.support.bombs import LAYERS, MB
from tests.support.debian import ar

ROOT = Path(__file__).parents[3]
MOST = 256 * MB
SECONDS = 20

PROGRAM = """
import json, sys, time
from pathlib import Path
from oci_builder.inspect.reading import read_image
from oci_builder.verify.verify import verify_file
from oci_builder.debian.deb import read_deb
from oci_builder.errors import OcibuildError
from oci_builder.imported.opening import open_file
from oci_builder.reporter import Quiet
from oci_builder.platforms import AMD64
from oci_builder.store import Store

path, folder = Path(sys.argv[1]), Path(sys.argv[2])
ways = {
    "build": lambda: open_file(path, AMD64, store=Store(folder), reporter=Quiet()) and "read",
    "verify": lambda: "; ".join(verify_file(path).findings)[:300] or "read",
    "inspect": lambda: read_image(path) and "read",
    "package": lambda: read_deb(path, folder / "spool", origin="it") and "read",
}
said = {}
for way in sys.argv[3:]:
    try:
        said[way] = ways[way]()
    except OcibuildError as error:
        said[way] = f"refused: {error}"[:300]
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"said": said, "memory": peak, "seconds": time.process_time()}))
"""
IMAGE = ("build", "verify", "inspect")


def read(path: Path, *ways: str) -> dict[str, str]:
    """What a process says that reads a file in each of these ways, within the memory and the seconds there are."""
    cache = path.parent / "cache"
    cache.mkdir()
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(path), str(cache), *ways]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.fail(done.stderr)
    found = json.loads(done.stdout)
    assert found["memory"] < MOST, f"{found['memory'] // MB} MB: {found['said']}"
    assert found["seconds"] < SECONDS * len(ways), found
    said: dict[str, str] = found["said"]
    if figures := os.environ.get("BOMBS"):
        with Path(figures).open("a") as sink:
            sink.write(f"{path.parent.name}: {found['memory'] // MB} MB, {found['seconds']:.1f} s: {said}\n")
    return said


def kept(folder: Path) -> list[str]:
    """What a cache holds."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "lock"]


@pytest.mark.parametrize("make", LAYERS.values(), ids=list(LAYERS))
def test_a_layer_that_wants_too_much_is_refused_and_nothing_of_it_is_kept(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    diff_id = bombs.packed_layer(make(), tmp_path / "l")
    said = read(bombs.save(tmp_path / "x.tar", tmp_path / "l", diff_id), *IMAGE)
    if said["build"] != "read":
        assert said["build"].startswith("refused: ") and "layer 1" in said["build"], said
        assert "layer 1" in said["verify"] and said["inspect"].startswith("refused: "), said
        assert kept(tmp_path / "cache") == []


def test_a_window_that_no_decoder_has_to_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(bombs.zstd_window())
    said = read(bombs.save(tmp_path / "x.tar", tmp_path / "l", "0" * 64), *IMAGE)
    assert all("not valid zstd" in text for text in said.values()), said


def test_more_layers_than_docker_mounts_are_not_opened(tmp_path: Path) -> None:
    diff_id = bombs.packed_layer([make_tar(member("x"))[:512]], tmp_path / "l")
    said = read(bombs.save(tmp_path / "x.tar", tmp_path / "l", diff_id, times=20_000), *IMAGE)
    assert all("20000 layers, and Docker mounts 125 at most" in text for text in said.values()), said


def test_an_archive_of_very_many_members_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x.tar").open("wb") as sink:
        for number in range(50_000):
            sink.write(bombs.header(f"{number}"))
        sink.write(bombs.END)
    said = read(tmp_path / "x.tar", *IMAGE)
    assert all("more than 20000 entries" in text for text in said.values()), said


@pytest.mark.parametrize("make", [bombs.headers_in_a_row, bombs.link_targets, bombs.long_paths])
def test_an_archive_is_read_by_the_rules_of_its_layers(make: Callable[[], Any], tmp_path: Path) -> None:
    with (tmp_path / "x.tar").open("wb") as sink:
        for piece in make():
            sink.write(piece)
    said = read(tmp_path / "x.tar", *IMAGE)
    assert not [text for text in said.values() if text == "read"], said


def test_an_index_that_holds_itself_is_followed_once(tmp_path: Path) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    itself = {"mediaType": kind, "digest": f"sha256:{'1' * 64}", "size": 1}
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [itself] * 20_000}).encode()
    (tmp_path / "x" / "blobs" / "sha256").mkdir(parents=True)
    (tmp_path / "x" / "blobs" / "sha256" / ("1" * 64)).write_bytes(index)
    (tmp_path / "x" / "index.json").write_bytes(index)
    (tmp_path / "x" / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    said = read(tmp_path / "x", *IMAGE)
    assert not [text for text in said.values() if text == "read"], said


@pytest.mark.parametrize("fill", [b"[],"])
def test_a_document_of_very_many_things_is_read_or_refused(fill: bytes, tmp_path: Path) -> None:
    filling = fill * ((4 * MB - 100) // len(fill))
    documents = {"manifest.json": b"[" + filling + b"0]", "index.json": b'{"manifests":[' + filling + b"0]}"}
    (tmp_path / "x.tar").write_bytes(make_tar(*(member(name, data=data) for name, data in documents.items())))
    said = read(tmp_path / "x.tar", *IMAGE)
    assert not [text for text in said.values() if text == "read"], said


CONTROL = make_tar(member("./control", data=b"Package: x\n"))
PLAIN = {"debian-binary": b"2.0\n", "control.tar": CONTROL, "data.tar": make_tar()}
PACKAGES: dict[str, Callable[[], dict[str, bytes]]] = {
    "a dictionary of 4 GiB": lambda: {"data.tar.xz": bombs.xz_memory(make_tar(member("x")))},
    "headers in a row": lambda: {"data.tar": b"".join(bombs.headers_in_a_row())[: 4 * MB]},
    "records": lambda: {"data.tar": b"".join(bombs.records())[: 4 * MB]},
    "link targets": lambda: {"data.tar": b"".join(bombs.link_targets())[: 4 * MB]},
    "much to describe": lambda: {"control.tar": make_tar(member("./md5sums", data=bytes(20 * MB)))},
    "very many scripts": lambda: {"control.tar": b"".join(bombs.header(f"./{name}") for name in range(5000))},
}


@pytest.mark.parametrize("make", PACKAGES.values(), ids=list(PACKAGES))
def test_a_package_that_wants_too_much_is_refused(make: Callable[[], dict[str, bytes]], tmp_path: Path) -> None:
    changed = make()
    parts = {name: data for name, data in PLAIN.items() if name.partition(".")[0] not in {*map(_kind, changed)}}
    order = sorted({**parts, **changed}.items(), key=lambda part: ("debian", "control", "data").index(_kind(part[0])))
    (tmp_path / "x.deb").write_bytes(ar(dict(order)))
    assert "not a readable .deb" in read(tmp_path / "x.deb", "package")["package"]


def _kind(name: str) -> str:
    return name.partition(".")[0].partition("-")[0]
