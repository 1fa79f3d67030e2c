"""``[python] unverified``: wheels whose RECORD does not prove them are refused, or taken and said to be so."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.wheels.unverified import unverified_label, unverified_of
from tests.support.tiny import Tiny, build, make_tiny
from tests.support.wheels import make_wheel, record_line

KINDS = {
    "missing": None,
    "hashless": "loose.py,,",
    "weak": "loose.py,md5=xMpCOKC5I4INzFCab3WEmw,6",
    "absolute": record_line("/loose.py", b"x = 1\n"),
    "other": record_line("loose.py", b"x = 2\n"),
}


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project that builds."""
    return make_tiny(tmp_path / "project")


def loosen(tiny: Tiny, kind: str) -> None:
    """Give the project a wheel with such a line of RECORD."""
    make_wheel(tiny.wheels, "loose", files={"loose.py": "x = 1\n"}, record_lies={"loose.py": KINDS[kind]})
    tiny.lock()


def name_them(tiny: Tiny, *names: str) -> None:
    """Write them under ``[python] unverified``."""
    recipe = tiny.image / "image.toml"
    listed = json.dumps(list(names))
    recipe.write_text(recipe.read_text().replace("[python]\n", f"[python]\nunverified = {listed}\n"))


def installed(tiny: Tiny) -> dict[str, bytes]:
    """The files of the distribution in the image."""
    found: dict[str, bytes] = {}
    with tarfile.open(tiny.out) as image:
        for blob in image.getmembers():
            stream = image.extractfile(blob) if blob.isfile() else None
            if stream is None or stream.read(2) != b"\x1f\x8b":
                continue
            stream.seek(0)
            with tarfile.open(fileobj=stream) as layer:
                for member in layer.getmembers():
                    data = layer.extractfile(member) if "loose" in member.name and member.isfile() else None
                    if data is not None:
                        found[member.name.rpartition("site-packages/")[2]] = data.read()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_what_record_does_not_prove_is_refused_with_a_way_out_that_works(tiny: Tiny, kind: str) -> None:
    loosen(tiny, kind)
    ending = build(tiny)
    assert ending.code == 1 and "loose.py" in ending.said and "RECORD" in ending.said
    assert 'unverified = ["loose"]' in ending.said or "name it under [python] unverified in image.toml" in ending.said
    name_them(tiny, "Loose")
    assert build(tiny, "--verify").code == 0
    files = installed(tiny)
    assert files["loose.py"] == b"x = 1\n"
    rows = {row[0]: row for row in csv.reader(files["loose-1.0.dist-info/RECORD"].decode().splitlines())}
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).decode().rstrip("=")
    assert rows["loose.py"] == ["loose.py", f"sha256={digest}", "6"]


def test_an_image_says_what_was_not_verified(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loosen(tiny, "weak")
    name_them(tiny, "loose", "nobody")
    bill = tmp_path / "x.cdx.json"
    assert build(tiny, "--sbom", str(bill)).code == 0
    capsys.readouterr()
    assert main(["verify", str(tiny.out), "--lock", str(tiny.image / "pylock.toml")]) == 0
    said = capsys.readouterr()
    assert "loose 1.0 was not held to the digests in its RECORD" in said.out + said.err
    assert "nobody" not in said.out + said.err
    components = {each["name"]: each for each in json.loads(bill.read_bytes())["components"]}
    mark = {"name": "dev.ocibuild:unverified", "value": "true"}
    assert [name for name, each in components.items() if mark in each.get("properties", [])] == ["loose"]
    assert main(["sbom", str(tiny.out), "--out", str(tmp_path / "x.spdx.json")]) == 0
    packages = json.loads((tmp_path / "x.spdx.json").read_bytes())["packages"]
    assert [each["name"] for each in packages if "RECORD" in each.get("comment", "")] == ["loose"]


def test_without_such_wheels_an_image_says_nothing_of_it(tiny: Tiny) -> None:
    assert build(tiny).code == 0
    with tarfile.open(tiny.out) as image:
        texts = [stream.read() for each in image.getmembers() if (stream := image.extractfile(each)) is not None]
    assert not [text for text in texts if b"dev.ocibuild.unverified" in text]


def test_a_label_is_read_as_it_is_written_and_strange_ones_are_not_believed() -> None:
    names = ["loose 1.0", "a.b-c 2!1.0+x"]
    assert unverified_of({"Labels": unverified_label(names)}) == set(names)
    assert unverified_label([]) == {}
    strange: list[object] = [
        None,
        [],
        {"dev.ocibuild.unverified": "x\x1b[0m 1, , a b c"},
        {"dev.ocibuild.unverified": 1},
    ]
    for labels in strange:
        assert unverified_of({"Labels": labels}) == frozenset()
