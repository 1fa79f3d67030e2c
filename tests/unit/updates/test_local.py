"""Which layers an engine is not handed again: by its store's rules, and by nothing that is not known for sure."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from oci_builder.digest import Digest
from oci_builder.export.engine_images import EngineImage, StoreKind
from oci_builder.image import Image
from oci_builder.oci.manifest import Manifest, parse_manifest
from oci_builder.store import Store
from oci_builder.tree.entry import file
from oci_builder.tree.tree import Tree
from oci_builder.updates.local import LoadedImages, expected_ids, unneeded
from tests.support.images import ORIGIN
from tests.support.updates import image_of


def made(store: Store, *names: str) -> Image:
    """An image of a layer for each name."""
    return image_of([Tree([file(name, name.encode() * 99, origin=ORIGIN)]) for name in names], store, label="it")


def as_held(image: Image, kind: StoreKind) -> EngineImage:
    return EngineImage(min(expected_ids(image, kind)), tuple(layer.diff_id for layer in image.layers))


def left(new: Image, kind: StoreKind, *held: EngineImage, known: Sequence[Image] = ()) -> str:
    """The numbers of the layers that are left out."""

    def manifest(digest: Digest) -> Manifest | None:
        found = [parse_manifest(each.manifest, media_type="", what="it") for each in known if each.digest == digest]
        return found[0] if found and isinstance(found[0], Manifest) else None

    there = unneeded(new, held, kind, manifest)
    return "".join(str(number) for number, layer in enumerate(new.layers) if layer.descriptor.digest in there)


@pytest.mark.parametrize(
    ("kind", "expected"), [("graph", "0"), ("unknown", "0"), ("podman", "023"), ("containerd", "")]
)
def test_a_layer_above_one_that_changed_is_known_by_some_stores(store: Store, kind: StoreKind, expected: str) -> None:
    old, new = made(store, "a", "b", "c", "d"), made(store, "a", "x", "c", "d")
    assert left(new, kind, as_held(old, kind)) == expected


def test_containerds_store_is_believed_to_have_the_bytes_of_images_that_went_there_from_here(store: Store) -> None:
    old, new = made(store, "a", "b", "c"), made(store, "a", "x", "c")
    assert left(new, "containerd", as_held(old, "containerd"), known=[old]) == "02"
    # The same files, packed otherwise by somebody: no image that we know.
    assert left(new, "containerd", as_held(new, "graph"), known=[old]) == ""


def test_a_layer_that_comes_again_above_is_left_out_only_where_both_are_known(store: Store) -> None:
    old, new = made(store, "a", "b"), made(store, "a", "b", "x", "a")
    assert left(new, "graph", as_held(old, "graph")) == "1"
    assert left(new, "podman", as_held(old, "podman")) == "013"


def test_of_several_images_the_one_with_most_in_common_counts_on_graph_drivers(store: Store) -> None:
    new = made(store, "a", "b", "c")
    held = [as_held(made(store, *names), "graph") for names in (("x",), ("a", "b", "y"), ("a",), ("b", "c"))]
    assert left(new, "graph", *held) == "01"
    assert left(new, "graph") == ""


def test_what_went_to_an_engine_is_remembered_and_a_bad_record_is_not(store: Store) -> None:
    image, memory = made(store, "a"), LoadedImages(store)
    assert memory.find(image.digest) is None
    memory.keep(image)
    found = memory.find(image.digest)
    assert found is not None and found.layers[0] == image.layers[0].descriptor
    store.put_record("loaded-1", image.digest.hex, made(store, "b").manifest)
    assert memory.find(image.digest) is None
    assert store.record("loaded-1", image.digest.hex) is None
