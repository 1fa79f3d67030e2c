"""What builds a project, installed once: the packages that its ``[build-system]`` requires, kept in the store.

An environment is a blob, whose digest proves it before anything of it runs, and is unpacked for each build. Which
releases are in it was decided when it was made; they stay until the requirements, this machine's Python or where wheels
come from change, or until the cache is pruned.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from oci_builder import inputs
from oci_builder.digest import Digest
from oci_builder.files import fill, open_regular
from oci_builder.redaction import redact_text
from oci_builder.store import Store
from oci_builder.wheels import process
from oci_builder.wheels.pip import PipRules, WheelSources, run, wheels_but
from oci_builder.wheels.process import Running

RECORDS = "build-environments"
"""The kind of the records in a store."""

_FORMAT = 1
_LARGEST = 256 << 20
"""Bytes of the files of an environment that is kept: it is in memory when it is unpacked. pip makes others."""

_REPORT = 16 << 20
"""Bytes of pip's report on what it installed."""

_MOST = 64 << 10
"""Bytes of a configuration file of pip's that are looked at."""

# As pip has it in the environments that it makes: those that a backend starts see no other packages either.
_ISOLATED = """\
import os, site, sys, sysconfig
_others = {os.path.normcase(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
sys.path[:] = [path for path in sys.path if os.path.normcase(path) not in _others]
site.addsitedir(os.path.dirname(__file__))
"""


class BuildEnvironment(msgspec.Struct, frozen=True):
    """An environment in the store: its blob, and the files of the wheels in it by name, with their sha256.

    One without a blob is too large to be kept.
    """

    sha256: str
    size: int
    wheels: dict[str, str]

    def unpack(self, folder: Path, store: Store) -> None:
        """Write it into ``folder``, which is new. Raises CorruptBlob, before anything is written; ValueError."""
        data = memoryview(store.read(Digest(self.sha256), self.size))
        length = int.from_bytes(data[:8], "big")
        folder.mkdir()
        at = 8 + length
        made = {folder}
        for name, executable, size in msgspec.json.decode(data[8:at], type=list[tuple[str, bool, int]]):
            path = folder / name
            if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
                raise ValueError(f"{name} would leave its folder")
            if path.parent not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755 if executable else 0o644), "wb") as new:
                new.write(data[at : at + size])
            at += size
        fill(folder / "sitecustomize.py", _ISOLATED.encode())


def environment_for(
    requires: Sequence[str], *, sources: WheelSources, store: Store, running: Running
) -> BuildEnvironment | None:
    """The environment with ``requires``, made where it is not kept; None where only pip can make one.

    What is installed are wheels, by the rules of all builds. Raises what pip raises of wheels that are refused.
    """
    key = _key(requires, sources)
    if key is None:
        return None
    known = store.record(RECORDS, key)
    if known is not None:
        try:
            found = msgspec.json.decode(known, type=BuildEnvironment)
        except msgspec.MsgspecError:
            store.drop_record(RECORDS, key)
        else:
            if not found.sha256:
                return None
            if store.has(Digest(found.sha256), found.size):
                return found
    made = _made(requires, sources, store, running)
    if made is not None:
        store.put_record(RECORDS, key, msgspec.json.encode(made))
    return made if made is not None and made.sha256 else None


def _made(requires: Sequence[str], sources: WheelSources, store: Store, running: Running) -> BuildEnvironment | None:
    with store.scratch() as scratch:
        site, report = scratch / "site", scratch / "report.json"
        site.mkdir()
        wheels: dict[str, str] = {}
        if requires:
            words = ["install", f"--target={site}", "--no-compile", "--quiet", f"--report={report}"]
            # Nothing is built; only where something may be does the hook let wheels be installed.
            rules = PipRules(markers=None, paths=[scratch / "nothing"])
            arguments = [*words, *wheels_but(()), *sources.arguments(), *requires]
            if run(arguments, sources=sources, rules=rules, running=running).code != 0:
                return None
            wheels = _installed(report)
        if not _compiled(site, sources, running):
            return None
        if sum(size for _, _, _, size in _files(site)) > _LARGEST:
            return BuildEnvironment(sha256="", size=0, wheels=wheels)
        digest, size = _packed(site, store)
    return BuildEnvironment(sha256=digest.hex, size=size, wheels=wheels)


