"""Finished layers in a registry: what one machine has made, another need not make.

An entry is an OCI artifact under a tag that says its kind and key: the record as ``store`` keeps it, and for a layer
its blob. What comes is proved before it is kept; whoever may write to such a repository can still put well-made lies
there, as they could into the images themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError, RegistryError, UnsupportedImage
from oci_builder.layer import RECORDS, Layer, parse_record
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import encode
from oci_builder.oci.manifest import Manifest
from oci_builder.oci.mediatypes import LAYER_GZIP, MANIFEST
from oci_builder.oci.parcel import Parcel
from oci_builder.reference import Reference
from oci_builder.registry.pulling import blob_chunks, fetch_blobs, fetch_manifest
from oci_builder.registry.pushing import Pusher
from oci_builder.registry.registries import Registries
from oci_builder.registry.transfer import Progress, in_parallel
from oci_builder.registry.verify_layer import prove
from oci_builder.reporter import Quiet, Reporter
from oci_builder.store import Store

ARTIFACT = "application/vnd.ocibuild.cache.v1"
RECORD = "application/vnd.ocibuild.record.v1+json"
KEY = "dev.ocibuild.cache.key"

KINDS = frozenset({RECORDS, "claims", "settled"})
"""Kinds of records that are worth sharing."""

_EMPTY = Descriptor(media_type="application/vnd.oci.empty.v1+json", digest=Digest.of(b"{}"), size=2)
_MAX_RECORD = 64 << 20
"""Bytes; a layer of a hundred thousand files has a record of twenty million."""


_GONE = 404


@dataclass(frozen=True)
class _Entry:
    kind: str
    key: str

    @property
    def tag(self) -> str:
        return f"{self.kind}-{self.key}"


class RegistryCache:
    """A ``store.Shared``: asks ``sources`` in their order, and gives what was used to ``targets`` when told to.

    A registry that fails is told of once and left alone for the rest of the run.
    """

    def __init__(
        self,
        registries: Registries,
        *,
        sources: Sequence[Reference],
        targets: Sequence[Reference],
        jobs: int,
        reporter: Reporter,
    ) -> None:
        access = registries.access
        # Less than for an image: what a cache does not give in time is made here.
        retry_policy = replace(
            access.retry_policy, attempts=min(access.retry_policy.attempts, 3), silence=15.0, total=60.0
        )
        self._registries = Registries(replace(access, retry_policy=retry_policy))
        self._sources, self._targets = tuple(sources), tuple(targets)
        self._jobs, self._listener = jobs, reporter
        self._used: dict[_Entry, None] = {}
        self._found: set[tuple[_Entry, Reference]] = set()
        self._dead: set[Reference] = set()
        self._lock = threading.Lock()

    def fetch(self, kind: str, keys: Collection[str], store: Store) -> None:
        """Keep in ``store`` what the sources have. What they do not have, or not whole, is left to be made."""
        if kind in KINDS and self._sources:
            tasks = [partial(self._fetch, _Entry(kind, key), store) for key in dict.fromkeys(keys)]
            in_parallel(tasks, jobs=self._jobs, progress=Progress(Quiet(), total=0))

    def use(self, kind: str, key: str) -> None:
        """Remember a record for ``offer``."""
        if kind in KINDS and self._targets:
            self._used[_Entry(kind, key)] = None

    def offer(self, store: Store, *, sources: Mapping[Digest, Reference]) -> None:
        """Give the targets all that was used and they do not have; ``sources`` are where blobs can be mounted from."""
        tasks = [
            partial(self._offer, entry, target, store, sources)
            for target in self._targets
            for entry in self._used
            if (entry, target) not in self._found
        ]
        # The first alone: docker-registry stumbles over one blob that several send at once, and all have one in common.
        for task in tasks[:1]:
            task()
        in_parallel(tasks[1:], jobs=self._jobs, progress=Progress(Quiet(), total=0))

    def close(self) -> None:
        """Close all connections."""
        self._registries.close()

    def _fetch(self, entry: _Entry, store: Store) -> None:
        for source in self._sources:
            if source in self._dead:
                continue
            try:
                self._fetched(entry, replace(source, tag=entry.tag), store)
                self._found.add((entry, source))
                return
            except RegistryError as error:
                # What it does not have, or not whole, is made.
                if error.status != _GONE:
                    self._give_up(source, error)
            except OcibuildError as error:
                self._say(f"{source.registry}/{source.repository}: {entry.tag} is not used: {error}")

    def _fetched(self, entry: _Entry, place: Reference, store: Store) -> None:
        manifest = fetch_manifest(place, self._registries)
        parts = _checked(manifest, entry, str(place))
        record = b"".join(blob_chunks(place, parts[0], self._registries))
        if entry.kind == RECORDS:
            self._fetch_layer(record, place, parts, store)
        store.put_record(entry.kind, entry.key, record)

    def _fetch_layer(self, record: bytes, place: Reference, parts: Sequence[Descriptor], store: Store) -> None:
        layer = parse_record(record)
        if layer is None or [part.digest for part in parts[1:]] != [layer.descriptor.digest]:
            raise UnsupportedImage(str(place), "its record does not read, or is another layer's")
        had = store.has(layer.descriptor.digest, layer.descriptor.size)
        fetch_blobs(place, [layer.descriptor], self._registries, store=store, jobs=1, reporter=Quiet())
        try:
            prove(layer, store)
        except OcibuildError:
            if not had:
                store.drop(layer.descriptor.digest)
            raise

    def _offer(self, entry: _Entry, target: Reference, store: Store, sources: Mapping[Digest, Reference]) -> None:
        parcel = None if target in self._dead else _packed(entry, store)
        if parcel is None:
            return
        try:
            pusher = Pusher(
                registries=self._registries, blobs=store, store=store, jobs=1, reporter=Quiet(), sources=sources
            )
            pusher.send(parcel, replace(target, tag=entry.tag))
        except RegistryError as error:
            self._give_up(target, error)
        except OcibuildError as error:
            self._say(f"{entry.tag} was not given to the cache: {error}")

    def _give_up(self, place: Reference, error: RegistryError) -> None:
        with self._lock:
            first = place not in self._dead
            self._dead.add(place)
        if first:
            self._say(f"the cache {place.registry}/{place.repository} is not used: {error}")

    def _say(self, line: str) -> None:
        with self._lock:
            self._listener.note(line)


def _checked(manifest: object, entry: _Entry, what: str) -> tuple[Descriptor, ...]:
    """The parts of an entry: its record, and what that is of. Raises UnsupportedImage."""
    if not isinstance(manifest, Manifest) or manifest.artifact_type != ARTIFACT:
        raise UnsupportedImage(what, "it is no entry of a cache")
    if manifest.annotations.get(KEY) != entry.tag:
        raise UnsupportedImage(what, f"it is the entry of {manifest.annotations.get(KEY) or 'nothing'}")
    if not manifest.layers or manifest.layers[0].size > _MAX_RECORD:
        raise UnsupportedImage(what, "it has no record, or one that is too long")
    return manifest.layers


def _packed(entry: _Entry, store: Store) -> Parcel | None:
    """An entry as an artifact; None where the store no longer has all of it."""
    record = store.record(entry.kind, entry.key)
    if record is None:
        return None
    named = Descriptor(media_type=RECORD, digest=Digest.of(record), size=len(record))
    parts = [named]
    if entry.kind == RECORDS:
        layer = parse_record(record)
        if layer is None or not _is_here(layer, store):
            return None
        parts.append(layer.descriptor)
    raw = encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": ARTIFACT,
            "config": _EMPTY.to_json(),
            "layers": [part.to_json() for part in parts],
            "annotations": {KEY: entry.tag},
        }
    )
    documents = {named.digest: record, _EMPTY.digest: b"{}"}
    return Parcel(blobs=(*parts, _EMPTY), documents=documents, manifests=(), top=(MANIFEST, raw))


def _is_here(layer: Layer, store: Store) -> bool:
    return layer.descriptor.media_type == LAYER_GZIP and store.has(layer.descriptor.digest, layer.descriptor.size)
