"""The Python distributions of an image, by their .dist-info folders (PyPA, "recording installed projects")."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from email.message import Message
from urllib.parse import quote

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from oci_builder.bounded import load_json
from oci_builder.distinfo import headers, record_rows
from oci_builder.imported.libc import version_in
from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.installed import Needed, Package
from oci_builder.inspect.licences import licence_of
from oci_builder.oci.jsonio import MAX_DOCUMENT

_PYTHON = re.compile(r"(?:^|/)python(\d+)\.(\d+)(?:/|$)")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_LIBRARY = re.compile(r"\.so(?:\.[0-9.]+)?\Z")
_VENDORED = re.compile(r"(?:\A|/)(?:[^/]+\.libs|\.libs|\.dylibs)/")
_REQUIREMENT = 200
"""Steps that reading a requirement is worth."""

_LONGEST = 20_000
"""Characters of a requirement."""

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def distributions(contents: ImageContents) -> Iterator[Package]:
    """Every distribution whose METADATA reads, by name."""
    found = []
    for path in contents.kept:
        folder, _, name = path.rpartition("/")
        if name == "METADATA" and folder.endswith(".dist-info"):
            found.append(_distribution(contents, folder))
    yield from sorted((each for each in found if each), key=lambda each: (each.name, each.place))


def markers(contents: ImageContents, place: str) -> dict[str, str]:
    """The marker environment (PEP 508) of the Python whose site-packages hold ``place``, as far as an image tells."""
    match = _PYTHON.search(place)
    minor = f"{match[1]}.{match[2]}" if match else _environment(contents).get("PYTHON_VERSION", "3").rpartition(".")[0]
    full = _full_version(contents, minor)
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": _MACHINES.get(contents.architecture, contents.architecture),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "python_version": minor,
        "sys_platform": "linux",
    }


def _full_version(contents: ImageContents, minor: str) -> str:
    said = _environment(contents).get("PYTHON_VERSION", "")
    if said.startswith(f"{minor}."):
        return said
    for path in (f"var/lib/dpkg/status.d/python{minor}-minimal", f"var/lib/dpkg/status.d/python{minor}"):
        match = re.search(rb"^Version: ([0-9.]+)", contents.content(path) or b"", re.MULTILINE)
        if match:
            return match[1].decode()
    status = contents.content("var/lib/dpkg/status") or b""
    name = f"python{minor}-minimal".encode()
    match = re.match(rb"[0-9.]+", version_in(status, [name], name=b"Package: ", version=b"Version: "))
    return match[0].decode() if match else f"{minor}.0"


def _environment(contents: ImageContents) -> Mapping[str, str]:
    env = contents.run.get("Env")
    pairs = (str(line).partition("=") for line in env) if isinstance(env, list) else ()
    return {name: value for name, _, value in pairs}


def _distribution(contents: ImageContents, folder: str) -> Package | None:
    metadata = headers(_text(contents, f"{folder}/METADATA").partition("\n\n")[0])
    name, version = _header(metadata, "Name"), _header(metadata, "Version")
    if not name or not version:
        return None
    key = canonicalize_name(name)
    files, missing = _files(contents, folder)
    return Package(
        kind="python",
        name=key,
        version=version,
        place=folder,
        purl=f"pkg:pypi/{quote(key, safe='')}@{quote(version, safe='')}",
        licence=licence_of(metadata),
        summary=_header(metadata, "Summary"),
        homepage=_homepage(metadata),
        needs=tuple(_needs(contents, metadata, markers(contents, folder))),
        requested=_requested(contents, folder),
        installer=_text(contents, f"{folder}/INSTALLER").strip(),
        tags=tuple(line[5:].strip() for line in _text(contents, f"{folder}/WHEEL").splitlines() if line[:4] == "Tag:"),
        sha256=_sha256(_text(contents, f"{folder}/direct_url.json")),
        files=files,
        missing=missing,
        vendored=tuple(path for path in files if _is_vendored(path)),
        sboms=tuple(path for path in files if path.startswith(f"{folder}/sboms/")),
    )


def _requested(contents: ImageContents, folder: str) -> bool | None:
    # An installer that never writes the mark says nothing by leaving it out.
    if f"{folder}/REQUESTED" in contents.tree:
        return True
    return False if contents.marks_requested else None


def _needs(contents: ImageContents, metadata: Message, environment: Mapping[str, str]) -> Iterator[Needed]:
    for line in metadata.get_all("Requires-Dist") or ():
        contents.spend(_REQUIREMENT)
        if len(str(line)) > _LONGEST:
            continue
        try:
            requirement = Requirement(str(line))
        except (ValueError, RecursionError):  # numbers of 5,000 digits and a thousand brackets among them
            continue
        extra = _EXTRA.search(str(requirement.marker or ""))
        if not _applies(requirement.marker, {**environment, "extra": extra[1] if extra else ""}):
            continue
        yield Needed(
            names=(canonicalize_name(requirement.name),),
            text=str(requirement),
            asked=str(requirement.specifier),
            extra=canonicalize_name(extra[1]) if extra else "",
            extras=tuple(sorted(map(canonicalize_name, requirement.extras))),
        )


def _applies(marker: Marker | None, environment: dict[str, str]) -> bool:
    try:
        return marker is None or marker.evaluate(environment)
    except (UndefinedComparison, UndefinedEnvironmentName, ValueError):
        return False


def _files(contents: ImageContents, folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What RECORD lists that is there, and what it lists that is not."""
    root, present, missing = posixpath.dirname(folder), dict[str, None](), []
    try:
        rows = [path for path, _, _ in record_rows(_text(contents, f"{folder}/RECORD"))]
    except ValueError:
        rows = []
    contents.spend(len(rows))
    for row in rows:
        path = posixpath.normpath(row.lstrip("/") if row.startswith("/") else posixpath.join(root, row))
        record = contents.tree.get(path) or contents.tree.get(path := contents.resolve(path))
        if record is None:
            missing.append(path)
        elif record.kind != "directory":
            present[path] = None
    # Without a RECORD (or one that is empty) at least what describes it is its own.
    own = contents.kept_in.get(folder, ())
    return tuple(dict.fromkeys((*present, *own))), tuple(missing)


def _is_vendored(path: str) -> bool:
    return bool(_LIBRARY.search(path) and _VENDORED.search(path))


def _homepage(metadata: Message) -> str:
    if found := _header(metadata, "Home-page"):
        return found
    urls = [str(line).partition(",") for line in metadata.get_all("Project-URL") or ()]
    return next((url.strip() for label, _, url in urls if label.strip().lower() in ("homepage", "home", "source")), "")


def _sha256(direct_url: str) -> str:
    """The archive's digest that an installer kept (PEP 610), or nothing."""
    try:
        document = load_json(direct_url) if len(direct_url) < MAX_DOCUMENT else {}
        found = document["archive_info"]["hashes"]["sha256"]
    except (ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) and re.fullmatch(r"[0-9a-f]{64}", found) else ""


def _header(metadata: Message, name: str) -> str:
    found = str(metadata.get(name) or "").strip()
    return "" if found == "UNKNOWN" else found


def _text(contents: ImageContents, path: str) -> str:
    return (contents.kept.get(path) or b"").decode("utf-8", "replace").replace("\r\n", "\n")
