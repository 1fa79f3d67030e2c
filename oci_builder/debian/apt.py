"""The host's own apt-get as a source: with its mirrors, proxies and credentials, without root, without its state.

Everything apt writes goes to a private folder. Of the host's configuration it sees the settings and those sources that
have the suites asked for, nothing else: no hooks, no pins, no third-party repositories.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from oci_builder import inputs
from oci_builder.debian.aptrun import disk_full, run_watched
from oci_builder.debian.aptsources import host_sources
from oci_builder.debian.lock import Pin
from oci_builder.debian.recipe import Suite
from oci_builder.debian.signed import MAX_CONTENTS, MAX_RELEASE, Release, contents_path, index_path, verify_index
from oci_builder.debian.sources import DebFolder, reason, way_to_packages
from oci_builder.errors import OcibuildError, ToolFailed
from oci_builder.files import fill, is_full, open_regular
from oci_builder.redaction import redact_text
from oci_builder.store import Store

_FULL = "No space left on device"
"""As apt-get says it, too, in the words of C."""

_CONTENTS = "Contents-deb"
_CONFIGURATION = """
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::GzipIndexes "false";
Acquire::Retries "2";
Debug::NoLocking "true";
Dir::State "{folder}/state";
Dir::State::lists "{lists}";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{folder}/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::IndexTargets::deb::Contents-deb {{
  MetaKey "$(COMPONENT)/Contents-$(ARCHITECTURE)";
  ShortDescription "Contents-$(ARCHITECTURE)";
  Description "$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Contents (deb)";
  PDiffs "false";
  DefaultEnabled "false";
}};
"""


def is_here() -> bool:
    """Whether this machine has apt-get."""
    return shutil.which("apt-get") is not None


class Apt:
    """apt-get for ``architecture`` (Debian's word), working in ``folder``, which the caller makes and removes.

    With ``contents`` it downloads the lists of all packages' files too, which are larger than all else.
    """

    name = "apt-get on this machine"

    def __init__(self, suites: Sequence[Suite], architecture: str, folder: Path, *, contents: bool = False) -> None:
        self._suites, self._architecture, self._folder = suites, architecture, inputs.real(folder)
        self._targets = f"Packages {_CONTENTS}" if contents else "Packages"
        self._unfetched = ""

    def inrelease(self, suite: Suite) -> bytes:
        """The InRelease file of a fresh private ``apt-get update``. Raises ToolFailed, ArchiveIndexError."""
        return self._list(suite, "InRelease", MAX_RELEASE)

    def packages_index(self, release: Release, architecture: str) -> bytes:
        """The list of packages apt-get unpacked, checked against ``release``. Raises ToolFailed, ArchiveIndexError."""
        path = index_path(architecture)
        size, _ = release.listed(path)
        return verify_index(self._list(release.suite, path.replace("/", "_"), size), release, path)

    def contents(self, release: Release, architecture: str) -> bytes:
        """The list of files apt-get unpacked, checked against ``release``. Raises ToolFailed, ArchiveIndexError."""
        path = contents_path(architecture)
        size, _ = release.listed(path, most=MAX_CONTENTS)
        return verify_index(self._list(release.suite, path.replace("/", "_"), size), release, path, most=MAX_CONTENTS)

    def fetch(self, pins: Sequence[Pin], store: Store) -> Mapping[Pin, str]:
        """Download the packages: by the lists the host has, which is quick, else by fresh ones."""
        missing: Mapping[Pin, str] = dict.fromkeys(pins, "not asked for")
        try:
            for lists in ("_host", "_fresh"):
                if missing:
                    missing = self._download(tuple(missing), store, getattr(self, lists))
        except OcibuildError as error:
            if is_full(error):
                raise
            return dict.fromkeys(missing, reason(error))
        return missing

    def _download(self, pins: Sequence[Pin], store: Store, configuration: Path) -> Mapping[Pin, str]:
        offered = self._offered(pins, configuration)
        wanted = [pin for pin in pins if (pin.name, pin.version) in offered]
        missing = {pin: self._why_not_offered(pin) for pin in pins}
        if not wanted:
            return missing
        target = self._folder / f"debs-{configuration.stem}"
        target.mkdir()
        said = self._run(
            configuration, "apt-get", "-q", "download", *(f"{p.name}={p.version}" for p in wanted), cwd=target
        )
        if _FULL in said.stderr:
            raise disk_full(self._folder)
        why = said.stderr.strip().splitlines()[-1:] or ["it was not downloaded"]
        failed = DebFolder(target).fetch(wanted, store)
        shutil.rmtree(target)
        return {
            pin: why[0] if pin in failed else text
            for pin, text in missing.items()
            if pin not in wanted or pin in failed
        }

    def _offered(self, pins: Iterable[Pin], configuration: Path) -> set[tuple[str, str]]:
        listing = self._run(configuration, "apt-cache", "madison", *(pin.name for pin in pins)).stdout
        rows = [[field.strip() for field in line.split("|")] for line in listing.splitlines()]
        return {(row[0], row[1]) for row in rows if len(row) == 3}

    def _why_not_offered(self, pin: Pin) -> str:
        if self._unfetched and not inputs.matching(self._folder / "lists", f"*_dists_{pin.suite}_*_Packages"):
            return self._unfetched
        return "superseded: its archive no longer offers this version"

    def _list(self, suite: Suite, path: str, limit: int) -> bytes:
        ending = f"_{suite.archive}_dists_{suite.name}_{path}"
        loose = f"_dists_{suite.name}_{path}"
        lists = self._folder / "lists"
        self._fresh  # noqa: B018 - runs apt-get update, once: an index and the lists that it vouches for are of one moment
        found = inputs.matching(lists, f"*{ending}") or inputs.matching(lists, f"*{loose}")
        if not found:
            why = f": {self._unfetched}" if self._unfetched else ""
            raise ToolFailed("apt-get update", f"it got no {path} of {suite}{why}")
        with open_regular(found[0]) as stream:
            return stream.read(limit + 1)

    # Two files for apt to read: with the lists that this machine has, which may be months old and cost nothing, and
    # with lists of our own, which a download fills. So the second is made where the first does not do, and once.
    @cached_property
    def _host(self) -> Path:
        return self._configured("host", Path(self._settings["lists"]))

    @cached_property
    def _fresh(self) -> Path:
        lists = self._folder / "lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        configuration = self._configured("fresh", lists)
        said = self._run(configuration, "apt-get", "-q", "update")
        if said.returncode:
            raise ToolFailed("apt-get update", _last_error(said.stderr))
        # Where no server answers it warns, and succeeds: with the lists that it had before, of which there are none.
        failures = [line for line in said.stderr.splitlines() if line.startswith("W: Failed to fetch ")]
        self._unfetched = redact_text(" ".join(failures[0].removeprefix("W: ").split())) if failures else ""
        return configuration

    def _configured(self, name: str, lists: Path) -> Path:
        for part in ("state", "cache/archives/partial", "sources"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        text = host_sources(
            Path(self._settings["file"]),
            Path(self._settings["parts"]),
            self._suites,
            self._architecture,
            targets=self._targets,
        )
        if not text:
            suites = ", ".join(sorted(suite.name for suite in self._suites))
            raise ToolFailed("apt-get", f"this machine's apt has none of the suites {suites}")
        fill(self._folder / "sources" / "debian.sources", text.encode())
        path = self._folder / f"{name}.conf"
        filled = _CONFIGURATION.format(architecture=self._architecture, folder=self._folder, lists=lists)
        fill(path, filled.encode())
        return path

    @cached_property
    def _settings(self) -> dict[str, str]:
        if not is_here():
            raise ToolFailed("apt-get", "there is none on this machine", hint=way_to_packages())
        keys = {"lists": "Dir::State::lists/d", "file": "Dir::Etc::sourcelist/f", "parts": "Dir::Etc::sourceparts/d"}
        said = self._start("apt-config", "shell", *(part for pair in keys.items() for part in pair))
        pairs = (line.partition("=") for line in said.stdout.splitlines())
        return {name: shlex.split(value)[0] for name, _, value in pairs if value}

    def _run(
        self, configuration: Path, program: str, *arguments: str, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self._start(program, "-c", str(configuration), *arguments, cwd=cwd)

    def _start(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        said = run_watched(command, folder=self._folder, cwd=cwd or self._folder)
        if said.returncode and _FULL in said.stderr:
            raise disk_full(self._folder)
        return said


def _last_error(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("E:")] or text.splitlines()
    return lines[-1] if lines else "it failed and said nothing"
