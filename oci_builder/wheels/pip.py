"""pip as a program beside us: the one place that starts it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from oci_builder import inputs
from oci_builder.errors import InvalidValue, ToolFailed
from oci_builder.files import expect_files, explained
from oci_builder.redaction import redact_text
from oci_builder.tree.limits import MAX_UNPACKED
from oci_builder.wheels import process
from oci_builder.wheels.process import Running
from oci_builder.wheels.refusals import refusal
from oci_builder.wheels.target import Target

_HOOK = Path(__file__).with_name("pip_hook")
_CHANGED = 97

SETTINGS = frozenset(
    {
        *("index-url", "pypi-url", "extra-index-url", "no-index", "find-links", "trusted-host"),
        *("proxy", "no-proxy-env", "cert", "client-cert", "keyring-provider", "use-deprecated"),
        *("timeout", "default-timeout", "retries", "resume-retries", "cache-dir", "no-cache-dir"),
        *("pre", "all-releases", "only-final", "prefer-binary", "uploaded-prior-to", "constraint", "build-constraint"),
        *("disable-pip-version-check", "no-color", "no-input", "progress-bar"),
    }
)
"""What is heard of pip's configuration and of ``PIP_`` variables: where wheels are, how to get there, which versions
may be chosen. All else is about installing on this machine, or about building."""

BACKENDS = "build-system"
"""The folder, below ``wheels/``, of what builds projects where there is no network."""

_NO_SETTINGS = frozenset({"PIP_CONFIG_FILE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelSources:
    """Where wheels may come from.

    ``find_links`` are folders (or pages) of wheels; with ``offline`` they are all there is, and pip's configuration
    is not read. ``environ`` is the environment pip runs in: it carries index, proxy and credentials. ``options`` are
    lines of requirements files that say where to look (``requirements.read``); resolving reads them in the files
    themselves, fetching knows them only from here. ``build`` are the projects whose build code may run here. ``image``
    is the recipe that they are for and ``files`` its requirements, as messages name them; ``downloads`` are folders
    of what was downloaded for it, which are no sources. ``most`` are the bytes that one run of pip may download in all.
    """

    find_links: tuple[Path | str, ...] = ()
    offline: bool = False
    options: tuple[str, ...] = ()
    build: frozenset[str] = frozenset()
    image: str = ""
    files: tuple[Path, ...] = ()
    downloads: tuple[Path, ...] = ()
    most: int = MAX_UNPACKED
    environ: Mapping[str, str] = field(repr=False)

    def arguments(self) -> list[str]:
        """The options that tell pip so. Raises InvalidValue for what leads nowhere, or to what is no file."""
        links = [f"--find-links={_absolute(place)}" for place in self.find_links]
        return [*(["--isolated", "--no-index"] if self.offline else []), *links]

    def bring(self, version: str = "", *, where: str = "") -> str:
        """The command that brings what is missing; with the version of the base's Python, also that of pip alone.

        pip takes wheels for the machine that it runs on: ``where`` says which that has to be.
        """
        bring = f"where there is a network: ocibuild download {self.image}".rstrip()
        if not version:
            return bring
        folder = next((place for place in map(Path, self.find_links) if inputs.is_dir(place)), Path("wheels"))
        words = ["pip", "download", "--python-version", version, "--only-binary=:all:"]
        words += [word for path in self.files for word in ("-r", str(path))]
        return f"{bring}; with pip alone{where}: {shlex.join([*words, '-d', str(folder)])}"

    def folders(self) -> tuple[Path, ...]:
        """The find-links that are folders of this machine."""
        return tuple(path for path in map(Path, self.find_links) if inputs.is_dir(path))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of pip ended; ``said`` is what it wrote, without credentials."""

    code: int
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PipRules:
    """What a run of pip may do; by default it takes wheels, and nothing else.

    ``markers`` is the environment that markers are evaluated in; None is this host's. ``keep`` is a project whose
    sdist is wanted as it is, and the folder to keep it in: pip stops when it has it. ``names`` are projects that may
    be built from the sdists of an index, ``paths`` archives and folders that may be built.
    """

    markers: Mapping[str, str] | None
    keep: tuple[str, Path] | None = None
    names: Collection[str] = ()
    paths: Collection[Path] = ()

    def encoded(self, tell: int, *, shelves: Sequence[Path] | None, most: int) -> str:
        """The words for ``pip_hook``; ``shelves`` are the folders of wheels where no network is asked, else None.

        ``most`` are the bytes that may be downloaded.
        """
        keep = [self.keep[0], str(self.keep[1])] if self.keep else None
        document = {
            "markers": dict(self.markers) if self.markers is not None else None,
            "keep": keep,
            "names": sorted(self.names),
            "paths": sorted(map(str, self.paths)),
            "settings": sorted(SETTINGS),
            "tell": tell,
            "most": most,
            "shelves": None if shelves is None else [str(shelf.absolute()) for shelf in shelves],
        }
        return json.dumps(document)


