"""The program as a library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import oci_builder
from tests.support.contexts import context_of
from tests.support.tiny import make_tiny


def test_an_image_is_built_and_verified_from_python(tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path / "project")
    source = oci_builder.load_image(tiny.image)
    built, size = oci_builder.write(
        source,
        source.recipe.targets[0],
        tmp_path / "app.tar",
        references=(oci_builder.Reference.parse("app:1"),),
        context=context_of(tmp_path / "store", project=tiny.root),
        policy=oci_builder.BuildPolicy(),
    )
    report = oci_builder.verify_file(tmp_path / "app.tar")
    assert (report.findings, report.image_id) == ((), built.image.id)
    assert (tmp_path / "app.tar").stat().st_size == size


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(oci_builder, name) is not None for name in oci_builder.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        oci_builder.nothing  # noqa: B018 - asking for it is the test


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, oci_builder; print([name for name in sys.modules if name.startswith('oci_builder.')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    # The version is one line, and no room.
    assert said == "['oci_builder.version']\n"
