"""A bill of materials as SPDX 2.3 JSON (clauses 6, 7, 10 and 11), written by hand: docs/decisions/sbom.md."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

from oci_builder.debian.unscripted import SAID
from oci_builder.inspect.installed import Licence
from oci_builder.oci.jsonio import JSON, encode
from oci_builder.sbom.parts import Bill, Item

_DOCUMENT = "SPDXRef-DOCUMENT"
_UNKNOWN = "NOASSERTION"
_PLAIN = re.compile(r"[^A-Za-z0-9.-]+")
_REFERENCE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
_PURPOSES = {"image": "CONTAINER"}


def encode_spdx(bill: Bill) -> bytes:
    """The bill as SPDX 2.3 JSON, in canonical spelling."""
    listed = [bill.image, *(each for item in bill.items for each in (item, *item.inside))]
    licences = dict(pair for item in listed for pair in _extracted(item.licence))
    document: JSON = {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": _DOCUMENT,
        "dataLicense": "CC0-1.0",
        "name": bill.image.name,
        "documentNamespace": bill.serial.urn,
        "creationInfo": {
            "created": bill.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: ocibuild-{bill.tool_version}"],
        },
        "packages": [_package(item) for item in listed],
        "relationships": list(_relationships(bill)),
    }
    if licences:
        document["hasExtractedLicensingInfos"] = [
            {"licenseId": key, "name": licences[key], "extractedText": licences[key]} for key in sorted(licences)
        ]
    return encode(document) + b"\n"


def _package(item: Item) -> JSON:
    fields: JSON = {
        "SPDXID": _id(item),
        "name": item.name,
        "versionInfo": item.version,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "primaryPackagePurpose": _PURPOSES.get(item.kind, "LIBRARY"),
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": _declared(item.licence),
        "copyrightText": _UNKNOWN,
        "supplier": _UNKNOWN,
        "summary": item.summary,
        "homepage": item.homepage if re.match(r"https?://[^\s]+\Z", item.homepage) else "",
        "sourceInfo": f"at /{item.place}" if item.place else "",
        "comment": _comment(item),
        "checksums": [{"algorithm": "SHA256", "checksumValue": item.sha256}] if item.sha256 else [],
        "externalRefs": list(_references(item)),
    }
    return {name: value for name, value in fields.items() if value not in ("", [])}


def _comment(item: Item) -> str:
    if item.unscripted:
        return SAID
    return "not held to the digests in its RECORD when the image was built" if item.unverified else ""


def _references(item: Item) -> Iterator[Mapping[str, str]]:
    if item.purl:
        yield {
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": item.purl,
        }
    for path, _ in item.bills:
        # SPDX has no word for a bill inside a package; "other" takes any locator without blanks.
        yield {
            "referenceCategory": "OTHER",
            "referenceType": "pep-770-sbom",
            "referenceLocator": f"file:///{path}".replace(" ", "%20"),
        }


def _relationships(bill: Bill) -> Iterator[JSON]:
    ids = {item.key: _id(item) for item in bill.items}
    yield _relationship(_DOCUMENT, "DESCRIBES", _id(bill.image))
    for item in bill.items:
        yield _relationship(_id(bill.image), "CONTAINS", _id(item))
        for inside in item.inside:
            yield _relationship(_id(item), "CONTAINS", _id(inside))
        for key in item.needs:
            yield _relationship(_id(item), "DEPENDS_ON", ids[key])


def _relationship(element: str, kind: str, related: str) -> JSON:
    return {"spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": related}


def _id(item: Item) -> str:
    # Identifiers have few characters; the hash keeps two apart that differ in others.
    name = _PLAIN.sub("-", f"{item.kind}-{item.name}-{item.version}")[:80]
    return f"SPDXRef-{name}-{hashlib.sha256(item.key.encode()).hexdigest()[:12]}"


def _declared(licence: Licence) -> str:
    if not licence.text:
        return _UNKNOWN
    return licence.text if licence.spdx else _licence_id(licence.text)


def _licence_id(text: str) -> str:
    return f"LicenseRef-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _extracted(licence: Licence) -> Iterator[tuple[str, str]]:
    if licence.spdx:
        for name in _REFERENCE.findall(licence.text):
            yield name, name
    elif licence.text:
        yield _licence_id(licence.text), licence.text
