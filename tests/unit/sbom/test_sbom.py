from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from oci_builder.errors import InvalidValue
from oci_builder.inspect.packages import Inventory, inventory
from oci_builder.sbom import Format, bill_of_materials, format_of
from tests.support.installed import OS_RELEASE, SITE, distribution, found, layer, package

NESTED = {
    "bomFormat": "CycloneDX",
    "components": [
        {"name": "openblas", "version": "0.3", "purl": "pkg:generic/openblas@0.3"},
        {"name": "odd", "purl": "no purl"},
        {"version": "nameless"},
        "text",
    ],
}
ODD = '<b>"\\&\u2028\u202e\x1b[31mred'


def image(path: Path) -> Inventory:
    demo = distribution(
        "demo",
        files={"demo.py": b"", "demo.libs/libopenblas.so.0": b"elf"},
        metadata=["License-Expression: MIT AND LicenseRef-Own", f"Summary: {ODD}", "Home-page: not a url"],
        requires=["tool"],
        dist_info={"sboms/auditwheel.cdx.json": json.dumps(NESTED).encode(), "sboms/bad.json": b"{"},
    )
    twice = distribution("tool", site="opt/lib/python3.11/site-packages", metadata=[f"License: {ODD}"])
    debian = package("libc6", "2:2.36+b1", fields="Homepage: https://libc.example/\n")
    return found(
        path / "x.tar", layer(debian, {"etc/os-release": OS_RELEASE}), layer(demo, distribution("tool"), twice)
    )


def bill(found_image: Inventory, form: Format, **wheels: str) -> bytes:
    digests = {(name, "1.0"): digest for name, digest in wheels.items()}
    return bill_of_materials(found_image, form, tool_version="1.2", wheels=digests)


def components(path: Path, **wheels: str) -> dict[str, Any]:
    return {each["bom-ref"]: each for each in json.loads(bill(image(path), "cyclonedx", **wheels))["components"]}


def test_cyclonedx_validates_against_its_schema(tmp_path: Path) -> None:
    text = bill(image(tmp_path), "cyclonedx").decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_spdx_is_valid_by_its_own_tools(tmp_path: Path) -> None:
    path = tmp_path / "x.spdx.json"
    path.write_bytes(bill(image(tmp_path), "spdx", demo="ab" * 32))
    assert validate_full_spdx_document(parse_file(str(path))) == []


def test_an_image_without_packages_has_a_bill_too(tmp_path: Path) -> None:
    empty = found(tmp_path / "x.tar", layer({"hello": b"x"}))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill(empty, "cyclonedx").decode()) is None
    (tmp_path / "x.spdx.json").write_bytes(bill(empty, "spdx"))
    assert validate_full_spdx_document(parse_file(str(tmp_path / "x.spdx.json"))) == []


@pytest.mark.parametrize("form", ["cyclonedx", "spdx"])
def test_the_same_image_gives_the_same_bytes_wherever_it_lies(tmp_path: Path, form: Format) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = bill(image(tmp_path / "a"), form)
    assert bill(image(tmp_path / "b"), form) == first
    assert str(tmp_path).encode() not in first


def test_the_date_and_the_serial_number_are_the_images(tmp_path: Path) -> None:
    found_image = image(tmp_path)
    document = json.loads(bill(found_image, "cyclonedx"))
    assert document["metadata"]["timestamp"] == "2024-05-06T07:08:09+00:00"
    assert document["metadata"]["component"]["version"] == str(found_image.contents.manifest_digest)
    spdx = json.loads(bill(found_image, "spdx"))
    assert spdx["documentNamespace"] == document["serialNumber"]
    assert spdx["creationInfo"]["created"] == "2024-05-06T07:08:09Z"


def test_a_wheel_has_its_purl_its_digest_and_its_expression(tmp_path: Path) -> None:
    demo = components(tmp_path, demo="ab" * 32)["pkg:pypi/demo@1.0"]
    assert demo["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert demo["licenses"] == [{"expression": "MIT AND LicenseRef-Own"}]


def test_a_wheel_lists_the_libraries_it_brought_and_what_its_own_bills_list(tmp_path: Path) -> None:
    demo = components(tmp_path)["pkg:pypi/demo@1.0"]
    inside = {each["name"]: each for each in demo["components"]}
    assert inside.keys() == {"libopenblas.so.0", "openblas", "odd"}
    assert inside["openblas"]["purl"] == "pkg:generic/openblas@0.3"
    assert "hashes" in inside["libopenblas.so.0"] and "purl" not in inside["odd"]
    boms = [each["url"] for each in demo["externalReferences"] if each["type"] == "bom"]
    assert boms == [f"file:///{SITE}/demo-1.0.dist-info/sboms/{name}" for name in ("auditwheel.cdx.json", "bad.json")]


def test_a_distribution_that_is_there_twice_is_listed_twice(tmp_path: Path) -> None:
    assert [key for key in components(tmp_path) if "tool" in key] == [
        "pkg:pypi/tool@1.0",
        "pkg:pypi/tool@1.0#usr/local/lib/python3.11/site-packages/tool-1.0.dist-info",
    ]


def test_every_purl_is_spelled_as_its_specification_has_it(tmp_path: Path) -> None:
    for each in components(tmp_path).values():
        assert PackageURL.from_string(each["purl"]).to_string() == each["purl"]


def test_spdx_tells_who_contains_and_who_needs_whom(tmp_path: Path) -> None:
    document = json.loads(bill(image(tmp_path), "spdx"))
    names = {each["SPDXID"]: each["name"] for each in document["packages"]} | {"SPDXRef-DOCUMENT": "document"}
    said = {
        (names[each["spdxElementId"]], each["relationshipType"], names[each["relatedSpdxElement"]])
        for each in document["relationships"]
    }
    assert {
        ("document", "DESCRIBES", "library/x"),
        ("library/x", "CONTAINS", "libc6"),
        ("library/x", "CONTAINS", "demo"),
        ("demo", "CONTAINS", "libopenblas.so.0"),
        ("demo", "DEPENDS_ON", "tool"),
    } <= said


def test_the_name_of_the_file_says_the_format() -> None:
    assert format_of(Path("x.cdx.json")) == "cyclonedx"
    assert format_of(Path("x.spdx.json")) == "spdx"
    with pytest.raises(InvalidValue, match="must end in"):
        format_of(Path("x.json"))


def test_a_date_that_does_not_read_is_the_beginning_of_time(tmp_path: Path) -> None:
    undated = replace(image(tmp_path).contents, config={"created": "yesterday"})
    assert b'"1970-01-01T00:00:00Z"' in bill(inventory(undated), "spdx")
