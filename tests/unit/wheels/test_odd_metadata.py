"""A wheel whose metadata pip cannot do anything with is named, and who asks for it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.tiny import NAME, make_tiny
from tests.support.wheels import make_wheel, write_member

HEAD = "Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n"

ODD = {
    "no name": "Metadata-Version: 2.1\nVersion: 1.0\n",
    "no version": "Metadata-Version: 2.1\nName: odd\n",
    "a version that is none": "Metadata-Version: 2.1\nName: odd\nVersion: banana\n",
    "nothing": "",
    "no METADATA": None,
    "an address that is none": f"{HEAD}Requires-Dist: tool @ http://[bad\n",
    "markers in markers": f"{HEAD}Requires-Dist: tool; {'(' * 5000}python_version > '3'{')' * 5000}\n",
    "a version without end": f"{HEAD}Requires-Dist: tool>={'9' * 6000}\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_a_wheel_whose_metadata_does_not_read_is_named_with_who_asks_for_it(
    tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = make_tiny(tmp_path)
    path = make_wheel(tiny.wheels, "odd", "1.0")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if not name.endswith("/METADATA"):
                write_member(archive, name, data)
            elif text is not None:
                write_member(archive, name, text.encode())
    make_wheel(tiny.wheels, "app", "1.0", requires=["odd"])
    tiny.require("app")
    words = ["lock", NAME, "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--offline"]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "requirements.txt:1, app" in said
    assert "the metadata of odd-1.0-py3-none-any.whl does not read" in said
    assert "hint: " in said
    assert " object at 0x" not in said
