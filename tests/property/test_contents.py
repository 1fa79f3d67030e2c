"""Whatever bytes are given for an image, what comes back is its contents or one of our errors."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from oci_builder.errors import OcibuildError
from oci_builder.inspect.inspect import describe
from oci_builder.inspect.packages import inventory
from oci_builder.inspect.reading import read_image
from oci_builder.inspect.sizes import size_tree
from oci_builder.oci.jsonio import encode
from oci_builder.report import render
from oci_builder.sbom import bill_of_materials
from tests.support.archives import make_tar, member
from tests.support.installed import SITE, distribution, docker_save, image_file, layer, package

PARTS = layer(distribution("demo", requires=["tool"], requested=True), package("libc6", fields="Depends: x (>= 1)\n"))
CONFIG = encode({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
TEXT = st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=60)


def look(path: Path) -> None:
    """All that can be derived from an image file, or one of our errors."""
    try:
        contents = read_image(path)
    except OcibuildError:
        return
    found = inventory(contents)
    describe(found)
    size_tree(found)
    render(found)
    bill_of_materials(found, "cyclonedx", tool_version="0")
    bill_of_materials(found, "spdx", tool_version="0")


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_no_bug_of_ours(at: float, bit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = image_file(Path(folder) / "x.tar", PARTS)
        data = bytearray(path.read_bytes())
        data[int(at * len(data))] ^= 1 << bit
        path.write_bytes(data)
        look(path)


@settings(max_examples=60, deadline=None)
@given(at=st.floats(0, 0.999), bit=st.integers(0, 7), packed=st.booleans())
def test_a_flipped_bit_in_a_layer_that_nobody_vouches_for_is_none_either(at: float, bit: int, packed: bool) -> None:
    data = bytearray(gzip.compress(PARTS, mtime=0) if packed else PARTS)
    data[int(at * len(data))] ^= 1 << bit
    with tempfile.TemporaryDirectory() as folder:
        look(docker_save(Path(folder) / "x.tar", [bytes(data)], CONFIG))


@settings(max_examples=80, deadline=None)
@given(
    metadata=TEXT,
    fields=st.lists(st.tuples(st.sampled_from(["Name", "Version", "License", "Requires-Dist", "Summary"]), TEXT)),
    record=TEXT,
    url=TEXT,
    status=TEXT,
    bill=TEXT,
)
def test_files_that_describe_packages_may_say_anything(
    metadata: bytes, fields: list[tuple[str, bytes]], record: bytes, url: bytes, status: bytes, bill: bytes
) -> None:
    head = b"Name: demo\nVersion: 1\n" + b"".join(name.encode() + b": " + value + b"\n" for name, value in fields)
    info = f"{SITE}/demo-1.dist-info"
    parts = {
        f"{info}/METADATA": head + metadata,
        f"{info}/RECORD": record,
        f"{info}/direct_url.json": url,
        f"{info}/sboms/x.json": b'{"bomFormat":"CycloneDX","components":[{"name":"x","purl":' + bill + b"}]}",
        "var/lib/dpkg/status": b"Package: x\nVersion: 1\nStatus: install ok installed\nDepends: " + status,
        "var/lib/dpkg/status.d/y": b"Package: " + status + b"\nVersion: " + record,
        "etc/os-release": b"ID=" + status,
    }
    with tempfile.TemporaryDirectory() as folder:
        look(image_file(Path(folder) / "x.tar", layer(parts)))


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name), max_size=5),
    tail=st.sampled_from(["x-1.dist-info/METADATA", "x", "x-1.dist-info/sboms/a.json"]),
)
def test_paths_may_be_anything(names: list[bytes], tail: str) -> None:
    members = [member(f"{name.decode('utf-8', 'surrogateescape')}/{tail}", data=b"Name: x") for name in names]
    with tempfile.TemporaryDirectory() as folder:
        tar = make_tar(*members, encoding="utf-8", errors="surrogateescape")
        look(docker_save(Path(folder) / "x.tar", [tar], CONFIG))


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=20), min_size=6, max_size=6), inside=st.dictionaries(st.text(), st.integers()))
def test_configurations_may_say_anything(texts: list[str], inside: dict[str, int]) -> None:
    labels = {"org.opencontainers.image.title": texts[0], texts[1]: inside}
    document = {
        "os": texts[2],
        "architecture": texts[3],
        "created": texts[4],
        "config": {"Labels": labels, "Env": texts, texts[5]: [inside]},
        "history": [{"created_by": texts[5]}, texts[0]],
        "rootfs": {"diff_ids": texts[:1]},
    }
    with tempfile.TemporaryDirectory() as folder:
        look(docker_save(Path(folder) / "x.tar", [PARTS], json.dumps(document).encode()))