def _installed(report: Path) -> dict[str, str]:
    with open_regular(report) as stream:
        items = json.loads(stream.read(_REPORT))["install"]
    found = [each["download_info"] for each in items]
    return {each["url"].rpartition("/")[2]: each["archive_info"]["hashes"].get("sha256", "") for each in found}


def _compiled(site: Path, sources: WheelSources, running: Running) -> bool:
    """Compile what is in ``site``, by content: unpacked it has other times each time."""
    # By names that do not tell where it was made, so that the same packages are the same environment.
    how = ["-qq", "--invalidation-mode", "unchecked-hash", "-s", str(site)]
    words = [sys.executable, "-I", "-S", "-m", "compileall", *how, str(site)]
    ended = process.run(
        lambda _: words, environ=sources.environ, folder=site, clean=redact_text, hear=None, running=running
    )
    return ended.code in (0, 1)  # some packages have files that are no Python


def _packed(site: Path, store: Store) -> tuple[Digest, int]:
    """Keep all files below ``site`` as one blob: how long its index is, the index, and one file after the other."""
    files = list(_files(site))
    index = msgspec.json.encode([(name, executable, size) for name, _, executable, size in files])
    with store.writer() as sink:
        sink.write(len(index).to_bytes(8, "big") + index)
        for name, path, _, size in files:
            with open_regular(path) as stream:
                data = stream.read(size + 1)
            if len(data) != size:
                raise ValueError(f"{name} changed while it was read")
            sink.write(data)
        return sink.digest(), sink.size


def _files(site: Path) -> Iterator[tuple[str, Path, bool, int]]:
    for here, folders, names in os.walk(site):
        folders.sort()
        for name in sorted(names):
            path = Path(here, name)
            info = path.lstat()
            yield path.relative_to(site).as_posix(), path, bool(info.st_mode & 0o100), info.st_size


def _key(requires: Sequence[str], sources: WheelSources) -> str | None:
    """The hash of all that decides an environment but an index; None where constraints have a say, which pip hears of
    what it builds in other ways than of what it installs."""
    settings = _settings(sources)
    if settings is None:
        return None
    decides = {
        "format": _FORMAT,
        "requires": sorted(requires),
        "python": [sys.version, sys.implementation.cache_tag, sysconfig.get_platform(), sys.prefix],
        "offline": sources.offline,
        "links": [str(link) for link in sources.find_links],
        "wheels": [
            [path.name, inputs.size_of(path)]
            for folder in sources.folders()
            for path in inputs.listing(folder)
            if inputs.is_file(path)
        ],
        "settings": settings,
    }
    return Digest.of(json.dumps(decides, sort_keys=True).encode()).hex


def _settings(sources: WheelSources) -> list[list[str]] | None:
    """What is said to pip by variables and files, each as its name and a digest."""
    if sources.offline:
        return []
    environ = sources.environ
    said = {name: value for name, value in environ.items() if name.upper().startswith("PIP_")}
    home = inputs.variable(environ, "HOME") or "/nonexistent"
    config = inputs.variable(environ, "XDG_CONFIG_HOME") or f"{home}/.config"
    system = (inputs.variable(environ, "XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    places = [*(f"{each}/pip/pip.conf" for each in (*system, config)), f"{home}/.pip/pip.conf"]
    places += ["/etc/pip.conf", f"{sys.prefix}/pip.conf", said.get("PIP_CONFIG_FILE", "")]
    for place in filter(None, places):
        if inputs.is_file(Path(place)):
            with open_regular(Path(place)) as stream:
                said[place] = stream.read(_MOST).decode("utf-8", "replace")
    if any("constraint" in text.lower() for pair in said.items() for text in pair):
        return None
    return [[name, Digest.of(value.encode("utf-8", "replace")).hex] for name, value in sorted(said.items())]
