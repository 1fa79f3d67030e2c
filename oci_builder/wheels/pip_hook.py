"""pip, made to answer for another machine. Run as a program of its own, never imported by ocibuild.

``pip_hook.py MARKERS SDISTS ARGUMENT…`` where MARKERS is a marker environment as JSON. pip evaluates markers for the
interpreter it runs on, whatever --platform and --python-version say (pip#11664), so an amd64 host would take amd64's
dependencies for an arm64 image. Everything private that is touched here is checked first: a pip whose inside has
changed is an error, not a wrong answer.

It imports nothing of ocibuild, and must be started with ``-P``: its folder has a ``pip.py``.
"""

from __future__ import annotations

import errno
import json
import shutil
import stat
import sys
from pathlib import Path
from typing import NoReturn

from pip._internal.cli.main import main as run_pip
from pip._internal.models import installation_report
from pip._internal.operations import prepare
from pip._vendor.packaging import markers

CHANGED = 97
"""The exit code that says: this pip is not the one the hook was written for."""


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


def _waiting(path: str) -> OSError:
    return OSError(errno.EINVAL, "a named pipe, not a file", path)


def refuse_pipes() -> None:
    """Have no file opened that is a pipe: pip would wait for somebody to write to it."""

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(path := arguments[0], str):
            try:
                is_pipe = stat.S_ISFIFO(Path(path).stat().st_mode)
            except (OSError, ValueError):
                return
            if is_pipe:
                raise _waiting(path)

    sys.addaudithook(audit)


def keep_sdist(folder: Path) -> None:
    """Copy the first archive that would be unpacked into ``folder`` and stop: nothing of it runs."""

    def unpack_file(filename: str, location: str, content_type: str | None = None) -> NoReturn:
        shutil.copyfile(filename, folder / Path(filename).name)
        raise SystemExit(0)

    _replace(prepare, "unpack_file", unpack_file)


def main(arguments: list[str]) -> int:
    """Run pip behind the hook: markers, the folder to keep an sdist in (or nothing), pip's own arguments."""
    environment, sdists, *rest = arguments
    foresee(json.loads(environment))
    refuse_pipes()
    if sdists:
        keep_sdist(Path(sdists))
    return run_pip(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
