"""What we say is in an image, against what made it and what engines make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.export.docker_archive import write_file
from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.diff import difference
from oci_builder.inspect.inspect import describe
from oci_builder.inspect.packages import Inventory, inventory
from oci_builder.inspect.reading import read_image
from oci_builder.inspect.why import reason
from oci_builder.platforms import AMD64
from oci_builder.reference import Reference
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.wheels.lock import read
from oci_builder.wheels.target import PythonEnvironment, Target
from tests.real.conftest import ROOT
from tests.support.engines import DockerLike, call
from tests.support.images import fresh_nonce, random_image
from tests.support.installed import distribution, image_file, layer, package
from tests.support.real import need

pytestmark = pytest.mark.real

PYTHON = PythonEnvironment(version="3.11.2", interpreter="x", prefix="x", purelib="x", scripts="x", glibc=(2, 36))


@pytest.fixture(scope="module")
def mypy_found(mypy_contents: ImageContents) -> Inventory:
    return inventory(mypy_contents)


def test_the_reference_image_holds_exactly_the_wheels_of_its_lock(mypy_found: Inventory) -> None:
    pins = read(ROOT / "build" / "mypy" / "pylock.toml").select(Target(platform=AMD64, promise=PYTHON))
    wheels = [each for each in mypy_found.packages if each.kind == "python"]
    assert {(each.name, each.version) for each in wheels} == {(pin.name, pin.version) for pin in pins}
    assert {each.name for each in wheels if each.requested} == {pin.name for pin in pins if pin.requested}
    assert [each.missing for each in wheels if each.missing] == []
    assert [each.name for each in wheels if not each.licence.text] == []


def test_nearly_every_byte_of_the_reference_image_belongs_to_a_package(mypy_found: Inventory) -> None:
    owners = mypy_found.owners
    loose = [record for path, record in mypy_found.contents.tree.items() if path not in owners]
    assert sum(record.size for record in loose) < 0.001 * mypy_found.contents.unpacked
    assert describe(mypy_found)["size"] == mypy_found.contents.size


def test_the_reference_image_says_why_numpy_and_openssl_are_in_it(mypy_found: Inventory) -> None:
    numpy, openssl = reason(mypy_found, "numpy"), reason(mypy_found, "libssl3")
    assert {each.package.name for each in numpy.required_by if each.active} >= {"pandas", "scipy", "matplotlib"}
    assert len(numpy.layers) == 1 and numpy.size > 10_000_000
    assert openssl.chains[0][0].name == "python3.11"


def made(tmp_path: Path) -> Path:
    """An image with packages, a deletion, links, and odd names and owners."""
    nonce = fresh_nonce().encode()
    base = layer(package("libc6", files={"usr/lib/libc.so": nonce}), {"etc/gone": nonce}, links={"lib": "usr/lib"})
    top = layer(distribution("demo", files={"demo/größe.py": nonce}), {"etc/.wh.gone": b""}, modes=0o640)
    return image_file(tmp_path / "made.tar", base, top, run={"Cmd": ["x"]})


def same(path: Path, engine_saved: Path) -> None:
    before, after = inventory(read_image(path)), inventory(read_image(engine_saved))
    assert difference(before, after).files == () == difference(before, after).packages
    assert "etc/gone" not in after.contents.tree
    assert [package.label for package in after.packages] == ["demo 1.0", "libc6 1"]
    assert after.contents.run == before.contents.run
    assert len(after.contents.layers) == 2


@pytest.mark.parametrize("name", ["docker", "podman", "newest_docker"])
def test_what_an_engine_saves_is_read_as_what_it_was_given(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    engine: DockerLike = request.getfixturevalue(name)
    loaded = engine.load(made(tmp_path))
    engine.call("save", "--output", tmp_path / "saved.tar", loaded)
    same(tmp_path / "made.tar", tmp_path / "saved.tar")


@pytest.mark.parametrize("kind", ["oci:{}", "oci-archive:{}"])
def test_what_skopeo_copies_is_read_as_well(kind: str, tmp_path: Path) -> None:
    need("skopeo", root=False)
    to = kind.format(tmp_path / "copied")
    call("skopeo", "copy", "--insecure-policy", f"docker-archive:{made(tmp_path)}", to)
    same(tmp_path / "made.tar", tmp_path / "copied")


def test_an_engine_changes_nothing_in_what_we_wrote(docker: DockerLike, store: Store, tmp_path: Path) -> None:
    image = random_image(store, layers=3)
    path = tmp_path / "ours.tar"
    write_file(image, path, references=[Reference.parse(f"x:{fresh_nonce()}")], store=store, reporter=Quiet())
    docker.call("save", "--output", tmp_path / "saved.tar", docker.load(path))
    found = difference(inventory(read_image(path)), inventory(read_image(tmp_path / "saved.tar")))
    assert found.is_empty and found.transfer == 0
