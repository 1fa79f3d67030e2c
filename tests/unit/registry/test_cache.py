"""Finished layers in a registry: what one machine has made another takes, and lies are made anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oci_builder.errors import DigestMismatch, UnsafePath
from oci_builder.layer import RECORDS, Layer, LayerKey, find, keep, parse_record
from oci_builder.registry.cache import KEY, RegistryCache
from oci_builder.registry.verify_layer import prove
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.fakeregistry import FakeRegistry, break_after, fake_registry, refuse
from tests.support.images import base_tree, random_layer
from tests.support.registries import OPENED, open_registries

ONE = LayerKey.of(kind="test", number=1)
TWO = LayerKey.of(kind="test", number=2)


class Notes(Quiet):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


class Machine:
    """A store with a cache in a registry."""

    def __init__(self, folder: Path, registry: FakeRegistry) -> None:
        self.notes = Notes()
        reference = registry.reference("team/cache")
        registries = open_registries(registry.host)
        self.cache = RegistryCache(registries, sources=[reference], targets=[reference], jobs=2, reporter=self.notes)
        OPENED.append(self.cache)
        self.store = Store(folder, shared=self.cache)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as found:
        yield found


@pytest.fixture
def here(tmp_path: Path, registry: FakeRegistry) -> Machine:
    return Machine(tmp_path / "here", registry)


@pytest.fixture
def there(tmp_path: Path, registry: FakeRegistry) -> Machine:
    return Machine(tmp_path / "there", registry)


@pytest.fixture
def layer(here: Machine) -> Layer:
    """A layer that the first machine has made and given to the cache."""
    made = random_layer(here.store, base_tree("cached"))
    keep(made, ONE, here.store)
    here.cache.offer(here.store, sources={})
    return made


def test_what_one_machine_has_made_another_takes(layer: Layer, there: Machine) -> None:
    assert find(ONE, there.store) == layer
    assert there.store.read(layer.descriptor.digest, layer.descriptor.size)
    assert there.notes.lines == []


def test_what_nobody_has_made_is_not_there(layer: Layer, there: Machine) -> None:
    assert find(TWO, there.store) is None
    assert there.notes.lines == []


def test_small_records_travel_too_and_others_stay(layer: Layer, here: Machine, there: Machine) -> None:
    here.store.put_record("claims", "k", b"[]")
    here.store.put_record("unchanged", "k", b"private")
    here.cache.offer(here.store, sources={})
    assert there.store.record("claims", "k") == b"[]"
    assert there.store.record("unchanged", "k") is None


def test_what_the_cache_has_is_not_sent_again(layer: Layer, here: Machine, registry: FakeRegistry) -> None:
    before = len(registry.asked)
    here.cache.offer(here.store, sources={})
    assert {method for method, _, _ in registry.asked[before:]} == {"HEAD"}


def test_a_record_without_its_blob_is_fetched_again(layer: Layer, there: Machine) -> None:
    assert find(ONE, there.store) == layer
    there.store.drop(layer.descriptor.digest)
    assert find(ONE, there.store) == layer


def entry(registry: FakeRegistry, key: LayerKey = ONE) -> str:
    return f"team/cache:{RECORDS}-{key.hex}"


def forged(registry: FakeRegistry, change: Callable[[Any], None]) -> None:
    """Change the manifest of the entry, as somebody with the right to write could."""
    raw, media_type = registry.manifests[entry(registry)]
    document = json.loads(raw)
    change(document)
    registry.manifests[entry(registry)] = json.dumps(document).encode(), media_type


def record_of(registry: FakeRegistry, change: Callable[[Any], None]) -> Callable[[Any], None]:
    """A change of the entry's record, the digests that name it made right."""

    def act(manifest: Any) -> None:
        record = json.loads(registry.blobs[manifest["layers"][0]["digest"]])
        change(record)
        data = json.dumps(record).encode()
        manifest["layers"][0] |= {"digest": registry.hold(data), "size": len(data)}

    return act


def first_file(record: Any) -> Any:
    return next(item for item in record["entries"] if item[1] == "file" and item[6])


