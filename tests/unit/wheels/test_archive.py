"""Opening wheels: what is named, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from oci_builder.errors import DigestMismatch, OcibuildError, UnsafePath, WheelError
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import DeflateSlice
from oci_builder.wheels.archive import open_wheel
from tests.support.wheels import add_member, corrupt, make_wheel


def test_every_member_is_a_deflate_stream_with_the_digest_of_record(tmp_path: Path) -> None:
    text = b"x = 1\n" * 100
    wheel = make_wheel(tmp_path, files={"demo/__init__.py": text})
    archive = open_wheel(wheel, wheel.name)
    content = archive.members["demo/__init__.py"].content
    assert isinstance(content, DeflateSlice)
    assert content.expected == ("sha256", hashlib.sha256(text).digest())
    with MappedFiles() as sources:
        assert sources.read(content, what="it") == text


def test_stored_members_are_read_too(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, files={"demo.py": b"y"}, compression=zipfile.ZIP_STORED)
    assert open_wheel(wheel, wheel.name).read("demo.py") == b"y"


def test_the_spelling_of_the_dist_info_folder_is_free(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "foo.bar", filename="Foo_Bar-1.0-py3-none-any.whl")
    archive = open_wheel(wheel, wheel.name)
    assert (archive.dist_info, archive.origin) == ("foo.bar-1.0.dist-info", "foo-bar 1.0")


def test_a_member_that_record_does_not_list_is_refused(tmp_path: Path) -> None:
    wheel = add_member(make_wheel(tmp_path), "sneaky.py", b"")
    with pytest.raises(WheelError, match=r"sneaky\.py has no digest in RECORD"):
        open_wheel(wheel, wheel.name)


def test_a_file_that_record_lists_must_be_there(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path, record_lies={"gone.py": "gone.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0"}
    )
    with pytest.raises(WheelError, match=r"RECORD lists gone\.py, which is not in the wheel"):
        open_wheel(wheel, wheel.name)


def test_content_that_record_does_not_promise_is_noticed_when_read(tmp_path: Path) -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"other").digest()).decode().rstrip("=")
    wheel = make_wheel(tmp_path, files={"demo.py": b"12345"}, record_lies={"demo.py": f"demo.py,sha256={digest},5"})
    archive = open_wheel(wheel, wheel.name)
    with pytest.raises(DigestMismatch, match=r"demo\.py: expected sha256:") as caught:
        archive.read("demo.py")
    assert caught.value.hint and "RECORD" in caught.value.hint


def test_a_size_that_record_does_not_promise_is_refused(tmp_path: Path) -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"1").digest()).decode().rstrip("=")
    wheel = make_wheel(tmp_path, files={"demo.py": b"1"}, record_lies={"demo.py": f"demo.py,sha256={digest},2"})
    with pytest.raises(WheelError, match="is 1 bytes, RECORD says 2"):
        open_wheel(wheel, wheel.name)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "nonsense"])
def test_weak_digests_in_record_are_refused(tmp_path: Path, algorithm: str) -> None:
    wheel = make_wheel(tmp_path, files={"demo.py": b"1"}, record_lies={"demo.py": f"demo.py,{algorithm}=abcd,1"})
    with pytest.raises(WheelError, match="sha256 or better"):
        open_wheel(wheel, wheel.name)


@pytest.mark.parametrize("name", ["../evil.py", "/etc/passwd", "a/../../evil.py", "demo/.wh.gone"])
def test_a_name_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    wheel = make_wheel(tmp_path, files={name: b"import os\n"})
    with pytest.raises(UnsafePath) as caught:
        open_wheel(wheel, wheel.name)
    assert wheel.name in str(caught.value) and name in str(caught.value)


def test_a_cut_off_wheel_says_so(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    wheel.write_bytes(wheel.read_bytes()[:-40])
    with pytest.raises(WheelError, match=r"demo-1\.0-py3-none-any\.whl: not a readable zip archive") as caught:
        open_wheel(wheel, wheel.name)
    assert caught.value.hint == "the download was cut off or changed; get it again"


def test_a_wheel_of_another_project_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", filename="other-1.0-py3-none-any.whl")
    with pytest.raises(WheelError, match="belongs to another distribution"):
        open_wheel(wheel, wheel.name)


def test_members_that_overlap_are_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, files={"a.py": b"1" * 50, "b.py": b"2" * 50})
    data = bytearray(wheel.read_bytes())
    # Point the second directory entry at the first one's local header.
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + 42 : second + 46] = bytes(4)
    wheel.write_bytes(data)
    with pytest.raises(WheelError, match=r"damaged or overlaps another|not a readable zip"):
        open_wheel(wheel, wheel.name)


def test_any_flipped_bit_of_a_wheel_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    good = make_wheel(tmp_path / "good", files={"demo.py": b"print('demo')\n" * 20})
    expected = {path: open_wheel(good, good.name).read(path) for path in open_wheel(good, good.name).members}
    for position in range(0, good.stat().st_size, 7):
        (tmp_path / "bad").mkdir(exist_ok=True)
        bad = tmp_path / "bad" / good.name
        bad.write_bytes(good.read_bytes())
        corrupt(bad, at=position)
        try:
            archive = open_wheel(bad, bad.name)
            found = {path: archive.read(path) for path in archive.members}
        except OcibuildError:
            continue
        # What is left: bits that say nothing of the content, such as a zip entry's time.
        assert found == expected, position
