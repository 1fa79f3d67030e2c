"""Whatever a tar says, a layer of it is refused, or read, and written again, as Python's tarfile reads it."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oci_builder.errors import OcibuildError
from oci_builder.imported.names import readable
from oci_builder.imported.opening import ForeignImage, open_file
from oci_builder.inspect.reading import read_image
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.entry import Kind
from oci_builder.verify.verify import verify_file
from tests.support.bombs import record
from tests.support.imported import config_of, save_like_old_docker

PARTS = st.sampled_from(
    ["a", "b", "c", "ü", "\udce4", "a b", "a\nb", "\\xe4", ".", "", ".wh.a", ".wh..wh..opq", "n" * 20]
)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
KINDS = st.sampled_from([*b"0123456\0SZ"]).map(lambda kind: bytes([kind]))
NUMBERS = st.sampled_from([0, 1, 1000, -1, 8**7, 2**31, 2**32 - 1, 2**33, 2**55])
TEXTS = st.sampled_from(
    [
        b"7",
        b"-7",
        b"1.5",
        b"-1.5",
        b"nan",
        b"inf",
        b"1e9",
        b"1_0",
        "٣".encode(),
        b"9" * 30,
        b"a/b",
        b"\xe4",
        b"x\0y",
    ]
)
KEYS = st.sampled_from(["path", "linkpath", "size", "uid", "gid", "mtime", "atime", "comment", "GNU.sparse.major"])


@st.composite
def tars(draw: st.DrawFn) -> bytes:
    """A tar of a few members, most of them possible, with records before some that say something else."""
    out = b""
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.integers(0, 3)) == 0:
            records = b"".join(record(draw(KEYS), draw(TEXTS)) for _ in range(draw(st.integers(1, 3))))
            out += _header("x", b"x", size=len(records)) + records + bytes(-len(records) % 512)
        data = draw(st.binary(max_size=600))
        kind = draw(st.one_of(st.just(b"0"), st.just(b"5"), KINDS))
        out += _header(
            draw(NAMES),
            kind,
            target=draw(NAMES) if kind in b"12" else "",
            size=len(data) if kind in b"0\0" else 0,
            uid=draw(st.one_of(st.just(0), NUMBERS)),
            mtime=draw(st.one_of(st.just(7), NUMBERS)),
        )
        if kind in b"0\0":
            out += data + bytes(-len(data) % 512)
    return out + bytes(1024)


def _header(name: str, kind: bytes, **fields: Any) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, fields.pop("target", "")
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tars())
def test_an_odd_tar_is_refused_or_read_as_others_read_it(tar: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save_like_old_docker(Path(folder, "x.tar"), [tar], config_of([tar]))
        store = Store(Path(folder, "cache"))
        for look in (verify_file, read_image):
            try:
                look(path)
            except OcibuildError as error:
                str(error).encode()
        try:
            image = open_file(path, AMD64, store=store, reporter=Quiet())
        except OcibuildError as error:
            str(error).encode()
            assert not list((store.root / "v1" / "blobs" / "sha256").iterdir())
            return
        assert seen(image) == told(tar)
        assert [*open_file(path, AMD64, store=store, reporter=Quiet()).tree] == [*image.tree]
        _check_again(image, store)


def seen(image: ForeignImage) -> dict[str, tuple[str, int, str]]:
    """The files, folders and links that we see."""
    return {
        entry.path: (entry.kind.value, entry.size if entry.kind is Kind.FILE else 0, entry.target)
        for entry in image.tree
    }


def told(tar: bytes) -> dict[str, tuple[str, int, str]]:
    """Those that tarfile sees; hard links are the files they repeat."""
    found: dict[str, tuple[str, int, str]] = {}
    with tarfile.open(fileobj=io.BytesIO(tar), encoding="utf-8", errors="surrogateescape") as archive:
        for info in archive:
            name = "/".join(part for part in info.name.split("/") if part not in ("", "."))
            if not name or name.startswith(".wh..wh.") or name.rpartition("/")[2].startswith(".wh.") or info.isdev():
                continue
            if info.islnk():
                target = "/".join(part for part in info.linkname.split("/") if part not in ("", "."))
                if target in found:  # else a second name of a device
                    found[name] = found[target]
            else:
                kind = "directory" if info.isdir() else "symlink" if info.issym() else "file"
                found[name] = (kind, info.size if kind == "file" else 0, info.linkname if info.issym() else "")
    return found


def _check_again(image: ForeignImage, store: Store) -> None:
    """What was read is written by us, remembered, and read by tarfile: the same."""
    with_content = [each for each in image.tree if each.kind is not Kind.FILE or each.content is not None]
    if len(with_content) < len(image.tree):
        return  # a hard link to what lies in no layer
    layer = write_layer(image.tree, store, created_by="test", holds=())
    keep(layer, LayerKey("0" * 64), store)
    found = find(LayerKey("0" * 64), store)
    assert isinstance(found, Layer) and list(found.entries) == list(layer.entries)
    written = store.read(layer.descriptor.digest, layer.descriptor.size)
    with tarfile.open(fileobj=io.BytesIO(written), mode="r:gz", encoding="utf-8", errors="surrogateescape") as archive:
        again = {info.name: info for info in archive}
    assert again.keys() == seen(image).keys()
    for entry in image.tree:
        assert (again[entry.path].size, again[entry.path].linkname) == (entry.size, entry.target)
        assert readable(entry.path).encode()
