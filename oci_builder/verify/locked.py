"""An image against the lock it is said to be made of: nothing more in it, nothing less, nothing changed.

Every file belongs to a locked wheel, to the base, or to ocibuild itself. A wheel that is at hand is asked itself; of
others only the image's own RECORD can speak. Bytecode has no digest in RECORD: it is compared with its sources by what
its header says of them, and that the code is theirs only building again can tell (``verify --rebuild``).
"""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from oci_builder.digest import Digest, digest_file
from oci_builder.distinfo import record_rows
from oci_builder.inspect.contents import ImageContents, LayerContents
from oci_builder.inspect.distributions import distributions, markers
from oci_builder.inspect.installed import Package
from oci_builder.projects.contents import LockContents, LockEntry
from oci_builder.store import Store
from oci_builder.verify.compiled import BytecodeWatcher, bytecode_files
from oci_builder.wheels.archive import WheelArchive, data_place, open_wheel, with_digests
from oci_builder.wheels.record import is_bytecode
from oci_builder.wheels.unverified import unverified_of

AtHand = Callable[[str, str], Path | None]
"""Where the wheel of a file name and a sha256 (hex) lies on this machine, if it does."""

_WHEELS = "ocibuild wheels"
_MADE = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")
"""Files of .dist-info that installing adds to a wheel's own."""

_ENOUGH = 20


def wheel_at_hand(store: Store, folder: Path) -> AtHand:
    """Looks for wheels in ``store`` and in ``folder``, and believes none that has another digest."""

    def find(filename: str, sha256: str) -> Path | None:
        for path in (store.path(Digest(sha256)), folder / filename):
            if path.is_file() and digest_file(str(path))[0].hex == sha256:
                return path
        return None

    return find


@dataclass(slots=True)
class LockReport:
    """What comparing came to: ``findings`` is empty where the image is the lock's.

    ``wheels`` counts those compared with the wheel itself, ``unseen`` names those that are not on this machine, and
    ``built`` the projects that were built, of which no lock has a digest;
    ``files`` counts by whose they are: "wheels", "base", "ocibuild". ``bytecode`` counts the wheels' .pyc files whose
    headers fit their sources.
    """

    findings: list[str] = field(default_factory=list)
    wheels: int = 0
    unseen: list[str] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    bytecode: int = 0


def environment_of(contents: ImageContents) -> Mapping[str, str]:
    """The marker environment (PEP 508) of the Python that an image's distributions are for."""
    places = [each.place for each in distributions(contents)]
    return markers(contents, places[0] if places else "")


def compare_with_lock(
    contents: ImageContents, bytecode: BytecodeWatcher, lock: LockContents, at_hand: AtHand
) -> LockReport:
    """Compare; ``bytecode`` has watched the image being read. Raises WheelError for a wheel at hand that is none."""
    report = LockReport()
    known: dict[str, str] = {}
    unverified = unverified_of(contents.run)
    installed = {each.name: each for each in distributions(contents) if _layer_of(each, contents)}
    for entry in sorted(lock.entries, key=lambda each: each.name):
        if entry.needed and entry.name not in installed:
            report.findings.append(f"{entry.name} {entry.version} is locked, and not in the image")
    for name, package in sorted(installed.items()):
        entries = lock.of(name)
        found = next((each for each in entries if each.version in ("", package.version)), None)
        if found is None:
            versions = " and ".join(sorted({each.version for each in entries}))
            locked = f"{versions} is locked" if entries else "not locked"
            report.findings.append(f"{name} {package.version} is in the image, and {locked}")
        rows = _rows(contents, package.place, report)
        known |= rows
        if found is not None and found.built:
            report.built.append(f"{package.name} {package.version}")
        elif found is not None:
            lenient = f"{package.name} {package.version}" in unverified
            _compare_wheel(package, found, rows, partial(_opened, at_hand, unverified=lenient), report)
    _compare_files(contents, known, report)
    _compare_bytecode(contents, bytecode, report)
    if len(report.findings) > _ENOUGH:
        report.findings[_ENOUGH:] = [f"and {len(report.findings) - _ENOUGH} more of the kind"]
    return report


def _layer_of(package: Package, contents: ImageContents) -> LayerContents | None:
    """The layer of wheels that brings ``package``, or None for one that the base brings."""
    record = contents.tree.get(f"{package.place}/METADATA")
    layer = contents.layers[record.layer - 1] if record else None
    return layer if layer is not None and layer.created_by.startswith(_WHEELS) else None


