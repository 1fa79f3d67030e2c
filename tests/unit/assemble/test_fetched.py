"""Files of the internet in images: from a server on this machine, known by their digest."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.readers import gunzipped
from tests.support.tiny import IMAGE, NAME, Tiny, build, built, make_tiny
from tests.support.webserver import WebServer, serving


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "web").mkdir()
    with serving(tmp_path / "web") as running:
        yield running


def offer(server: WebServer, name: str, data: bytes) -> str:
    """Put a file on the server; the digest of it."""
    assert server.folder is not None
    (server.folder / name).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def want(tiny: Tiny, server: WebServer, name: str, sha256: str, *lines: str) -> None:
    text = "".join(f"{line}\n" for line in lines)
    table = f'[[fetch]]\nurl = "{server.url}/{name}"\nsha256 = "{sha256}"\n{text}'
    (tiny.image / "image.toml").write_text(IMAGE + table)


def layers(tiny: Tiny) -> list[dict[str, tuple[tarfile.TarInfo, bytes]]]:
    with tarfile.open(tiny.out) as archive:

        def read(name: str) -> bytes:
            stream = archive.extractfile(name)
            assert stream is not None
            return stream.read()

        found = []
        for name in json.loads(read("manifest.json"))[0]["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(gunzipped(read(name)))) as layer:
                found.append({each.name: (each, _content(layer, each)) for each in layer})
        return found


def _content(layer: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = layer.extractfile(member) if member.isfile() else None
    return stream.read() if stream is not None else b""


def test_a_file_is_in_a_layer_of_its_own_and_is_fetched_once(tiny: Tiny, server: WebServer) -> None:
    sha256 = offer(server, "model.bin", b"weights" * 1000)
    want(tiny, server, "model.bin", sha256, 'dest = "/models/"', 'owner = "user"', 'mode = "0600"')
    first = built(tiny)
    (layer,) = [each for each in layers(tiny) if "models/model.bin" in each]
    member, data = layer["models/model.bin"]
    assert data == b"weights" * 1000 and (member.mode, member.uid, member.gid) == (0o600, 1000, 1000)
    assert {name for name, (each, _) in layer.items() if each.isfile()} == {"models/model.bin"}
    (tiny.image / "requirements.txt").write_text("whole==3.0\n# another line\n")
    tiny.out.unlink()
    assert built(tiny) == first and server.paths == ["/model.bin"]


def tar_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid = len(data), 0o750 if name.endswith("run") else 0o600, 42
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("top-1.0/link")
        link.type, link.linkname = tarfile.SYMTYPE, "bin/run"
        archive.addfile(link)
    return out.getvalue()


def zip_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (0o100755 if name.endswith("run") else 0o100644) << 16
            archive.writestr(info, data)
    return out.getvalue()


MEMBERS = {"top-1.0/bin/run": b"#!", "top-1.0/doc/a.txt": b"a", "top-1.0/doc/b.txt": b"b", "README": b"no"}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "a.tar": bytes,
    "a.tar.gz": gzip.compress,
    "a.tgz": gzip.compress,
    "a.tar.bz2": bz2.compress,
    "a.tar.xz": lzma.compress,
    "a.zip": lambda _: zip_of(MEMBERS),
}


@pytest.mark.parametrize("name", PACKED)
def test_an_archive_is_unpacked_without_its_leading_folders(tiny: Tiny, server: WebServer, name: str) -> None:
    sha256 = offer(server, name, PACKED[name](tar_of(MEMBERS)))
    want(tiny, server, name, sha256, 'dest = "/opt/it"', "unpack = true", "strip = 1", 'exclude = ["doc/b.*"]')
    built(tiny)
    (layer,) = [each for each in layers(tiny) if "opt/it/bin/run" in each]
    files = {name: (member.mode, data) for name, (member, data) in layer.items() if member.isfile()}
    assert files == {"opt/it/bin/run": (0o755, b"#!"), "opt/it/doc/a.txt": (0o644, b"a")}
    assert all(member.uid == 0 for member, _ in layer.values())
    if name != "a.zip":
        assert layer["opt/it/link"][0].linkname == "bin/run"


def test_another_file_than_the_one_that_was_meant_is_refused(tiny: Tiny, server: WebServer) -> None:
    found = offer(server, "model.bin", b"other")
    want(tiny, server, "model.bin", "0" * 64, 'dest = "/models/"')
    ending = build(tiny)
    assert ending.code == 1 and f'write sha256 = "{found}"' in ending.said and not tiny.out.exists()
    want(tiny, server, "model.bin", found, 'dest = "/models/"')
    built(tiny)


def test_what_is_not_there_is_named(tiny: Tiny, server: WebServer) -> None:
    want(tiny, server, "gone.bin", "0" * 64, 'dest = "/models/"')
    ending = build(tiny)
    assert ending.code == 1 and f"{server.url}/gone.bin" in ending.said and "404" in ending.said


def test_a_broken_connection_is_tried_again_from_the_beginning(tiny: Tiny, server: WebServer) -> None:
    sha256 = offer(server, "model.bin", b"weights" * 1000)
    server.faults["/model.bin"] = [(200, {"Content-Length": "7000"}, b"weights"), (503, {"Retry-After": "0"}, b"")]
    want(tiny, server, "model.bin", sha256, 'dest = "/models/m"')
    built(tiny)
    assert server.paths == ["/model.bin"] * 3


def test_without_a_network_it_comes_from_beside_the_recipe(tiny: Tiny, server: WebServer, tmp_path: Path) -> None:
    sha256 = offer(server, "model.bin", b"weights")
    want(tiny, server, "model.bin", sha256, 'dest = "/models/m"')
    ending = build(tiny, "--offline")
    assert ending.code == 2 and "ocibuild download" in ending.said
    words = ("--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--progress", "none")
    assert main(["download", NAME, *words]) == 0
    assert (tiny.image / "fetched" / f"{sha256[:16]}-model.bin").read_bytes() == b"weights"
    tiny.forget()
    built(tiny, "--offline")
    assert server.paths == ["/model.bin"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['dest = "models"'], "fetch[0].dest"),
        (['dest = "/a"', "strip = 1"], "write unpack = true"),
        (['dest = "/a"', "unpack = true"], "is no archive by its name"),
        (['dest = "/a"', 'mode = "rw"'], "fetch[0].mode"),
    ],
)
def test_a_table_that_cannot_be_is_refused(tiny: Tiny, server: WebServer, lines: list[str], said: str) -> None:
    want(tiny, server, "model.bin", "0" * 64, *lines)
    ending = build(tiny)
    assert ending.code == 2 and said in ending.said and server.paths == []


def hostile_tar(name: str, **more: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        for key, value in more.items():
            setattr(info, key, value)
        archive.addfile(info)
    return out.getvalue()


# By name: what gzip packs tells of the second in which it did, and no two workers would know the tests by one name.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "above": lambda: hostile_tar("../out"),
    "absolute": lambda: hostile_tar("/etc/out"),
    "absolute link": lambda: hostile_tar("link", type=tarfile.SYMTYPE, linkname="/etc"),
    "link above": lambda: hostile_tar("link", type=tarfile.SYMTYPE, linkname="../../x"),
    "pipe": lambda: hostile_tar("pipe", type=tarfile.FIFOTYPE),
    "text": lambda: b"no archive",
    "packed text": lambda: gzip.compress(b"no tar" * 1000),
    "cut off": lambda: tar_of(MEMBERS)[:700],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_archive_that_leads_out_or_is_none_is_refused(tiny: Tiny, server: WebServer, name: str) -> None:
    data = HOSTILE[name]()
    want(tiny, server, "a.tar.gz", offer(server, "a.tar.gz", data), 'dest = "/opt"', "unpack = true")
    ending = build(tiny)
    if ending.code == 0:
        # tarfile takes the leading slash away: it landed where everything of it lands.
        assert any("opt/etc/out" in each for each in layers(tiny))
    else:
        assert ending.code == 1 and "a.tar.gz" in ending.said and not tiny.out.exists()
