"""``ocibuild verify --rebuild``: the same bytes again, or the first difference."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.errors import UnsupportedImage
from oci_builder.export.docker_archive import write_file
from oci_builder.image import Image
from oci_builder.layer import write_layer
from oci_builder.oci.documents import RunConfig
from oci_builder.platforms import AMD64
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, file, symlink
from oci_builder.tree.tree import Tree
from oci_builder.verify.reproduce import first_difference, identity
from tests.support.tiny import IMAGE, NAME, Tiny, built, make_tiny
from tests.support.wheels import make_wheel


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A project, built."""
    tiny = make_tiny(tmp_path_factory.mktemp("rebuild") / "project")
    built(tiny, "--tag", "registry.example/team/app:1.2")
    return tiny


@pytest.fixture
def tiny(done: Tiny, tmp_path: Path) -> Tiny:
    shutil.copytree(done.root, tmp_path / "project")
    return Tiny(tmp_path / "project")


def verify(tiny: Tiny, *words: str) -> int:
    """Run ``ocibuild verify`` on the image, in this process."""
    places = ("--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--progress", "none")
    return main(["verify", str(tiny.out), *words, *places])


def test_an_image_is_built_again_by_its_tag_and_is_the_same(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in tiny.root.iterdir())
    assert verify(tiny, "--rebuild") == 0
    assert "its recipe gives the same bytes" in capsys.readouterr().err
    assert sorted(path.name for path in tiny.root.iterdir()) == before


def test_no_layer_is_taken_from_the_cache(tiny: Tiny) -> None:
    records = tiny.cache / "v1" / "records" / "layer"
    before = {path.name: path.stat().st_mtime_ns for path in records.iterdir()}
    shutil.rmtree(tiny.debs)
    shutil.rmtree(tiny.cache / "v1" / "blobs" / "sha256")
    (tiny.cache / "v1" / "blobs" / "sha256").mkdir()
    assert verify(tiny, "--rebuild", NAME) == 1
    assert {path.name: path.stat().st_mtime_ns for path in records.iterdir()} == before


def test_another_wheel_is_named_with_its_layer_and_file(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    make_wheel(tiny.wheels, "tool", "2.0", files={"tool.py": "VERSION = '2.x'\n"})
    tiny.lock()
    assert verify(tiny, "--rebuild", NAME) == 3
    said = capsys.readouterr().err
    assert "layer 2 (ocibuild wheels: many 1.0, tool 2.0, whole 3.0): " in said


def test_a_changed_recipe_is_named_with_its_key(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny.image / "image.toml").write_text(f'{IMAGE}[config]\nenv = {{ A = "b" }}\n')
    assert verify(tiny, "--rebuild") == 3
    assert "the configuration: config.Env: " in capsys.readouterr().err


def test_what_a_build_was_told_has_to_be_repeated(tiny: Tiny) -> None:
    built(tiny, "--label", "a=b", "--epoch", "7")
    assert verify(tiny, "--rebuild") == 3
    assert verify(tiny, "--rebuild", "--label", "a=b") == 0


def test_a_compressed_file_is_compared_as_it_is(tiny: Tiny) -> None:
    packed = tiny.root / "app.tar.gz"
    built(tiny, "--out", str(packed))
    places = ("--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--progress", "none")
    assert main(["verify", str(packed), "--rebuild", *places]) == 0


def test_a_name_without_rebuild_is_a_slip(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(tiny, NAME) == 2
    assert "goes with --rebuild" in capsys.readouterr().err


def image_of(folder: Path, *entries: Entry, created_by: str = "made") -> Path:
    """An image of one layer, in a file."""
    folder.mkdir()
    store = Store(folder / "store")
    layer = write_layer(Tree(entries), store, created_by=created_by, holds=())
    image = Image(platform=AMD64, run=RunConfig(), created=0).append(layer)
    write_file(image, folder / "i.tar", references=[Reference.parse("i")], store=store, reporter=Quiet())
    return folder / "i.tar"


LONG = b"x" * 300_000


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ([file("f", b"abc", origin="t")], [file("f", b"abd", origin="t")], "layer 1 (made): f differs at byte 2"),
        ([file("f", LONG, origin="t")], [file("f", LONG[:-1] + b"y", origin="t")], "f differs at byte 299999"),
        ([file("f", b"a", origin="t")], [file("f", b"ab", origin="t")], "f: size 1, rebuilt 2"),
        ([file("f", b"", origin="t")], [file("g", b"", origin="t")], "f stands where the rebuilt image has g"),
        ([file("f", b"", origin="t", mode=0o755)], [file("f", b"", origin="t")], "f: mode 0o755, rebuilt 0o644"),
        ([symlink("l", "a", origin="t")], [symlink("l", "b", origin="t")], "l: target 'a', rebuilt 'b'"),
        ([file("f", b"", origin="t")], [], "f is in the given image alone"),
        ([], [file("f", b"", origin="t")], "f is in the rebuilt image alone"),
    ],
)
def test_the_first_difference_of_a_layer_is_named(
    tmp_path: Path, one: list[Entry], two: list[Entry], said: str
) -> None:
    assert said in (first_difference(image_of(tmp_path / "a", *one), image_of(tmp_path / "b", *two)) or "")


def test_the_same_file_twice_has_no_difference(tmp_path: Path) -> None:
    path = image_of(tmp_path / "a", file("f", b"abc", origin="t"))
    assert first_difference(path, path) is None


def test_a_file_packed_in_another_way_is_still_the_same_image(tmp_path: Path) -> None:
    path = image_of(tmp_path / "a", file("f", b"abc", origin="t"))
    with tarfile.open(path) as old, tarfile.open(tmp_path / "b.tar", "w") as new:
        for member in old:
            member.mtime = 5
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    said = first_difference(path, tmp_path / "b.tar") or ""
    assert said.startswith("the image is the same, but the files around it differ from byte 1")


def test_a_step_of_the_history_is_a_difference_of_the_configuration(tmp_path: Path) -> None:
    entry = file("f", b"abc", origin="t")
    found = first_difference(image_of(tmp_path / "a", entry), image_of(tmp_path / "b", entry, created_by="else"))
    assert found is not None and found.startswith("the configuration: history: ")


def test_a_file_that_is_no_image_has_no_identity(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("x"), io.BytesIO())
    with pytest.raises(UnsupportedImage):
        identity(tmp_path / "x.tar")
