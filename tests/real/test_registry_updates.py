"""Updates of registries behind a gap: what a registry lacks travels as a file, and is completed by real ones."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oci_builder.cli import main
from oci_builder.image import Image
from oci_builder.platforms import ARM64
from oci_builder.reference import Reference
from oci_builder.registry.pulling import fetch_parcel, resolve
from oci_builder.registry.tags import list_tags
from oci_builder.store import Store
from tests.support.images import fresh_nonce
from tests.support.registries import NEWEST, DockerRegistry, close_opened, docker_registry, push
from tests.support.updates import image_of, new_layers, old_layers

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_opened()


@pytest.fixture(scope="module", params=["docker-registry", NEWEST])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[DockerRegistry, DockerRegistry]]:
    """The registry that images are built for, and the one behind the gap."""
    with (
        docker_registry(tmp_path_factory.mktemp("near"), program=request.param) as near,
        docker_registry(tmp_path_factory.mktemp("far"), program=request.param) as far,
    ):
        yield near, far


def two_platforms(store: Store, nonce: str, *, new: bool) -> list[Image]:
    """An image for two platforms; what is on top differs between them."""
    layers = new_layers(nonce) if new else old_layers(nonce)
    first = image_of(layers, store, label="new" if new else "old")
    return [first, replace(image_of(layers[:2], store, label=f"arm {new}"), platform=ARM64)]


def run(*words: str | Path | Reference, code: int = 0) -> str:
    """Run ocibuild; what it says on stderr, or the JSON of stdout."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = main([*map(str, words), "--insecure", "--progress", "none"])
    assert found == code, err.getvalue()
    return out.getvalue() or err.getvalue()


def names_in(path: Path) -> set[str]:
    with tarfile.open(path) as archive:
        return {member.name.rpartition("/")[2] for member in archive if member.isreg()}


def push_both(near: DockerRegistry, store: Store, nonce: str) -> tuple[Reference, Reference]:
    """The old and the new image in the registry that they are built for."""
    old, new = near.reference(f"team/app-{nonce}:1"), near.reference(f"team/app-{nonce}:2")
    for name, is_new in ((old, False), (new, True)):
        push(two_platforms(store, nonce, new=is_new), [name], near.registries(), store)
    return old, new


def carried(registry: DockerRegistry, name: Reference) -> Reference:
    """The same repository and tag in another registry."""
    return replace(registry.reference("x:1"), repository=name.repository, tag=name.tag)


def test_a_registry_gets_the_blobs_that_it_lacks_for_all_platforms(
    pair: tuple[DockerRegistry, DockerRegistry], store: Store, tmp_path: Path
) -> None:
    near, far = pair
    old, new = push_both(near, store, fresh_nonce())
    update = tmp_path / "update.tar"
    cache = ("--cache-dir", tmp_path / "cache")
    told: dict[str, Any] = json.loads(
        run("update", old, new, "--engine", "registry", "-o", update, "--force", "--json", *cache)
    )
    brought = {each["digest"] for each in told["blobs"] if not each["left_out"]}
    before = {str(blob.digest) for blob in fetch_parcel(old, near.registries()).blobs}
    after = fetch_parcel(new, near.registries())
    assert brought == {str(blob.digest) for blob in after.blobs} - before
    # Two configurations, the layer that changed, and all documents.
    assert len(brought) == 3 and told["size"] == update.stat().st_size < told["whole"] / 2
    documents = {str(after.digest)} | {str(each.descriptor.digest) for each in after.images}
    names = {digest.removeprefix("sha256:") for digest in brought | documents}
    assert names_in(update) == names | {"oci-layout", "index.json"}
    there = carried(far, new)
    # The old image is not there: what is missing is named, and nothing was pushed.
    refused = run("push", update, there, *cache, code=1)
    missing = {str(blob.digest) for blob in after.blobs} - brought
    assert "nothing was pushed" in refused and all(digest in refused for digest in missing)
    asked = [line for line in far.requests if there.repository in line]
    assert asked and all(line.startswith("HEAD ") for line in asked)
    run("push", *_saved(old, near, tmp_path), carried(far, old), *cache)
    _attached_and_kept(far, carried(far, old), update, there, cache)
    assert resolve(there, far.registries()) == resolve(new, near.registries())
    for platform in ("linux/amd64", "linux/arm64"):
        run("verify", there, "--platform", platform, *cache)
    # Another repository of that registry has nothing of it: all is mounted.
    other = replace(there, repository=f"{there.repository}-other")
    assert "mounted" in run("push", update, other, *cache)
    run("verify", other, "--platform", "linux/amd64", *cache)


def _saved(name: Reference, near: DockerRegistry, folder: Path) -> Sequence[str | Path]:
    """The old image as it crossed the gap long ago."""
    run("pull", name, "-o", f"{folder}/old/", "--cache-dir", folder / "cache")
    return [folder / "old"]


def _attached_and_kept(
    far: DockerRegistry, old: Reference, update: Path, new: Reference, cache: Sequence[str | Path]
) -> None:
    """Push the update beside something that was attached to the old image, which stays what it is."""
    names = far.registries()
    digest = resolve(old, names)
    assert digest is not None
    listing = f"sha256-{digest.digest.hex}"
    push_referrer(far, old, listing)
    before = {tag: resolve(replace(old, tag=tag), names) for tag in list_tags(old, names)}
    assert "sent" in run("push", update, new, *cache)
    after = {tag: resolve(replace(old, tag=tag), names) for tag in list_tags(old, names)}
    assert listing in before and after == {**before, new.tag: resolve(new, names)}


def push_referrer(far: DockerRegistry, old: Reference, listing: str) -> None:
    """What stands for a signature of the old image: a tag of the fallback scheme."""
    store = Store(far.folder / "signature")
    signature = image_of(old_layers("signature")[:1], store, label="signature")
    push([signature], [replace(old, tag=listing)], far.registries(), store)


def test_a_patch_is_pushed_where_the_image_is_that_it_is_for(
    pair: tuple[DockerRegistry, DockerRegistry], store: Store, tmp_path: Path
) -> None:
    near, far = pair
    old, new = push_both(near, store, fresh_nonce())
    update, cache = tmp_path / "patch.tar", ("--cache-dir", tmp_path / "cache")
    run("update", old, new, "-o", update, "--platform", "linux/amd64", "--force", *cache)
    patched = replace(carried(far, new), tag="patched")
    assert "nothing was pushed" in run("push", update, patched, *cache, code=1)
    run("push", *_saved(old, near, tmp_path), carried(far, old), *cache)
    # The configuration, and one layer of what differs.
    assert "(blobs: 2 sent, 3 there)" in run("push", update, patched, *cache)
    run("verify", patched, *cache)
    assert "0 files differ" in run("diff", patched, new, "--platform", "linux/amd64", *cache)
