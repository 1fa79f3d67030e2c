"""pip as a program beside us: the one place that starts it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from oci_builder.errors import ToolFailed
from oci_builder.files import expect_files
from oci_builder.wheels.target import Target

_HOOK = Path(__file__).with_name("pip_hook.py")
_CHANGED = 97
_CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"]+@")
_QUERY = re.compile(r"(https?://[^\s'\"?#]+)\?[^\s'\"#)]+")
# What a person may have set for installing on this machine; a target is not this machine.
_HERE_ONLY = re.compile(
    r"PIP_(?:ABI|BREAK_SYSTEM_PACKAGES|DRY_RUN|EDITABLE|FORCE_REINSTALL|IGNORE_INSTALLED|IGNORE_REQUIRES_PYTHON"
    r"|IMPLEMENTATION|LOG|NO_BINARY|NO_DEPS|ONLY_BINARY|PLATFORM|PREFIX|PYTHON|PYTHON_VERSION|QUIET|REPORT"
    r"|REQUIRE_HASHES|REQUIRE_VIRTUALENV|REQUIREMENT|ROOT|TARGET|UPGRADE|USER|VERBOSE)\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelSources:
    """Where wheels may come from.

    ``find_links`` are folders (or pages) of wheels; with ``offline`` they are all there is, and pip's configuration
    is not read. ``environ`` is the environment pip runs in: it carries index, proxy and credentials. ``options`` are
    lines of requirements files that say where to look (``requirements.index_options``); resolving reads them in the
    files themselves, fetching knows them only from here.
    """

    find_links: tuple[Path | str, ...] = ()
    offline: bool = False
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(repr=False)

    def arguments(self) -> list[str]:
        """The options that tell pip so."""
        links = [f"--find-links={_absolute(place)}" for place in self.find_links]
        return [*(["--isolated", "--no-index"] if self.offline else []), *links]

    def folders(self) -> tuple[Path, ...]:
        """The find-links that are folders of this machine."""
        return tuple(path for path in map(Path, self.find_links) if path.is_dir())


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of pip ended; ``said`` is what it wrote, without credentials."""

    code: int
    said: str


class Pips:
    """The pips that run at a time, in several threads; one thread may stop them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def stop(self) -> None:
        """Kill those that run, and each that is started later: their threads see them fail."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    @contextlib.contextmanager
    def counted(self, process: subprocess.Popen[str]) -> Iterator[None]:
        """Count ``process`` as running, until the block is left."""
        with self._lock:
            self._running.add(process)
            if self._stopped:
                process.kill()
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(process)


def for_target(target: Target) -> list[str]:
    """The options that make pip choose wheels for ``target``, and only wheels.

    pip does not expand a manylinux tag downwards, and takes "3.11" for 3.11.0.
    """
    platforms = [f"--platform={tag}" for tag in target.platform_tags()]
    python = [f"--python-version={target.promise.version}", "--implementation=cp", f"--abi={target.abi}"]
    return [*platforms, *python]


def run(
    arguments: Sequence[str],
    *,
    sources: WheelSources,
    markers: Mapping[str, str],
    sdists: Path | None = None,
    folder: Path | None = None,
    hear: Callable[[str], None] | None = None,
    pips: Pips | None = None,
) -> Outcome:
    """Run pip behind the hook to its end, in ``folder``; ``hear`` is told each line it says, from this thread.

    It is one of ``pips`` for as long as it runs.
    With ``sdists`` pip stops at the first source archive it would unpack, which is then in that folder.
    Raises ToolFailed when pip cannot be started or is not the pip that the hook knows, FileProblem for a folder of
    wheels with a pipe in it.
    """
    hook = [str(_HOOK), json.dumps(dict(markers)), str(sdists or "")]
    outcome = _run([*hook, *arguments], sources, folder, hear, pips or Pips())
    if outcome.code == _CHANGED:
        hint = "install the version of pip that ocibuild asks for (pip install 'pip>=26.0,<27')"
        raise ToolFailed("pip", outcome.said.strip() or "its inside has changed", hint=hint)
    return outcome


def run_plain(arguments: Sequence[str], *, sources: WheelSources, epoch: int) -> Outcome:
    """Run pip as it is, for work that is done for this host: building a wheel. Raises ToolFailed, FileProblem."""
    environ = {**sources.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    return _run(["-m", "pip", *arguments], replace(sources, environ=environ), None, None, Pips())


def redact(text: str) -> str:
    """``text`` without credentials and query strings in its URLs."""
    return _QUERY.sub(r"\1", _CREDENTIALS.sub("****@", text))


def _run(
    arguments: Sequence[str],
    sources: WheelSources,
    folder: Path | None,
    hear: Callable[[str], None] | None,
    pips: Pips,
) -> Outcome:
    for links in sources.folders():
        expect_files(links)
    # -P: neither this folder, which has a pip.py, nor the caller's may shadow pip.
    command = [sys.executable, "-P", *arguments]
    said: list[str] = []
    try:
        with _started(command, _environment(sources), folder) as process, pips.counted(process):
            assert process.stdout is not None
            for line in process.stdout:
                said.append(clean := redact(line))
                if hear is not None:
                    hear(clean.rstrip())
    except OSError as error:
        raise ToolFailed("pip", f"cannot be started: {error.strerror or error}") from error
    return Outcome(process.returncode, "".join(said))


@contextlib.contextmanager
def _started(command: list[str], environ: Mapping[str, str], folder: Path | None) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command,
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _environment(sources: WheelSources) -> dict[str, str]:
    fixed = {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_COLOR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONWARNINGS": "ignore",
    }
    if sources.offline:
        kept = {name: value for name, value in sources.environ.items() if not name.startswith("PIP_")}
        # --isolated leaves the machine's and the environment's configuration files in place; this does not.
        return {**kept, **fixed, "PIP_CONFIG_FILE": os.devnull}
    return {name: value for name, value in sources.environ.items() if not _HERE_ONLY.match(name)} | fixed


def _absolute(place: Path | str) -> str:
    text = str(place)
    return text if "://" in text else str(Path(text).absolute())
