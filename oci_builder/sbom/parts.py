"""What goes on a bill of materials, before it is spelled in one format or the other."""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from packageurl import PackageURL

from oci_builder.debian.unscripted import unscripted_of
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, UnsupportedImage
from oci_builder.imported.documents import as_object
from oci_builder.imported.names import readable
from oci_builder.inspect.installed import Licence, Package
from oci_builder.inspect.packages import Inventory
from oci_builder.inspect.why import Graph
from oci_builder.oci.documents import parse_rfc3339
from oci_builder.oci.jsonio import decode
from oci_builder.reference import Reference
from oci_builder.wheels.unverified import unverified_of

_MAX_NESTED = 2000
"""Components of one wheel's own bill that are taken over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing an image is made of. ``key`` is unique in the bill and the same in every bill of the image.

    ``inside`` are what a wheel brought along: shared libraries, and what its own bills list (PEP 770). ``needs`` are
    the keys of other items. ``bills`` are paths of its own bills with their sha256. One that is ``unverified`` was not
    held to the digests in its RECORD when the image was built; the maintainer scripts of one that is ``unscripted``
    were passed over.
    """

    key: str
    kind: str
    name: str
    version: str = ""
    purl: str = ""
    sha256: str = ""
    licence: Licence = field(default_factory=Licence)
    summary: str = ""
    homepage: str = ""
    place: str = ""
    layers: tuple[int, ...] = ()
    source: str = ""
    bills: tuple[tuple[str, str], ...] = ()
    inside: tuple[Item, ...] = ()
    needs: tuple[str, ...] = ()
    unverified: bool = False
    unscripted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """An image and what it is made of. ``serial`` and ``created`` follow from the image alone."""

    image: Item
    items: tuple[Item, ...]
    serial: uuid.UUID
    created: datetime
    tool_version: str


def bill(found: Inventory, *, tool_version: str, wheels: Mapping[tuple[str, str], str]) -> Bill:
    """The bill of an image. ``wheels`` are sha256 digests by name and version, beside those that an image keeps."""
    contents = found.contents
    digest = contents.manifest_digest or contents.config_digest
    keys = _keys(found)
    graph = Graph(found)
    return Bill(
        image=_image(found, digest),
        items=tuple(_item(package, found, graph, keys, wheels) for package in found.packages),
        serial=uuid.uuid5(uuid.NAMESPACE_URL, f"oci:{digest}"),
        created=_moment(contents.created),
        tool_version=tool_version,
    )


def _image(found: Inventory, digest: Digest) -> Item:
    contents = found.contents
    reference = _reference(next(iter(contents.references), ""))
    title = as_object(contents.run.get("Labels")).get("org.opencontainers.image.title")
    name = reference.repository if reference else str(title or "image")
    short = name.rpartition("/")[2]
    qualifiers = [f"arch={quote(contents.architecture, safe='')}"] if contents.architecture else []
    qualifiers += [f"tag={quote(reference.tag, safe='')}"] if reference and reference.tag else []
    tail = f"?{'&'.join(qualifiers)}" if qualifiers else ""
    return Item(
        key=str(digest),
        kind="image",
        name=name,
        version=str(digest),
        purl=f"pkg:oci/{quote(short.lower(), safe='')}@{quote(str(digest), safe=':')}{tail}",
        sha256=digest.hex,
    )


def _reference(text: str) -> Reference | None:
    try:
        return Reference.parse(text) if text else None
    except InvalidValue:
        return None


def _keys(found: Inventory) -> Mapping[Package, str]:
    keys: dict[Package, str] = {}
    for package in found.packages:
        taken = package.purl in keys.values()
        keys[package] = f"{package.purl}#{quote(package.place)}" if taken else package.purl
    return keys


def _item(
    package: Package,
    found: Inventory,
    graph: Graph,
    keys: Mapping[Package, str],
    wheels: Mapping[tuple[str, str], str],
) -> Item:
    tree = found.contents.tree
    key = keys[package]
    needed = {keys[each] for _, suppliers in graph.needs(package) for each in suppliers if each is not package}
    return Item(
        key=key,
        kind=package.kind,
        name=package.name,
        version=package.version,
        purl=package.purl,
        sha256=package.sha256 or (wheels.get((package.name, package.version), "") if package.kind == "python" else ""),
        licence=package.licence,
        summary=package.summary,
        homepage=package.homepage,
        place=package.place,
        layers=found.layers(package),
        source=package.source,
        bills=tuple((path, tree[path].sha256) for path in package.sboms),
        inside=tuple(_inside(package, found, key)),
        needs=tuple(sorted(needed)),
        unverified=package.kind == "python" and package.label in unverified_of(found.contents.run),
        unscripted=package.kind == "debian" and package.label in unscripted_of(found.contents.run),
    )


def _inside(package: Package, found: Inventory, key: str) -> Iterator[Item]:
    for path in package.vendored:
        record = found.contents.tree[path]
        if record.sha256:
            name = posixpath.basename(path)
            yield Item(key=f"{key}#{quote(path)}", kind="file", name=name, sha256=record.sha256, place=path)
    for path in package.sboms:
        for number, (name, version, purl) in enumerate(_listed(found.contents.kept.get(path) or b"")):
            place = f"{key}#{quote(path)}/{number}"
            yield Item(key=place, kind="nested", name=name, version=version, purl=purl, place=path)


def _listed(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Name, version and purl of the components in a CycloneDX document; other bills are only pointed to."""
    try:
        document = decode(data, what="a bill of materials")
    except UnsupportedImage:
        return
    if document.get("bomFormat") != "CycloneDX":
        return
    components = document.get("components")
    for component in components[:_MAX_NESTED] if isinstance(components, list) else ():
        fields = as_object(component)
        name, version, purl = (fields.get(field) for field in ("name", "version", "purl"))
        if isinstance(name, str) and name:
            yield readable(name), readable(version) if isinstance(version, str) else "", _purl(purl)


def package_url(text: str) -> PackageURL | None:
    """``text`` as a package URL; None where it is none, as with a name that no URL can have."""
    try:
        return PackageURL.from_string(text) if text else None
    except ValueError:
        return None


def _purl(value: object) -> str:
    """A package URL in its canonical spelling, or nothing where somebody wrote something else."""
    found = package_url(readable(value)) if isinstance(value, str) else None
    return found.to_string() if found else ""


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(max(parse_rfc3339(text) or 0, 0), UTC)
