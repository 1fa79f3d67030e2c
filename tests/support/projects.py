"""Projects of one's own, to be built: their backend is in them, or in a wheel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.support.wheels import make_wheel

_BACKEND = """
import base64, hashlib, os, pathlib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    pathlib.Path("left-by-the-build").write_text("x")
    version = os.environ.get("APP_VERSION", "1.0")
    info = f"NAME-{version}.dist-info"
    needs = pathlib.Path("needs.txt").read_text().splitlines()
    metadata = ["Metadata-Version: 2.1", "Name: NAME", f"Version: {version}", "Provides-Extra: web"]
    members = {
        "NAME.py": pathlib.Path("NAME.py").read_text(),
        f"{info}/METADATA": "\\n".join([*metadata, *needs]) + "\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: TAG\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\nNAME = NAME:main\\n",
    }
    lines = []
    for path, text in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(text.encode())}\\n")
    members[f"{info}/RECORD"] = "".join(lines) + f"{info}/RECORD,,\\n"
    name = f"NAME-{version}-TAG.whl"
    import time
    when = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path, when), text)
    return name
"""


def make_project(
    folder: Path,
    *,
    name: str = "app",
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    code: str = "def main():\n    print(1)\n",
) -> Path:
    """A project in ``folder``, with ``requires`` as its Requires-Dist; its build leaves a file behind."""
    folder.mkdir(parents=True, exist_ok=True)
    build_system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(f'{build_system}[dependency-groups]\nrun = ["tool"]\n')
    (folder / "backend.py").write_text(_BACKEND.replace("TAG", tag).replace("NAME", name))
    (folder / "needs.txt").write_text("".join(f"Requires-Dist: {text}\n" for text in requires))
    (folder / f"{name}.py").write_text(code)
    return folder


def with_backend(project: Path, index: Path) -> Path:
    """Let ``project`` be built by a backend that has to be fetched: a wheel in ``index``. Gives that wheel."""
    (project / "pyproject.toml").write_text('[build-system]\nrequires = ["maker"]\nbuild-backend = "maker"\n')
    return make_wheel(index, "maker", files={"maker.py": (project / "backend.py").read_text()})
