"""pip, made to answer for another machine. Run as a program of its own, never imported by ocibuild.

``pip_hook.py MARKERS MODE PLACE ARGUMENT…`` where MARKERS is a marker environment as JSON. pip evaluates markers for the
interpreter it runs on, whatever --platform and --python-version say (pip#11664), so an amd64 host would take amd64's
dependencies for an arm64 image. Everything private that is touched here is checked first: a pip whose inside has
changed is an error, not a wrong answer.

It imports nothing of ocibuild, and must be started with ``-P``: its folder has a ``pip.py``.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, NoReturn

from pip._internal.cli.main import main as run_pip
from pip._internal.index import collector
from pip._internal.models import installation_report
from pip._internal.operations import prepare
from pip._vendor.packaging import markers

CHANGED = 97
"""The exit code that says: this pip is not the one the hook was written for."""

SIZES = "sizes.json"
"""The file beside the report: sizes by sha256, as far as the index gave them."""


def _changed(what: str) -> NoReturn:
    sys.stderr.write(f"pip's inside has changed: {what}\n")
    sys.exit(CHANGED)


def _replace(place: object, name: str, value: object) -> None:
    if not hasattr(place, name):
        _changed(f"{place!r} has no {name}")
    setattr(place, name, value)


def foresee(environment: dict[str, str]) -> None:
    """Make ``environment`` the one that markers are evaluated in."""
    if set(markers.default_environment()) != set(environment):
        _changed("the marker environment has other names")
    answer = {**environment, "platform_release": "foreseen"}
    for module in (markers, installation_report):
        _replace(module, "default_environment", lambda: dict(answer))
    if not markers.Marker("platform_release == 'foreseen'").evaluate():
        _changed("markers do not ask for the default environment")
    answer["platform_release"] = environment["platform_release"]


def watch_sizes() -> dict[str, int]:
    """A table that fills with the size of every file an index tells of; pip itself drops them."""
    sizes: dict[str, int] = {}
    original = collector.Link.from_json

    def from_json(file: dict[str, Any], page_url: str) -> Any:
        size, digest = file.get("size"), (file.get("hashes") or {}).get("sha256")
        if isinstance(size, int) and isinstance(digest, str):
            sizes[digest] = size
        return original(file, page_url)

    _replace(collector.Link, "from_json", from_json)
    return sizes


def keep_sdist(folder: Path) -> None:
    """Copy the first archive that would be unpacked into ``folder`` and stop: nothing of it runs."""

    def unpack_file(filename: str, location: str, content_type: str | None = None) -> NoReturn:
        shutil.copyfile(filename, folder / Path(filename).name)
        raise SystemExit(0)

    _replace(prepare, "unpack_file", unpack_file)


def _report_sizes(report: Path, sizes: dict[str, int]) -> None:
    found = {}
    for item in json.loads(report.read_bytes())["install"]:
        digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if digest in sizes:
            found[digest] = sizes[digest]
    report.with_name(SIZES).write_text(json.dumps(found), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run pip behind the hook: markers, mode ("report", "sdist", "plain"), its path, pip's own arguments."""
    environment, mode, place, *rest = arguments
    foresee(json.loads(environment))
    if mode == "sdist":
        keep_sdist(Path(place))
    sizes = watch_sizes() if mode == "report" else {}
    code = run_pip(rest)
    if mode == "report" and code == 0:
        _report_sizes(Path(place), sizes)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
