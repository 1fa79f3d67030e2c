"""What pip reports it would install, as pins that say nothing of the machine that asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from oci_builder import inputs
from oci_builder.digest import Digest, digest_file
from oci_builder.errors import ResolutionError, ToolFailed
from oci_builder.files import explained
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.target import Target
from oci_builder.wheels.wheelurl import parse_wheel_url

_REPORT = 256 << 20
"""Bytes of its report: what packages say of themselves is in it."""


def read_report(report: Path) -> list[dict[str, Any]]:
    """The items that pip would install, as its report has them. Raises ToolFailed for none that reads."""
    try:
        with report.open("rb") as stream:
            data = stream.read(_REPORT + 1)
        if len(data) > _REPORT:
            raise ValueError(f"longer than {_REPORT} bytes")
        # Not bounded.load_json: what packages say may be in no encoding at all.
        found: list[dict[str, Any]] = json.loads(data)["install"]
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise ToolFailed("pip", f"its report cannot be read: {error}") from error
    return found


def pin_of(item: Mapping[str, Any], target: Target, built: Mapping[str, WheelPin], store: Store) -> WheelPin:
    """The pin that an item of the report means, or the one ``built`` under its name. A local wheel goes into ``store``.

    Raises ResolutionError for a wheel that does not run on ``target`` or that no lock can name; FileProblem;
    DigestMismatch.
    """
    info, metadata = item["download_info"], item["metadata"]
    name, filename = canonicalize_name(metadata["name"]), _filename(info["url"])
    if name in built:
        return replace(built[name], requested=item["requested"])
    digest = _digest(info, name)
    _check_fits(filename, name, target)
    if item["is_direct"]:
        _check_url(_placeless(info)["url"], name)
    direct = json.dumps(_as_pip_says(_placeless(info)), sort_keys=True) if item["is_direct"] else None
    size = None
    if item["is_direct"] and (path := _local(info["url"])):
        # No index has it: what is in the store now is what will be installed.
        with explained(path):
            size = inputs.size_of(path)
        store.put_file(path, digest=digest, size=size, what=filename)
    return WheelPin(
        name=name,
        version=str(Version(metadata["version"])),
        filename=filename,
        sha256=digest,
        size=size,
        requested=item["requested"],
        direct_url=direct,
    )


def _digest(info: Mapping[str, Any], name: str) -> Digest:
    found = info.get("archive_info", {}).get("hashes", {}).get("sha256")
    if found:
        return Digest.parse(f"sha256:{found}")
    if path := _local(info["url"]):
        with explained(path):
            return digest_file(str(path))[0]
    raise ResolutionError(
        name, "the index gives no sha256 for its wheel", hint="put the wheel into the image's wheels/"
    )


def _check_fits(filename: str, name: str, target: Target) -> None:
    try:
        tags = parse_wheel_filename(filename)[3]
    except InvalidWheelFilename as error:
        raise ResolutionError(name, f"pip chose {filename}, which is no wheel") from error
    if tags.isdisjoint(target.tags()):
        raise ResolutionError(name, f"pip chose {filename}, which does not run on {target}")


def _check_url(url: str, name: str) -> None:
    try:
        parse_wheel_url(url)
    except ValueError as error:
        raise ResolutionError(name, f"no lock can hold where its wheel is: {error}") from error


def _placeless(info: Mapping[str, Any]) -> dict[str, Any]:
    # Where a file lay on the machine that resolved would make the image depend on it.
    return {**info, "url": f"file:///{_filename(info['url'])}"} if _local(info["url"]) else dict(info)


def _as_pip_says(info: dict[str, Any]) -> dict[str, Any]:
    """``info`` without the sha256 that was computed on arrival where the URL has another hash: pip knows that alone."""
    archive = info.get("archive_info", {})
    hashes = archive.get("hashes", {})
    if len(hashes) < 2:
        return info
    kept = {name: text for name, text in hashes.items() if name != "sha256"}
    return {**info, "archive_info": {**archive, "hashes": kept}}


def _filename(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _local(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def note_yanked(items: Sequence[Mapping[str, Any]], reporter: Reporter) -> None:
    """Tell ``reporter`` what its authors have taken back since: pip takes that where exactly it is asked for."""
    for item in items:
        if item.get("is_yanked"):
            metadata = item["metadata"]
            reporter.note(f"{metadata['name']} {metadata['version']} has been yanked by its authors")
