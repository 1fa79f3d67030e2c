"""A lock of another tool, read for a target: the wheels that it chooses, by digest; nothing is resolved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from packaging.tags import Tag
from packaging.utils import BuildTag, InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from oci_builder.digest import Digest, digest_file
from oci_builder.errors import InvalidValue, NoMatchingWheel, RecipeError, UnsupportedRequirement
from oci_builder.projects.documents import read_bytes
from oci_builder.projects.packages import TOOLS, Choice, LockedFile, LockedPackage
from oci_builder.projects.pdm import read_pdm
from oci_builder.projects.pipfile import read_pipfile
from oci_builder.projects.poetry import read_poetry
from oci_builder.projects.uv import read_uv
from oci_builder.wheels.origins import NO_WHEEL, direct_json, wheel_hint
from oci_builder.wheels.pins import LocalProject, LockedWheels, WheelPin
from oci_builder.wheels.target import Target
from oci_builder.wheels.wheelurl import check_filename, parse_wheel_url

Reading = Callable[[bytes, Path, Mapping[str, str], Choice], tuple[LockedPackage, ...]]

READERS: Mapping[str, Reading] = {
    "uv.lock": read_uv,
    "poetry.lock": read_poetry,
    "pdm.lock": read_pdm,
    "Pipfile.lock": read_pipfile,
}


def read_lock(path: Path, target: Target, choice: Choice) -> LockedWheels:
    """What the lock at ``path`` has for ``target``.

    Raises NotFound, RecipeError (no lock, no such extra or group), StaleLock (for other Pythons),
    UnsupportedRequirement (what is no wheel), NoMatchingWheel.
    """
    return parse_lock(read_bytes(path), path, target, choice)


def parse_lock(data: bytes, path: Path, target: Target, choice: Choice) -> LockedWheels:
    """The same of a lock's bytes; ``path`` tells whose it is. Raises RecipeError, and as ``read_lock``."""
    packages = READERS[path.name](data, path, target.markers(), choice)
    by_name: dict[str, LockedPackage] = {}
    for package in sorted(packages, key=str):
        _check(package, path)
        before = by_name.setdefault(package.name, package)
        if before.version != package.version:
            why = f"{before} and {package} are both chosen"
            raise RecipeError(str(path), "", why, hint="choose extras and groups that do not exclude each other")
    pins, lines, local, projects = [], [], {}, []
    ranks = {tag: rank for rank, tag in enumerate(target.tags())}
    for package in by_name.values():
        if package.origin.folder is not None:
            projects.append(LocalProject(name=package.name, version=package.version, folder=package.origin.folder))
            continue
        if package.hashes:
            proofs = " ".join(f"--hash=sha256:{_digest(each, package, path).hex}" for each in sorted(package.hashes))
            lines.append(f"{package.name}=={package.version} {proofs}")
            continue
        file = _best(package, ranks, path, target)
        digest = _digest_of(file, package, path)
        if file.path is not None:
            local[digest] = file.path
        pins.append(_pin(package, file, digest, path))
    return LockedWheels(pins=tuple(pins), lines=tuple(lines), local=local, projects=tuple(projects))


def read_every(path: Path) -> tuple[LockedPackage, ...]:
    """All packages that the lock at ``path`` has, for whichever machine and choice. Raises as ``read_lock``."""
    return READERS[path.name](read_bytes(path), path, {}, Choice(every=True))


def _check(package: LockedPackage, path: Path) -> None:
    """Raise where a package is no wheel, or its name and version are such that pip would be told something else."""
    if package.origin.refused:
        raise UnsupportedRequirement(str(package), str(path), package.origin.refused, hint=_hint(package, path))
    try:
        canonicalize_name(package.name, validate=True)
        if package.version or package.hashes:
            Version(package.version)
    except (ValueError, InvalidVersion) as error:
        again = f"make it anew: {TOOLS[path.name]}"
        raise RecipeError(str(path), "", f"{str(package)[:200]!r} is no package", hint=again) from error


def _best(package: LockedPackage, ranks: Mapping[Tag, int], path: Path, target: Target) -> LockedFile:
    """The file that pip would choose: of the best tag, and of those the newest build."""
    found: list[tuple[int, BuildTag, str, LockedFile]] = []
    rejected = []
    for file in package.files:
        if not file.filename.endswith(".whl"):
            continue
        try:
            check_filename(file.filename, package.name, package.version)
            _, _, build, tags = parse_wheel_filename(file.filename)
        except (ValueError, InvalidWheelFilename) as error:
            raise RecipeError(str(path), package.name, str(error), hint=f"make it anew: {TOOLS[path.name]}") from error
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if rank is None:
            rejected.append(file.filename)
        else:
            found.append((-rank, build, file.filename, file))
    if found:
        return max(found, key=lambda each: each[:3])[3]
    if not rejected:
        raise UnsupportedRequirement(str(package), str(path), NO_WHEEL, hint=_hint(package, path))
    hint = f"{path} has no other; {_hint(package, path)}"
    raise NoMatchingWheel(str(package), str(target), rejected=rejected[:20], hint=hint)


def _hint(package: LockedPackage, path: Path) -> str:
    return wheel_hint(package.name, package.version, package.origin, path)


def _digest_of(file: LockedFile, package: LockedPackage, path: Path) -> Digest:
    """What the lock says, or for a file of a folder of wheels, of which uv says nothing, what it is."""
    if file.sha256 or file.path is None:
        return _digest(file.sha256, package, path)
    try:
        return digest_file(str(file.path))[0]
    except (OSError, ValueError) as error:
        why, hint = f"its wheel, {file.path}, cannot be read", "bring it there, where the lock says that it is"
        raise UnsupportedRequirement(str(package), str(path), why, hint=hint) from error


def _digest(text: str, package: LockedPackage, path: Path) -> Digest:
    try:
        return Digest.parse(f"sha256:{text}")
    except InvalidValue as error:
        why = "the lock has no sha256 of its wheel"
        hint = f"lock again from an index that tells digests: {TOOLS[path.name]}"
        raise UnsupportedRequirement(str(package), str(path), why, hint=hint) from error


def _pin(package: LockedPackage, file: LockedFile, digest: Digest, path: Path) -> WheelPin:
    url = file.url if file.url is not None and file.url.startswith(("http:", "https:")) else None
    if file.size is not None and file.size < 0:
        raise RecipeError(str(path), package.name, f"a size of {file.size} bytes")
    try:
        if url is not None:
            parsed = parse_wheel_url(url)
            parsed.check_fits(package.name, package.version)
            url = parsed.url
    except ValueError as error:
        raise RecipeError(str(path), package.name, str(error), hint=f"make it anew: {TOOLS[path.name]}") from error
    return WheelPin(
        name=package.name,
        version=str(Version(package.version)) if package.version else str(parse_wheel_filename(file.filename)[1]),
        filename=file.filename,
        sha256=digest,
        size=file.size,
        requested=False,
        direct_url=direct_json(url or f"file:///{file.filename}", digest) if package.origin.direct else None,
        url=None if package.origin.direct else url,
    )