def for_target(target: Target) -> list[str]:
    """The options that make pip choose wheels for ``target``, and only wheels.

    pip does not expand a manylinux tag downwards, and takes "3.11" for 3.11.0.
    """
    platforms = [f"--platform={tag}" for tag in target.platform_tags()]
    python = [f"--python-version={target.promise.version}", "--implementation=cp", f"--abi={target.abi}"]
    return [*platforms, *python]


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Where pip runs: in ``folder``, the caller's own where there is none.

    ``places`` tells where that stands which pip knows by a line of a file made for it ("file (line 3)").
    """

    folder: Path | None = None
    places: Mapping[str, str] = field(default_factory=dict)


def run(
    arguments: Sequence[str],
    *,
    sources: WheelSources,
    rules: PipRules,
    here: Here | None = None,
    hear: Callable[[str], None] | None = None,
    running: Running | None = None,
) -> Outcome:
    """Run pip behind the hook to its end, ``here``; ``hear`` is told each line it says, from this thread.

    It is one of ``running`` for as long as it runs.
    Raises UnsupportedRequirement for what ``rules`` do not allow, before any of it is fetched; ToolFailed when pip
    cannot be started, is killed, or is not the pip that the hook knows; FileProblem for a folder of wheels with a pipe
    in it.
    """
    for links in sources.folders():
        expect_files(links)
        with explained(links):
            for path in inputs.listing(links):
                inputs.note_file(path)
    running, here = running or Running(), here or Here()
    shelves = sources.folders() if sources.offline else None
    ended = process.run(
        # -P: the folder that it runs in is somebody's, and may not shadow pip. The hook's own comes before all others.
        lambda tell: [
            sys.executable,
            "-P",
            str(_HOOK),
            rules.encoded(tell, shelves=shelves, most=sources.most),
            *arguments,
        ],
        environ=environment(sources),
        folder=here.folder,
        clean=redact_text,
        hear=hear,
        running=running,
    )
    if error := refusal(
        ended.told, failed=ended.code != 0, places=here.places, clean=redact_text, bring=sources.bring()
    ):
        raise error
    if ended.code == _CHANGED:
        hint = "install the version of pip that ocibuild asks for (pip install 'pip>=26.3,<27')"
        raise ToolFailed("pip", ended.said.strip() or "its inside has changed", hint=hint)
    if ended.code < 0:
        raise process.died(ended.code, "pip")
    return Outcome(ended.code, ended.said)


def build(
    arguments: Sequence[str], what: Path, *, sources: WheelSources, epoch: int, running: Running | None = None
) -> Outcome:
    """Run ``pip wheel`` for ``what``, an archive or a folder, on this host; what that takes to be built are wheels.

    Of those, only the projects of ``sources.build`` may be built too. Raises as ``run``.
    """
    environ = {**sources.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    # In process, so that the refusals hold for what the build needs as well.
    words = ["wheel", "--no-deps", "--use-feature=inprocess-build-deps", *wheels_but(sources.build)]
    rules = PipRules(markers=None, names=sources.build, paths=[what])
    sources = replace(sources, environ=environ)
    arguments = [*words, *arguments, *sources.arguments(), str(what)]
    return run(arguments, sources=sources, rules=rules, running=running)


def wheels_but(names: Collection[str]) -> list[str]:
    """The options that make pip choose wheels, but sdists for ``names``."""
    return ["--only-binary=:all:", *([f"--no-binary={','.join(sorted(names))}"] if names else [])]


def environment(sources: WheelSources) -> dict[str, str]:
    """The variables that pip runs with, and what it builds: of settings of pip only those that are heard."""
    fixed = {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_COLOR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONWARNINGS": "ignore",
    }
    kept = {name: value for name, value in sources.environ.items() if _is_heard(name, offline=sources.offline)}
    if path := kept.pop("PYTHONPATH", ""):
        # An empty or relative entry is the folder pip runs in: the recipe's, whose files are data.
        kept["PYTHONPATH"] = os.pathsep.join(filter(os.path.isabs, path.split(os.pathsep)))
    if sources.offline:
        # --isolated leaves the machine's and the environment's configuration files in place; this does not.
        fixed["PIP_CONFIG_FILE"] = os.devnull
    return kept | fixed


def _is_heard(name: str, *, offline: bool) -> bool:
    if not name.upper().startswith(("PIP_", "_PIP_")):
        return True
    setting = name.removeprefix("PIP_").lower().replace("_", "-")
    return not offline and (name in _NO_SETTINGS or setting in SETTINGS)


def _absolute(place: Path | str) -> str:
    text = str(place)
    if not text.isprintable() or not text:
        raise InvalidValue("folder of wheels", text, "it has characters that no path here has")
    if "://" in text:
        return text
    path = Path(text).absolute()
    if inputs.exists(path) and not (inputs.is_dir(path) or inputs.is_file(path)):
        raise InvalidValue("folder of wheels", text, "it is a pipe or a device")
    return str(path)
