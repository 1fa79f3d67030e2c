"""Wheels installed twice, by pip and by ocibuild, and every difference between the two named."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import platform
import posixpath
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oci_builder.errors import OcibuildError
from oci_builder.platforms import AMD64
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry
from oci_builder.wheels.archive import open_wheel, with_digests
from oci_builder.wheels.install import install
from oci_builder.wheels.record import is_bytecode
from oci_builder.wheels.target import PythonEnvironment, Target

PYTHON = "python{}.{}".format(*sys.version_info)
PREFIX = "usr/local"
SITE = f"{PREFIX}/lib/{PYTHON}/site-packages"

TARGET = Target(
    platform=AMD64,
    promise=PythonEnvironment(
        version=platform.python_version(),
        interpreter=sys.executable,
        prefix=f"/{PREFIX}",
        purelib=f"/{SITE}",
        scripts=f"/{PREFIX}/bin",
        glibc=(2, 36),
    ),
)

_STRONG = ("sha256=", "sha384=", "sha512=")

INTENDED = {
    "installer": "INSTALLER names ocibuild.",
    "bytecode": "pip installs the `.pyc` files that lie in a wheel; ocibuild does not, and compiles what it installs.",
    "x bit": "A script of `.data/scripts` without the x bit stays without it with pip; here every script can be run.",
    "row of nothing": "pip keeps rows of RECORD for files that it does not install; here every row is a file.",
    "row of a loser": "Where two files of a wheel go to one path, pip keeps a row for each; here for the one there is.",
    "row spelt otherwise": "pip keeps paths and sizes as a wheel's RECORD has them; here they are those of the file.",
    "row of a weak digest": "Rows without a digest, with a weak or a wrong one get the SHA-256 of the file.",
}
"""Differences that are meant, and why."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file of a root: its mode and the SHA-256 of its content."""

    mode: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Root:
    """What installing made, by path, and the rows of every RECORD."""

    files: Mapping[str, Placed]
    rows: Counter[tuple[str, str, str]]


@dataclass(slots=True)
class Comparison:
    """How two installations of a wheel compare: ``differences`` by kind, of which some are INTENDED."""

    files: int = 0
    differences: dict[str, list[str]] = field(default_factory=dict)

    @property
    def unintended(self) -> dict[str, list[str]]:
        """What nobody wanted."""
        return {kind: paths for kind, paths in self.differences.items() if kind not in INTENDED}

    def note(self, kind: str, what: str) -> None:
        """One difference more."""
        self.differences.setdefault(kind, []).append(what)


class PipRefused(Exception):
    """pip did not install it."""