def test_an_entry_under_another_key_is_not_taken(layer: Layer, there: Machine, registry: FakeRegistry) -> None:
    registry.manifests[entry(registry, TWO)] = registry.manifests[entry(registry)]
    assert find(TWO, there.store) is None
    assert "is the entry of" in there.notes.lines[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(diff_id="sha256:" + "0" * 64),
        lambda record: record.update(unpacked=10),
        lambda record: record.update(unpacked=record["unpacked"] + 1, size=record["size"] + 1),
        lambda record: first_file(record).__setitem__(8, "0" * 64),
        lambda record: first_file(record).__setitem__(10, 3),
        lambda record: first_file(record).__setitem__(2, 0o4755),
        lambda record: record["entries"].pop(),
        lambda record: record["entries"].__setitem__(0, ["../../x", *record["entries"][0][1:]]),
        lambda record: record["entries"].__setitem__(0, [record["entries"][0][0], "?", *record["entries"][0][2:]]),
        lambda record: record.pop("diff_id"),
    ],
    ids=["diff-id", "bomb", "size", "digest", "offset", "mode", "hidden", "path", "kind", "field"],
)
def test_a_poisoned_record_is_not_believed(
    layer: Layer, there: Machine, registry: FakeRegistry, change: Callable[[Any], None]
) -> None:
    forged(registry, record_of(registry, change))
    assert find(ONE, there.store) is None
    assert "is not used" in there.notes.lines[0]
    assert there.store.record(RECORDS, ONE.hex) is None
    assert list(there.store.path(layer.descriptor.digest).parent.iterdir()) == []


def test_a_layer_that_hides_files_behind_its_index_is_not_believed(
    layer: Layer, here: Machine, there: Machine, registry: FakeRegistry
) -> None:
    """The blob, its digest and its diff ID agree; only the record does not list all that is in it."""
    other = random_layer(here.store, base_tree("another"))
    registry.hold(here.store.read(other.descriptor.digest, other.descriptor.size))

    def change(manifest: Any) -> None:
        digests = {"digest": str(other.descriptor.digest), "size": other.descriptor.size}
        manifest["layers"][1] |= digests
        lie = record_of(registry, lambda record: record.update(**digests, diff_id=str(other.diff_id)))
        lie(manifest)

    forged(registry, change)
    assert find(ONE, there.store) is None


def test_a_truncated_blob_is_made_anew(layer: Layer, there: Machine, registry: FakeRegistry) -> None:
    digest = str(layer.descriptor.digest)
    registry.blobs[digest] = registry.blobs[digest][:-1]
    assert find(ONE, there.store) is None
    assert "is not used" in there.notes.lines[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(artifactType="application/x"),
        lambda manifest: manifest["annotations"].pop(KEY),
        lambda manifest: manifest.update(layers=[]),
        lambda manifest: manifest.update(layers=manifest["layers"][:1]),
        lambda manifest: manifest["layers"][0].update(size=1 << 40),
    ],
)
def test_what_is_no_entry_is_not_taken(
    layer: Layer, there: Machine, registry: FakeRegistry, change: Callable[[Any], None]
) -> None:
    forged(registry, change)
    assert find(ONE, there.store) is None
    assert "is not used" in there.notes.lines[0]


def test_a_dead_cache_is_told_of_once_and_left_alone(layer: Layer, there: Machine, registry: FakeRegistry) -> None:
    registry.does("GET .*/manifests/", refuse(500), lasting=True)
    assert find(ONE, there.store) is None
    before = len(registry.asked)
    assert find(TWO, there.store) is None
    assert len(registry.asked) == before
    assert len(there.notes.lines) == 1


def test_a_cache_that_may_not_be_written_fails_nothing(here: Machine, registry: FakeRegistry) -> None:
    registry.does("POST", refuse(403), lasting=True)
    keep(random_layer(here.store, base_tree("mine")), ONE, here.store)
    keep(random_layer(here.store, base_tree("mine")), TWO, here.store)
    here.cache.offer(here.store, sources={})
    assert len(here.notes.lines) == 1 and "403" in here.notes.lines[0]


def test_a_download_that_breaks_is_finished(layer: Layer, there: Machine, registry: FakeRegistry) -> None:
    data = registry.blobs[str(layer.descriptor.digest)]
    registry.does(f"GET .*{layer.descriptor.digest}", break_after(data[:100], promised=len(data)))
    assert find(ONE, there.store) == layer


def test_a_layer_as_it_was_made_is_proved(here: Machine, layer: Layer) -> None:
    prove(layer, here.store)
    with pytest.raises(DigestMismatch):
        prove(replace(layer, unpacked=layer.unpacked - 1), here.store)
    evil = replace(layer, entries=(type(layer.entries[0])("/x", *list(_fields(layer))[1:]), *layer.entries[1:]))
    with pytest.raises(UnsafePath):
        prove(evil, here.store)


def _fields(layer: Layer) -> Iterator[Any]:
    first = layer.entries[0]
    yield from (getattr(first, name) for name in first.__struct_fields__)


def test_other_bytes_are_no_record() -> None:
    assert [parse_record(data) for data in (b"", b"{}", b"[]", b"null")] == [None] * 4
