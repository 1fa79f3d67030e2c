"""Locales out of Debian's own package: the bytes that localedef makes, and what programs in a container see of them."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.real.conftest import ROOT
from tests.support.engines import DockerLike
from tests.support.real import need, skip

pytestmark = pytest.mark.real

RECIPE = """
name = "speaking"
platforms = ["linux/amd64"]
base-packages = ["libc-bin"]
[config]
locale = ["de_DE.UTF-8", "ca_ES.UTF-8@valencia", "en_IN.UTF-8"]
"""
PROGRAM = """
import locale
print(locale.setlocale(locale.LC_ALL, ""), locale.format_string("%.2f", 1234567.891, grouping=True))
print(*sorted(["z", "ä", "b"], key=locale.strxfrm), *sorted(["z", "ä", "b"]))
for name in ("ca_ES.UTF-8@valencia", "en_IN.UTF-8", "en_IN", "C.UTF-8"):
    print(locale.setlocale(locale.LC_ALL, name))
try:
    locale.setlocale(locale.LC_ALL, "fr_FR.UTF-8")
except locale.Error:
    print("no fr_FR.UTF-8")
"""


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with three locales and the program ``locale``."""
    need("apt-get", root=False)
    folder = tmp_path_factory.mktemp("speaking")
    (folder / "image.toml").write_text(RECIPE)
    out = folder / "speaking.tar"
    if main(
        ["build", str(folder), "--layers", str(ROOT / "layers"), "--out", str(out), "--verify", "--progress", "none"]
    ):
        skip("apt-get gives no packages here")
    return out


def test_programs_of_the_image_speak_its_locales(speaking: Path, docker: DockerLike) -> None:
    image = docker.load(speaking)
    assert docker.run(image, "python3", "-c", PROGRAM).stdout.splitlines() == [
        "de_DE.UTF-8 1.234.567,89",
        "ä b z b z ä",
        *("ca_ES.UTF-8@valencia", "en_IN.UTF-8", "en_IN", "C.UTF-8"),
        "no fr_FR.UTF-8",
    ]
    there = sorted(docker.run(image, "locale", "-a").stdout.split())
    assert there == ["C", "C.utf8", "POSIX", "ca_ES@valencia", "de_DE.utf8", "en_IN"]
    assert "LANG=de_DE.UTF-8" in docker.run(image, "locale").stdout


def test_the_files_are_those_that_localedef_makes(speaking: Path, tmp_path: Path) -> None:
    need("localedef", root=False)
    made = tmp_path / "de_DE.utf8"
    subprocess.run(["localedef", "--no-archive", "-c", "-i", "de_DE", "-f", "UTF-8", made], check=False)
    version = subprocess.run(["localedef", "--version"], capture_output=True, text=True, check=True).stdout
    if "2.36" not in version or not made.is_dir():
        skip("localedef is of another release here, or has no sources")
    ours = {}
    with tarfile.open(speaking) as image:
        for blob in image.getmembers():
            stream = image.extractfile(blob) if blob.isfile() else None
            if stream is None or stream.read(2) != b"\x1f\x8b":
                continue
            stream.seek(0)
            with tarfile.open(fileobj=stream) as layer:
                for member in layer.getmembers():
                    data = (
                        layer.extractfile(member) if "locale/de_DE.utf8/" in member.name and member.isfile() else None
                    )
                    if data is not None:
                        ours[member.name.partition("de_DE.utf8/")[2]] = data.read()
    theirs = {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert ours == theirs
