"""Projects that tell when anything of them runs: in a folder, as archives of all kinds, in a checkout."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

STEM = "evil-1.0"
WHEEL = f"{STEM}-py3-none-any.whl"


@dataclass(frozen=True)
class Canary:
    """A project called evil 1.0; ``ran`` says whether its build code was met by an interpreter."""

    witness: Path

    @property
    def ran(self) -> bool:
        """Whether any of it ran."""
        return self.witness.exists()

    @property
    def files(self) -> dict[str, str]:
        """The project: a backend of its own, and the old way beside it."""
        run = f"import pathlib\npathlib.Path({str(self.witness)!r}).write_text('ran')\n"
        backend = f"""{run}
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "{STEM}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: evil\\nVersion: 1.0\\n")
    return info.name
def build_wheel(folder, config_settings=None, metadata_directory=None):
    raise SystemExit(1)
build_editable = build_wheel
prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel
"""
        return {
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "be"\nbackend-path = ["."]\n',
            "be.py": backend,
            "setup.py": run + "from setuptools import setup\nsetup(name='evil', version='1.0')\n",
            "PKG-INFO": "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n",
        }

    def folder(self, path: Path) -> Path:
        """The project as a folder."""
        path.mkdir(parents=True)
        for name, text in self.files.items():
            (path / name).write_text(text)
        return path

    def archive(self, path: Path) -> Path:
        """The project as an archive, packed as its name says, or as the .tar.gz of a file that says otherwise."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name, text in self.files.items():
                    archive.writestr(f"{STEM}/{name}", text)
            return path
        modes = {".bz2": "w:bz2", ".xz": "w:xz", ".tar": "w:"}
        with tarfile.open(path, modes.get(path.suffix, "w:gz")) as packed:  # type: ignore[call-overload]
            for name, text in self.files.items():
                header = tarfile.TarInfo(f"{STEM}/{name}")
                header.size = len(text.encode())
                packed.addfile(header, io.BytesIO(text.encode()))
        return path

    def checkout(self, path: Path) -> Path:
        """The project as a git repository, whose hook tells too."""
        self.folder(path)
        commands = ["init -q", "add -A", "-c user.name=x -c user.email=x@x.example commit -qm x"]
        for words in commands:
            subprocess.run(["git", "-C", str(path), *words.split()], check=True, capture_output=True)
        return path
