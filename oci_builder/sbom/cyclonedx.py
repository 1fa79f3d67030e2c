"""A bill of materials as CycloneDX 1.6 JSON; the only importer of cyclonedx-python-lib."""

from __future__ import annotations

from collections.abc import Iterator

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6

from oci_builder.inspect.installed import Licence
from oci_builder.sbom.parts import Bill, Item, package_url

_TYPES = {
    "image": ComponentType.CONTAINER,
    "python": ComponentType.LIBRARY,
    "debian": ComponentType.LIBRARY,
    "file": ComponentType.LIBRARY,
    "nested": ComponentType.LIBRARY,
}


def encode_cyclonedx(bill: Bill) -> bytes:
    """The bill as CycloneDX 1.6 JSON."""
    root = _component(bill.image)
    components = {item.key: _component(item) for item in bill.items}
    refs = {key: component.bom_ref for key, component in components.items()}
    tool = Component(type=ComponentType.APPLICATION, name="ocibuild", version=bill.tool_version, bom_ref="ocibuild")
    metadata = BomMetaData(timestamp=bill.created, component=root)
    metadata.tools.components.add(tool)
    document = Bom(
        serial_number=bill.serial,
        metadata=metadata,
        components=components.values(),
        dependencies=[
            Dependency(root.bom_ref, dependencies=[Dependency(ref) for ref in refs.values()]),
            *(
                Dependency(refs[item.key], dependencies=[Dependency(refs[key]) for key in item.needs])
                for item in bill.items
            ),
        ],
    )
    return (JsonV1Dot6(document).output_as_string(indent=1) + "\n").encode()


def _component(item: Item) -> Component:
    return Component(
        type=_TYPES[item.kind],
        name=item.name,
        version=item.version or None,
        bom_ref=item.key,
        purl=package_url(item.purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=item.sha256)] if item.sha256 else [],
        licenses=list(_licences(item.licence)),
        description=item.summary or None,
        external_references=list(_references(item)),
        properties=list(_properties(item)),
        components=[_component(each) for each in item.inside],
        evidence=ComponentEvidence(occurrences=[Occurrence(location=f"/{item.place}")]) if item.place else None,
    )


def _licences(licence: Licence) -> Iterator[License]:
    # An identifier alone is an expression too; one spelling serves both.
    if licence.text:
        yield LicenseExpression(licence.text) if licence.spdx else DisjunctiveLicense(name=licence.text)


def _references(item: Item) -> Iterator[ExternalReference]:
    if item.homepage:
        yield ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(item.homepage))
    for path, sha256 in item.bills:
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else []
        yield ExternalReference(type=ExternalReferenceType.BOM, url=XsUri(f"file:///{path}"), hashes=hashes)


def _properties(item: Item) -> Iterator[Property]:
    for number in item.layers:
        yield Property(name="dev.ocibuild:layer", value=str(number))
    if item.source:
        yield Property(name="dev.ocibuild:debian-source", value=item.source)
    if item.unverified:
        yield Property(name="dev.ocibuild:unverified", value="true")
    if item.unscripted:
        yield Property(name="dev.ocibuild:scripts-skipped", value="true")
