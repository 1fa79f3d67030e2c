"""Files of the internet that a recipe names by digest: brought, and made into layers of their own.

Each has its layer, so that a model or a driver is not sent again when a line of code changes.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from oci_builder import inputs
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, NotFound, PathConflict
from oci_builder.files import spooled
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.recipes import FetchRecipe, ImageSource
from oci_builder.store import Store
from oci_builder.tree.copying import Copy, copied
from oci_builder.tree.entry import Checked, Entry, EntryPath, FileSlice, Kind, entry_path
from oci_builder.tree.limits import MAX_ENTRIES, MAX_RATIO, MAX_UNPACKED, UNSUSPECTED
from oci_builder.tree.patterns import Patterns
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree, parents

_FORMAT = 1
"""Raised when the same file gives another layer than before."""

_ORIGIN = "fetch"


def digest_of(fetch: FetchRecipe) -> Digest:
    """What the file has to be."""
    return Digest.parse(f"sha256:{fetch.sha256}")


def kept_name(fetch: FetchRecipe) -> str:
    """What the file is called in ``fetched/`` beside a recipe."""
    return f"{fetch.sha256[:16]}-{fetch.file_name}".rstrip("-")


def bring(source: ImageSource, context: BuildContext, policy: BuildPolicy) -> None:
    """Have every file of the recipe's [[fetch]] tables in the store: from ``fetched/``, else from where it is said.

    Raises DigestMismatch for one that is another file now, NotFound for one that is not here where there is no network,
    TransportError, FileProblem.
    """
    missing = [fetch for fetch in source.recipe.fetch if not context.store.has(digest_of(fetch))]
    for fetch in missing:
        beside = source.fetched / kept_name(fetch)
        if inputs.is_file(beside):
            again = f"remove it; where there is a network, ocibuild download {source.called} brings it again"
            _keep(beside, fetch, context.store, what=str(beside), hint=again)
        elif policy.offline:
            searched = ["the cache", str(beside)]
            hint = f"where there is a network, ocibuild download {source.called} brings it"
            raise NotFound("file to fetch", fetch.url, searched=searched, hint=hint)
    absent = [fetch for fetch in missing if not context.store.has(digest_of(fetch))]
    if absent:
        _download(absent, source.recipe.max_unpacked_bytes or MAX_UNPACKED, context)


def _download(absent: Sequence[FetchRecipe], most: int, context: BuildContext) -> None:
    """One after the other, over one connection where they lie on one server."""
    # Loaded only where something is downloaded: most recipes fetch nothing.
    from oci_builder.transport import Transport

    with contextlib.closing(Transport()) as transport:
        for number, fetch in enumerate(absent):
            context.reporter.advance(fetch.file_name or fetch.url, number, len(absent))
            with context.store.scratch() as scratch:
                with spooled(scratch / "file") as sink:
                    transport.save(fetch.url, sink, limit=most)
                _keep(scratch / "file", fetch, context.store, what=fetch.url)


def _keep(path: Path, fetch: FetchRecipe, store: Store, *, what: str, hint: str = "") -> None:
    try:
        store.put_file(path, digest=digest_of(fetch), size=inputs.size_of(path), what=what)
    except DigestMismatch as error:
        found = error.actual.removeprefix("sha256:")
        hint = hint or f'it is another file than it was; if that is meant, write sha256 = "{found}"'
        raise DigestMismatch(what, expected=error.expected, actual=error.actual, hint=hint) from error


@dataclass(frozen=True, kw_only=True)
class FetchedLayers:
    """Makes the layers of a recipe's files; ``owner`` are the IDs of whoever runs, ``most`` bytes may be unpacked."""

    store: Store
    owner: tuple[int, int]
    most: int = 0

    def over(self, below: Tree, fetches: Sequence[FetchRecipe]) -> tuple[list[Layer], Tree]:
        """The layer of each, one over the other, and the tree that they make of what is ``below``.

        Raises UnsafeArchive for an archive that leads out of its folder or is too large, UnsafePath, PathConflict.
        """
        made = []
        for fetch in fetches:
            key = self._key(fetch, below)
            layer = find(key, self.store)
            if layer is None:
                layer = self._made(fetch, below)
                keep(layer, key, self.store)
            below = below.overlaid(layer.tree(self.store))
            made.append(layer)
        return made, below

    def _key(self, fetch: FetchRecipe, below: Tree) -> LayerKey:
        said = {name: getattr(fetch, name) for name in fetch.__struct_fields__ if name not in ("url", "owner")}
        return LayerKey.of(
            kind="fetch",
            fetch=[_FORMAT, fetch.file_name, said, *fetch.ids(self.owner)],
            below=sorted(_ground(below, fetch.dest)),
        )

    def _made(self, fetch: FetchRecipe, below: Tree) -> Layer:
        digest = digest_of(fetch)
        path = self.store.path(digest)
        holds = (fetch.file_name or fetch.url,)
        with self.store.scratch() as scratch:
            entries = self._unpacked(fetch, path, scratch) if fetch.unpack else [self._file(fetch, path, digest)]
            return write_layer(place(entries, below), self.store, created_by=f"ocibuild fetch {holds[0]}", holds=holds)

    def _file(self, fetch: FetchRecipe, path: Path, digest: Digest) -> Entry:
        uid, gid = fetch.ids(self.owner)
        name = posixpath.join(fetch.dest, fetch.file_name) if fetch.dest.endswith("/") else fetch.dest
        size = inputs.size_of(path)
        return Entry(
            path=entry_path(name.strip("/"), origin=_ORIGIN),
            kind=Kind.FILE,
            mode=0o644 if fetch.permissions is None else fetch.permissions,
            uid=uid,
            gid=gid,
            origin=_ORIGIN,
            size=size,
            content=Checked(FileSlice(path, 0, size), ("sha256", bytes.fromhex(digest.hex))),
        )

    def _unpacked(self, fetch: FetchRecipe, path: Path, scratch: Path) -> list[Entry]:
        most = min(self.most or MAX_UNPACKED, max(UNSUSPECTED, MAX_RATIO * inputs.size_of(path)))
        archive, folder = scratch / fetch.file_name, scratch / "unpacked"
        # Called as it was: errors name the archive, and no blob of ours.
        archive.symlink_to(path)
        # Loaded only where something is unpacked.
        if fetch.file_name.lower().endswith(".zip"):
            from oci_builder.tree.zipread import extract_zip

            extract_zip(archive, folder, max_members=MAX_ENTRIES, max_bytes=most)
        else:
            from oci_builder.tree.tarread import extract_archive

            extract_archive(archive, folder, max_members=MAX_ENTRIES, max_bytes=most)
        uid, gid = fetch.ids(self.owner)
        copy = Copy(source=".", folder=folder, within=None, dest="/", mode=fetch.permissions, uid=uid, gid=gid)
        return list(_chosen(copied(copy), fetch))


