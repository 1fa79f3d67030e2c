"""A file of the same bytes is verified once for the page that shows it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from oci_builder.store import Store
from oci_builder.verify.memory import known_findings
from oci_builder.verify.verify import verify_file
from tests.support.archives import make_tar, member
from tests.support.installed import image_file, unpacked

GOOD = make_tar(member("f", data=b"one"))
BAD = make_tar(member("f", tarfile.LNKTYPE, target="not/there"))


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    seen: list[Path] = []

    def counted(path: Path) -> object:
        seen.append(path)
        return verify_file(path)

    monkeypatch.setattr("oci_builder.verify.memory.verify_file", counted)
    return seen


@pytest.mark.parametrize("layer", [GOOD, BAD])
def test_what_was_found_is_said_again(layer: bytes, store: Store, tmp_path: Path, verified: list[Path]) -> None:
    place = image_file(tmp_path / "x.tar", layer)
    found = [known_findings(place, store) for _ in range(3)]
    assert found == [verify_file(place).findings] * 3
    assert bool(found[0]) is (layer is BAD)
    assert verified == [place]


def test_another_file_of_the_name_is_verified(store: Store, tmp_path: Path, verified: list[Path]) -> None:
    assert known_findings(image_file(tmp_path / "x.tar", GOOD), store) == ()
    assert known_findings(image_file(tmp_path / "x.tar", BAD), store)
    assert len(verified) == 2


def test_folders_are_read_each_time_and_so_is_all_where_there_is_no_cache(
    store: Store, tmp_path: Path, verified: list[Path]
) -> None:
    place = image_file(tmp_path / "x.tar", GOOD)
    root = unpacked(place, tmp_path / "folder")
    for _ in range(2):
        assert known_findings(root, store) == known_findings(place, None) == ()
    assert len(verified) == 4
