"""Images in registries that other people wrote, and back; engines take them from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.errors import FileProblem, RegistryError
from oci_builder.image import Image
from oci_builder.layer import RECORDS, LayerKey, find, keep
from oci_builder.oci.manifest import Index
from oci_builder.platforms import AMD64, ARM64
from oci_builder.reference import Reference
from oci_builder.registry.auth import Login
from oci_builder.registry.cache import RegistryCache
from oci_builder.registry.pulling import fetch_blobs, fetch_image, fetch_manifest, resolve
from oci_builder.registry.pushing import Pushed
from oci_builder.registry.registries import Registries
from oci_builder.registry.tags import list_tags
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.engines import DockerLike, call
from tests.support.images import base_tree, fresh_nonce, random_image, random_layer
from tests.support.real import need, oracles
from tests.support.registries import (
    IDENTITY,
    KINDS,
    NEWEST,
    OPENED,
    DockerRegistry,
    close_opened,
    docker_registry,
    one_of,
    open_registries,
    push,
)

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_opened()


@pytest.fixture(scope="module", params=KINDS)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    folder = tmp_path_factory.mktemp("plain")
    with one_of(request.param, folder) as registry:
        yield registry


@pytest.fixture(scope="module", params=["docker-registry", NEWEST])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    with docker_registry(tmp_path_factory.mktemp("token"), auth="token", program=request.param) as registry:
        yield registry


@pytest.fixture
def image(store: Store) -> Image:
    return random_image(store, layers=3)


def pushed(
    image: Image, reference: Reference, registries: Registries, store: Store, *, source: Reference | None = None
) -> Pushed:
    """Push one image under one name; with ``source``, all its layers can be had from there."""
    sources = {layer.descriptor.digest: source for layer in image.layers} if source else {}
    (done,) = push([image], [reference], registries, store, sources=sources)
    return done


@pytest.mark.parametrize("program", ["docker-registry", NEWEST])
@pytest.mark.parametrize(
    ("auth", "tls"), [("", False), ("", True), ("basic", False), ("basic", True), ("token", False)]
)
def test_a_pushed_image_comes_back_byte_for_byte(
    image: Image, store: Store, tmp_path: Path, auth: str, tls: bool, program: str
) -> None:
    with docker_registry(tmp_path / "registry", auth=auth, tls=tls, program=program) as registry:
        reference, registries = registry.reference("team/x:1"), registry.registries()
        done = pushed(image, reference, registries, store)
        assert (done.digest, done.blobs) == (image.digest, {"sent": 4})
        back = fetch_image(reference, AMD64, registries)
        other = Store(tmp_path / "other")
        layers = [layer.descriptor for layer in back.layers]
        fetch_blobs(reference, layers, registries, store=other, jobs=2, reporter=Quiet())
    assert (back.manifest, back.config) == (image.manifest, image.config)
    assert all(other.has(layer.descriptor.digest, layer.descriptor.size) for layer in image.layers)


@pytest.mark.parametrize("program", ["docker-registry", NEWEST])
@pytest.mark.parametrize("auth", ["basic", "token"])
def test_all_tags_of_a_repository_are_listed(
    image: Image, store: Store, tmp_path: Path, auth: str, program: str
) -> None:
    with docker_registry(tmp_path / "registry", auth=auth, program=program) as registry:
        registries = registry.registries()
        pushed(image, registry.reference("team/x:0"), registries, store)
        # What a push of that name would leave there, without two thousand pushes.
        folder = registry.folder / "data/docker/registry/v2/repositories/team/x/_manifests/tags"
        names = ["0", *(f"v{number}" for number in range(2345))]
        for name in names[1:]:
            (folder / name).symlink_to("0")
        assert list_tags(registry.reference("team/x"), registries) == tuple(sorted(names))
        # 2.8 knows no pages.
        assert sum("/tags/list" in line for line in registry.requests) >= (3 if program == NEWEST else 1)
        with pytest.raises(RegistryError, match="not known to registry"):
            list_tags(registry.reference("team/none"), registries)


def test_pushing_again_sends_nothing_and_asks_once(plain: DockerRegistry, image: Image, store: Store) -> None:
    reference, registries = plain.reference("again/x:1"), plain.registries()
    pushed(image, reference, registries, store)
    before = len(plain.requests)
    again = pushed(image, reference, registries, store)
    assert again.was_there and again.sent == 0
    assert plain.requests[before:] == ["HEAD /v2/again/x/manifests/1"]


def test_only_the_layer_that_changed_is_sent(plain: DockerRegistry, image: Image, store: Store) -> None:
    reference, registries = plain.reference("changed/x:1"), plain.registries()
    pushed(image, reference, registries, store)
    other = replace(image, layers=(*image.layers[:2], random_image(store, layers=2).layers[1]))
    done = pushed(other, reference, registries, store)
    assert done.blobs == {"sent": 2, "there": 2}
    assert done.sent == other.layers[2].descriptor.size + len(other.config)


def test_the_layers_of_a_base_in_the_same_registry_are_mounted_and_never_read(
    guarded: DockerRegistry, image: Image, store: Store, tmp_path: Path
) -> None:
    base, registries = guarded.reference("team/base:1"), guarded.registries()
    pushed(image, base, registries, store)
    before = len(guarded.requests)
    on_top = replace(image, created=image.created + 1)
    done = pushed(on_top, guarded.reference("other/app:1"), registries, Store(tmp_path / "empty"), source=base)
    assert done.blobs == {"mounted": 3, "sent": 1}
    assert [line for line in guarded.requests[before:] if line.startswith("GET") and "/blobs/" in line] == []


def test_the_layers_of_a_base_in_another_registry_are_fetched_and_sent(
    plain: DockerRegistry, image: Image, store: Store, tmp_path: Path
) -> None:
    with docker_registry(tmp_path / "source") as elsewhere:
        base = elsewhere.reference("team/base:1")
        pushed(image, base, elsewhere.registries(), store)
        empty = Store(tmp_path / "empty")
        done = pushed(image, plain.reference("across/app:1"), plain.registries(), empty, source=base)
    assert done.blobs == {"sent": 4}


def test_several_platforms_are_one_index_and_what_they_share_is_sent_once(plain: DockerRegistry, store: Store) -> None:
    amd64 = random_image(store, layers=2)
    arm64 = replace(amd64, platform=ARM64)
    reference, registries = plain.reference("team/many:1"), plain.registries()
    (done,) = push([amd64, arm64], [reference], registries, store)
    index = fetch_manifest(reference, registries)
    assert isinstance(index, Index) and index.descriptor.digest == done.digest
    assert index.platforms == (AMD64, ARM64)
    assert done.blobs == {"sent": 4}
    assert fetch_image(reference, ARM64, registries).manifest == arm64.manifest


def test_an_identity_token_is_changed_for_a_token(guarded: DockerRegistry, image: Image, store: Store) -> None:
    registries = open_registries(guarded.host, login=Login("", IDENTITY, "identity"))
    assert pushed(image, guarded.reference("team/identity:1"), registries, store).blobs == {"sent": 4}


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_wrong_password_is_an_error_that_does_not_tell_it(
    image: Image, store: Store, tmp_path: Path, auth: str
) -> None:
    with docker_registry(tmp_path / "registry", auth=auth) as registry:
        wrong = open_registries(registry.host, login=Login("somebody", "hunter2"))
        with pytest.raises(RegistryError, match="401") as caught:
            pushed(image, registry.reference("team/x:1"), wrong, store)
        nobody = open_registries(registry.host)
        with pytest.raises(RegistryError) as anonymous:
            resolve(registry.reference("team/x:1"), nobody)
    assert caught.value.status == 401 and "somebody" in (caught.value.hint or "")
    assert "hunter2" not in f"{caught.value!r} {caught.value} {caught.value.hint} {vars(caught.value)}"
    assert "docker login" in (anonymous.value.hint or "")


def test_a_login_service_that_is_less_secure_than_the_registry_gets_no_password(tmp_path: Path) -> None:
    with (
        docker_registry(tmp_path / "registry", auth="token", tls=True) as registry,
        pytest.raises(RegistryError, match="which is not encrypted"),
    ):
        resolve(registry.reference("team/x:1"), registry.registries())


def test_an_unknown_certificate_is_refused_unless_it_is_named(tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry", tls=True) as registry:
        with pytest.raises(RegistryError, match="certificate does not hold") as caught:
            resolve(registry.reference("team/x:1"), open_registries(registry.host))
        assert "--ca-file" in (caught.value.hint or "")
        assert resolve(registry.reference("team/x:1"), registry.registries()) is None
        assert resolve(registry.reference("team/x:1"), open_registries(registry.host, insecure=True)) is None
        broken = tmp_path / "ca.pem"
        broken.write_text("none")
        with pytest.raises(FileProblem, match=r"ca\.pem"):
            resolve(registry.reference("team/x:1"), open_registries(registry.host, ca_file=broken))


def test_a_name_that_is_not_there_is_nothing_and_its_manifest_an_error(plain: DockerRegistry) -> None:
    assert resolve(plain.reference("team/none:1"), plain.registries()) is None
    with pytest.raises(RegistryError, match="404") as caught:
        fetch_manifest(plain.reference("team/none:1"), plain.registries())
    assert caught.value.codes in (("MANIFEST_UNKNOWN",), ("NAME_UNKNOWN",))


def test_finished_layers_go_from_one_machine_to_another(guarded: DockerRegistry, tmp_path: Path) -> None:
    place, keys = guarded.reference("team/cache"), [LayerKey.of(kind="test", number=number) for number in range(8)]

    def machine(name: str) -> tuple[Store, RegistryCache]:
        registries = guarded.registries()
        cache = RegistryCache(registries, sources=[place], targets=[place], jobs=4, reporter=Quiet())
        OPENED.append(cache)
        return Store(tmp_path / name, shared=cache), cache

    here, cache = machine("here")
    layers = [random_layer(here, base_tree(key.hex)) for key in keys]
    for key, layer in zip(keys, layers, strict=True):
        keep(layer, key, here)
    cache.offer(here, sources={})
    there, _ = machine("there")
    there.expect(RECORDS, [key.hex for key in keys])
    assert [find(key, there) for key in keys] == layers


def test_skopeo_copies_and_crane_validates_what_was_pushed(
    plain: DockerRegistry, image: Image, store: Store, tmp_path: Path
) -> None:
    need("skopeo", root=False)
    reference = plain.reference("oracles/x:1")
    pushed(image, reference, plain.registries(), store)
    call("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{reference}", f"dir:{tmp_path}/d")
    assert (tmp_path / "d" / "manifest.json").read_bytes() == image.manifest
    crane = oracles("crane") / "crane"
    assert "PASS" in call(crane, "validate", "--remote", str(reference), "--insecure").stdout


@pytest.mark.parametrize("name", ["docker", "podman", "newest_docker"])
def test_engines_pull_and_run_what_was_pushed(
    request: pytest.FixtureRequest, plain: DockerRegistry, store: Store, name: str
) -> None:
    engine = request.getfixturevalue(name)
    assert isinstance(engine, DockerLike)
    nonce = fresh_nonce()
    reference = plain.reference(f"engines/{name.replace('_', '-')}:1")
    pushed(random_image(store, nonce=nonce), reference, plain.registries(), store)
    engine.call("pull", *(["--tls-verify=false"] if name == "podman" else []), str(reference))
    assert engine.run(str(reference)).stdout == f"hello {nonce}\n"
    engine.remove(str(reference))


def test_an_image_that_skopeo_wrote_in_dockers_media_types_is_read(
    plain: DockerRegistry, image: Image, store: Store
) -> None:
    need("skopeo", root=False)
    reference, registries = plain.reference("schema2/x:1"), plain.registries()
    pushed(image, reference, registries, store)
    other = plain.reference("schema2/y:1")
    flags = ["--src-tls-verify=false", "--dest-tls-verify=false", "--format=v2s2"]
    call("skopeo", "--insecure-policy", "copy", *flags, f"docker://{reference}", f"docker://{other}")
    found = fetch_image(other, AMD64, registries)
    assert found.parsed.is_docker
    assert [layer.descriptor.digest for layer in found.layers] == [layer.descriptor.digest for layer in image.layers]
    as_oci = found.as_oci()
    assert (as_oci.id, len(as_oci.layers)) == (found.id, 3)
    types = {part["mediaType"] for part in json.loads(as_oci.manifest)["layers"]}
    assert types == {"application/vnd.oci.image.layer.v1.tar+gzip"}
