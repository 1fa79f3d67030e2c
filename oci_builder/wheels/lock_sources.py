"""Where a package of a pylock.toml comes from: the kinds that PEP 751 has besides the wheels of an index."""

from __future__ import annotations

from pathlib import Path

from packaging.pylock import PackageArchive, PackageDirectory, PackageVcs, PackageWheel

from oci_builder.wheels.origins import INDEX, NO_WHEEL, Origin, of_archive, of_checkout, of_folder, of_path, of_url
from oci_builder.wheels.wheelurl import parse_wheel_url


def origin_of(file: object, path: Path) -> Origin:
    """What one of the kinds of PEP 751 is got from."""
    match file:
        case PackageVcs(type=kind, commit_id=commit):
            place = file.url or file.path or ""
            return of_checkout(place, kind=kind, commit=commit, subdirectory=file.subdirectory or "")
        case PackageDirectory():
            return of_folder(file.path, path, subdirectory=file.subdirectory or "")
        case PackageArchive():
            below = file.subdirectory or ""
            if file.path is not None:
                return of_archive(of_path(file.path, path, subdirectory=below), file.path)
            return of_archive(of_url(file.url or "", path, subdirectory=below), file.url or "")
        case PackageWheel():
            return INDEX
    return Origin(refused=NO_WHEEL)


def file_of(file: object, path: Path) -> Path | None:
    """Where a wheel of a lock is on this machine, if the lock says so."""
    if not isinstance(file, PackageWheel):
        return None
    if file.path is not None:
        return path.parent / file.path
    return parse_wheel_url(file.url).path if file.url is not None else None