def _chosen(entries: Iterator[Entry], fetch: FetchRecipe) -> Iterator[Entry]:
    """The entries of an archive without their leading folders, below the place that they go to."""
    include, exclude, found = Patterns(fetch.include), Patterns(fetch.exclude), dict[str, Entry]()
    for entry in entries:
        below = "/".join(entry.path.split("/")[fetch.strip :])
        if not below or exclude.match(below):
            continue
        if fetch.include and (entry.kind is Kind.DIRECTORY or not include.match(below)):
            continue
        path = entry_path(f"{fetch.dest.strip('/')}/{below}".strip("/"), origin=fetch.file_name)
        present = found.setdefault(path, replace(entry, path=path))
        if present.kind is not entry.kind:
            raise PathConflict(f"/{path}", fetch.file_name, "the same with fewer leading folders")
    yield from found.values()


def _ground(below: Tree, dest: str) -> Iterator[list[object]]:
    """What decides where files land at ``dest``: what lies there, and the folders above."""
    real = below.resolve(dest.strip("/"))
    above = {real, *parents(EntryPath(f"{real}/x"))}
    for entry in below:
        if entry.path in above or not real or entry.path.startswith(f"{real}/"):
            is_file = entry.kind not in (Kind.DIRECTORY, Kind.SYMLINK)
            said = [] if is_file else [entry.mode, entry.uid, entry.gid, entry.mtime, entry.target]
            yield [entry.path, "" if is_file else entry.kind.value, *said]