def _rows(contents: ImageContents, place: str, report: LockReport) -> dict[str, str]:
    """The files a RECORD lists by path, with their digests; where the image has others is said."""
    data = contents.content(f"{place}/RECORD")
    try:
        listed = list(record_rows((data or b"").decode("utf-8", "replace")))
    except ValueError:
        data, listed = None, []
    if data is None:
        report.findings.append(f"/{place} has no RECORD that can be read")
        return {}
    rows: dict[str, str] = {}
    root = posixpath.dirname(place)
    for name, digest, _ in listed:
        path = posixpath.normpath(posixpath.join("/", root, name)).lstrip("/")
        rows[path] = _hex(digest)
    for path, digest in rows.items():
        record = contents.tree.get(path)
        if record is None:
            report.findings.append(f"/{path} is in RECORD, and not in the image")
        elif digest and record.sha256 != digest:
            report.findings.append(f"/{path} is not what its RECORD says")
    return rows


def _hex(text: str) -> str:
    algorithm, _, value = text.partition("=")
    try:
        digest = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
    except (ValueError, binascii.Error):
        return "unreadable"
    return digest if algorithm == "sha256" else ""


def _opened(at_hand: AtHand, filename: str, sha256: str, *, unverified: bool) -> WheelArchive | None:
    """A wheel that is at hand; of one that the image says was not held to its RECORD, with the digests it has."""
    path = at_hand(filename, sha256)
    if path is None:
        return None
    archive = open_wheel(path, filename, unverified=unverified)
    return with_digests(archive) if unverified else archive


def _compare_wheel(
    package: Package,
    entry: LockEntry,
    rows: Mapping[str, str],
    opened: Callable[[str, str], WheelArchive | None],
    report: LockReport,
) -> None:
    """The RECORD of the image against that of the wheel it is said to come from."""
    # A hash without a name may be that of a source archive, which no build ever put where wheels are.
    unnamed = f"{package.name}-{package.version}-py3-none-any.whl"
    files = [*entry.wheels.items(), *((unnamed, digest) for digest in entry.hashes)]
    found = (opened(name, digest) for name, digest in files if digest)
    archives = [archive for archive in found if archive is not None]
    if not archives:
        report.unseen.append(f"{package.name} {package.version}")
        return
    root = posixpath.dirname(package.place)
    # A lock has a wheel for each platform; it was one of them.
    differences = [list(_differences(archive, rows, root, package)) for archive in archives]
    report.findings += sorted(differences, key=len)[0]
    report.wheels += 1


def _differences(archive: WheelArchive, rows: Mapping[str, str], root: str, package: Package) -> Iterator[str]:
    what = f"{package.name} {package.version}"
    expected = dict(_expected(archive, root))
    for path, digest in expected.items():
        if path not in rows:
            yield f"{what}: /{path} is in the wheel, and not in the image's RECORD"
        elif digest and rows[path] != digest:
            yield f"{what}: /{path} is not what the wheel holds"
    # Scripts are written anew for the image's interpreter, and data goes below a prefix that RECORD does not name.
    moved = {_hex(member.digest) for path, member in archive.members.items() if data_place(path)}
    for path, digest in rows.items():
        folder, _, name = path.rpartition("/")
        made = (folder == package.place and name in _MADE) or folder.endswith(("/bin", "/__pycache__"))
        if path not in expected and not made and digest not in moved:
            yield f"{what}: /{path} is in the image's RECORD, and not in the wheel"


def _expected(archive: WheelArchive, root: str) -> Iterator[tuple[str, str]]:
    # What lies in .data is written over what lies beside it.
    for path in sorted(archive.members, key=lambda path: data_place(path) is not None):
        member = archive.members[path]
        scheme, below = data_place(path) or ("purelib", path)
        made = posixpath.dirname(below) == archive.dist_info and posixpath.basename(below) in _MADE
        if scheme in ("purelib", "platlib") and not is_bytecode(below) and not made and member.digest:
            yield f"{root}/{below}", _hex(member.digest)


def _compare_files(contents: ImageContents, known: Mapping[str, str], report: LockReport) -> None:
    for path, record in contents.tree.items():
        if record.kind == "directory":
            continue
        whose = _owner(contents.layers[record.layer - 1])
        if path in known:
            whose = "wheels"
        elif whose in ("wheels", "nobody"):
            report.findings.append(f"/{path} belongs to no locked wheel, nor to the base")
        report.files[whose] = report.files.get(whose, 0) + 1


def _compare_bytecode(contents: ImageContents, bytecode: BytecodeWatcher, report: LockReport) -> None:
    for path in bytecode_files(contents.tree):
        if _owner(contents.layers[contents.tree[path].layer - 1]) == "wheels":
            wrong = bytecode.judge(contents.tree, path)
            if wrong is not None:
                report.findings.append(wrong)
            else:
                report.bytecode += 1


def _owner(layer: LayerContents) -> str:
    if layer.created_by.startswith(_WHEELS):
        return "wheels"
    if layer.created_by.startswith(("ocibuild base", "ocibuild packages", "ocibuild locales")):
        return "base"
    return "ocibuild" if layer.created_by.startswith("ocibuild ") else "nobody"