def by_pip(wheels: Sequence[Path], root: Path) -> Root:
    """What pip itself makes of ``wheels``, in a root of their own. Raises PipRefused."""
    options = ["--no-deps", "--no-compile", "--no-index", "--ignore-installed", "--no-warn-script-location"]
    options += ["--disable-pip-version-check", "--no-cache-dir", "--quiet", "--root-user-action=ignore"]
    options += [f"--root={root}", f"--prefix=/{PREFIX}", *sorted({f"--find-links={wheel.parent}" for wheel in wheels})]
    asked = ["==".join(wheel.name.split("-")[:2]) for wheel in wheels]
    command = [sys.executable, "-I", "-m", "pip", "install", *options, *asked]
    done = subprocess.run(command, capture_output=True, text=True, umask=0o022, timeout=900, cwd=root)
    if done.returncode:
        raise PipRefused((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    records = root.glob(f"{SITE}/*.dist-info/RECORD")
    return Root(dict(_files(root)), sum((_rows(path.read_bytes()) for path in records), Counter()))


def by_ocibuild(wheel: Path, *, unverified: bool = False) -> Root:
    """What ocibuild makes of it. Raises OcibuildError."""
    with MappedFiles() as sources:
        archive = open_wheel(wheel, wheel.name, sources=sources, unverified=unverified)
        made = install(with_digests(archive) if unverified else archive, TARGET, requested=True)
        record = made.record(())
        entries = (*made.entries, record)
        assert len({entry.path for entry in entries}) == len(entries), "a path has one file"
        files = {str(entry.path): Placed(entry.mode, _sha256(entry, sources)) for entry in entries}
        assert record.content is not None
        rows = _rows(sources.read(record.content, what="RECORD"))
    return Root(files, rows)


def compare(wheels: Sequence[Path], root: Path) -> Comparison:
    """Install ``wheels``, which have no path in common, both ways, pip's below ``root``.

    Raises PipRefused, and OcibuildError for our refusal, where it is not one of RECORD.
    """
    pips, found = by_pip(wheels, root), Comparison()
    files: dict[str, Placed] = {}
    rows: Counter[tuple[str, str, str]] = Counter()
    for wheel in wheels:
        try:
            ours = by_ocibuild(wheel)
        except OcibuildError as error:
            if "unverified = [" not in (error.hint or ""):
                raise
            found.note("unverified", str(error))
            ours = by_ocibuild(wheel, unverified=True)
        files |= ours.files
        rows += ours.rows
    _compare_files(pips.files, files, found)
    _compare_rows(pips, Root(files, rows), found)
    return found


def _compare_files(pips: Mapping[str, Placed], ours: Mapping[str, Placed], found: Comparison) -> None:
    for path in sorted(pips.keys() | ours.keys()):
        one, two = pips.get(path), ours.get(path)
        name = path.rpartition("/")[2]
        if one is None or two is None:
            kind = "bytecode" if two is None and is_bytecode(path) else "missing" if two is None else "only here"
            found.note(kind, path)
            continue
        found.files += 1
        if name == "RECORD" and path.startswith(f"{SITE}/") and ".dist-info/" in path:
            continue  # compared by its rows
        if one.sha256 != two.sha256:
            found.note("installer" if name == "INSTALLER" else "bytes", path)
        if one.mode != two.mode:
            script = path.startswith(f"{PREFIX}/bin/") and (one.mode, two.mode) == (0o644, 0o755)
            found.note("x bit" if script else "mode", f"{path} {one.mode:o} {two.mode:o}")


def _compare_rows(pips: Root, ours: Root, found: Comparison) -> None:
    listed = {_path(row[0]) for row in ours.rows}
    for row in pips.rows - ours.rows:
        path = _path(row[0])
        if path not in ours.files:
            found.note("bytecode" if is_bytecode(path) else "row of nothing", row[0])
        elif path.endswith("/INSTALLER"):
            continue
        elif not row[1].startswith(_STRONG):
            found.note("row of a weak digest", row[0])
        elif row in ours.rows or not _is_true(row, ours):
            found.note("row of a loser", row[0])
        else:
            found.note("row spelt otherwise" if path in listed else "row", row[0])
    for row in ours.rows - pips.rows:
        if not _is_true(row, ours):
            found.note("wrong row", row[0])


def _is_true(row: tuple[str, str, str], root: Root) -> bool:
    """Whether a row says what the file is; RECORD itself has nothing to say of itself."""
    there = root.files.get(_path(row[0]))
    if there is None:
        return False
    if row[0].endswith(".dist-info/RECORD"):
        return row[1:] == ("", "")
    algorithm, _, value = row[1].partition("=")
    return algorithm != "sha256" or _urlsafe(there.sha256) == value.rstrip("=")


def _urlsafe(digest: str) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip("=")


def _path(row: str) -> str:
    return posixpath.normpath(posixpath.join("/", SITE, row)).lstrip("/")


def _files(root: Path) -> Iterator[tuple[str, Placed]]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            mode = stat.S_IMODE(path.lstat().st_mode)
            yield _plain(path.relative_to(root).as_posix()), Placed(mode, hashlib.sha256(path.read_bytes()).hexdigest())


def _rows(record: bytes) -> Counter[tuple[str, str, str]]:
    return Counter((_plain(row[0]), row[1], row[2]) for row in csv.reader(record.decode().splitlines()) if row)


def _plain(path: str) -> str:
    # pip, running in a virtual environment, gives headers a folder that there is nowhere else.
    return path.replace(f"include/site/{PYTHON}/", f"include/{PYTHON}/")


def _sha256(entry: Entry, sources: MappedFiles) -> str:
    assert entry.content is not None
    seen = hashlib.sha256()
    for chunk in sources.chunks(entry.content, what=entry.path):
        seen.update(chunk)
    return seen.hexdigest()
