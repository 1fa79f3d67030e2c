"""Where a package of a lock comes from when no index has it, and what is said of what is no wheel: for every lock."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from oci_builder.digest import Digest
from oci_builder.wheels.wheelurl import local_path

_ARCHIVES = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar")

_SHOWN = 200
"""Characters of a path that are shown."""

NO_WHEEL = "the lock has no wheel of it"
_ADDS = {"uv.lock": "uv add", "poetry.lock": "poetry add", "pdm.lock": "pdm add", "Pipfile.lock": "pipenv install"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a package is got from besides an index: a wheel's ``url`` or ``file``, a project's ``folder``, or nothing.

    ``refused`` says why it is none of these, "" where it is one or comes from an index; ``asked`` is what pip would
    take to build a wheel of it.
    """

    url: str | None = None
    file: Path | None = None
    folder: Path | None = None
    refused: str = ""
    asked: str = ""

    @property
    def direct(self) -> bool:
        """Whether it was asked for by the place of its one wheel."""
        return self.url is not None or self.file is not None

    @property
    def filename(self) -> str:
        """What the wheel of a direct one is called."""
        if self.url is not None:
            return url_filename(self.url)
        return "" if self.file is None else self.file.name


INDEX = Origin()


def of_url(url: str, lock: Path, *, subdirectory: str = "") -> Origin:
    """What a URL in ``lock`` leads to: a wheel, a folder or file of this machine, or a source archive."""
    if url.lower().startswith("file:"):
        try:
            return of_path(local_path(url), lock, subdirectory=subdirectory)
        except ValueError as error:
            return Origin(refused=str(error))
    if url_filename(url).endswith(".whl"):
        return Origin(url=without_credentials(url))
    shown = without_credentials(url)
    return Origin(refused=f"a source archive, {shown}, is not a wheel", asked=f"{shown}{_below(subdirectory)}")


def of_path(path: str, lock: Path, *, subdirectory: str = "") -> Origin:
    """What a path, from the folder of ``lock``, leads to: a wheel or a project's folder, told by its name."""
    if path.lower().startswith("file:"):
        return of_url(path, lock, subdirectory=subdirectory)
    if path.lower().endswith(_ARCHIVES):
        return Origin(refused=f"a source archive, {path!r}, is not a wheel", asked=path)
    if path.endswith(".whl") and _can_be(path):
        return Origin(file=lock.parent / path)
    return of_folder(path, lock, subdirectory=subdirectory)


def of_folder(path: str, lock: Path, *, subdirectory: str = "") -> Origin:
    """A project in a folder, by its path from that of ``lock``."""
    if not _can_be(path) or not _can_be(subdirectory):
        return Origin(refused=f"{path[:_SHOWN]!r} is no path")
    return Origin(folder=lock.parent / path / subdirectory)


def of_archive(origin: Origin, place: str) -> Origin:
    """The same of what has to be a file: a name that would be a folder's is refused."""
    if origin.folder is None:
        return origin
    return Origin(refused=f"an archive, {place!r}, that is no wheel", asked=place)


def of_checkout(url: str, *, kind: str = "git", commit: str = "", subdirectory: str = "") -> Origin:
    """A checkout, which is never a wheel."""
    shown = without_credentials(url)
    scheme = shown if shown.startswith(f"{kind}+") else f"{kind}+{shown}"
    return Origin(
        refused=f"a checkout of {kind}, {shown}, is not a wheel",
        asked=f"{scheme}{f'@{commit}' if commit else ''}{_below(subdirectory)}",
    )


def wheel_hint(name: str, version: str, origin: Origin, lock: Path) -> str:
    """What to type where ``lock`` names something that is no wheel: a wheel is made of it, and locked in its place."""
    what = origin.asked or (f"{name}=={version}" if version else name)
    # Not into wheels/: where that folder is, builds are offline.
    make = f"build a wheel of it (beside {lock.name}: pip wheel --no-deps -w dist {shlex.quote(what)})"
    wheel = f"./dist/{name.replace('-', '_')}-*.whl"
    add = _ADDS.get(lock.name)
    if add is None:
        return f"{make}, and lock {wheel} in its place, with the tool that made the lock"
    return f"{make}, and lock that in its place: {add} {wheel}"


def direct_json(url: str, digest: Digest) -> str:
    """The text of direct_url.json, as pip writes it for the URL of a wheel (PEP 610)."""
    hashes = {"hash": f"sha256={digest.hex}", "hashes": {"sha256": digest.hex}}
    return json.dumps({"archive_info": hashes, "url": url}, sort_keys=True)


def without_credentials(url: str) -> str:
    """The URL as anybody may see it: a lock's credentials are its owner's, and go into nothing of ours."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url  # whoever wants to use it says what is wrong with it
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else url


def url_filename(url: str) -> str:
    """The last part of a URL's path."""
    try:
        return unquote(urlsplit(url).path).rpartition("/")[2]
    except ValueError:
        return ""


def _can_be(path: str) -> bool:
    """Whether anything can have this path."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _below(subdirectory: str) -> str:
    return f"#subdirectory={subdirectory}" if subdirectory else ""
