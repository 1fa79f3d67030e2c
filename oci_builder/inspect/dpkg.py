"""The Debian packages of an image: dpkg's own status file, or the folder status.d that images without dpkg have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from oci_builder.debian.control import dependencies, stanza
from oci_builder.errors import PackageError
from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.installed import Needed, Package
from oci_builder.inspect.licences import debian_licences

STATUS = "var/lib/dpkg/status"
STATUS_D = "var/lib/dpkg/status.d/"
_INFO = "var/lib/dpkg/info/"
_SOURCE = re.compile(r"\s*([^\s(]+)(?:\s*\(([^)]*)\))?")


def debian_packages(contents: ImageContents) -> Iterator[Package]:
    """The packages that dpkg has written down as installed, by name."""
    found = [_package(contents, fields, place) for fields, place in _stanzas(contents)]
    yield from sorted(found, key=lambda package: (package.name, package.place))


def _stanzas(contents: ImageContents) -> Iterator[tuple[Mapping[str, str], str]]:
    for part in _text(contents, STATUS).split("\n\n"):
        fields = stanza(part)
        # Purged and half-removed packages keep their stanza.
        if fields.get("package") and fields.get("version") and fields.get("status", "").endswith(" installed"):
            yield fields, STATUS
    for path in sorted(contents.kept):
        if path.startswith(STATUS_D) and not path.endswith(".md5sums"):
            fields = stanza(_text(contents, path))
            if fields.get("package") and fields.get("version"):
                yield fields, path


def _package(contents: ImageContents, fields: Mapping[str, str], place: str) -> Package:
    name, version = fields["package"], fields["version"]
    architecture = fields.get("architecture", "")
    files = tuple(dict.fromkeys(_files(contents, name, architecture, place)))
    copyright_file = contents.content(f"usr/share/doc/{name}/copyright") or b""
    return Package(
        kind="debian",
        name=name,
        version=version,
        place=place,
        purl=_purl(contents, name, version, architecture),
        licence=debian_licences(copyright_file.decode("utf-8", "replace")),
        summary=fields.get("description", "").partition("\n")[0],
        homepage=fields.get("homepage", ""),
        needs=tuple(_needs(fields)),
        tags=(architecture,) if architecture else (),
        provides=tuple(part.partition("(")[0].strip() for part in fields.get("provides", "").split(",") if part),
        source=_source(fields),
        files=files,
    )


def _purl(contents: ImageContents, name: str, version: str, architecture: str) -> str:
    vendor = contents.os_release.get("ID", "debian")
    release = contents.os_release.get("VERSION_ID", "")
    qualifiers = [f"arch={quote(architecture, safe='')}"] if architecture else []
    qualifiers += [f"distro={quote(f'{vendor}-{release}', safe='-')}"] if release else []
    tail = f"?{'&'.join(qualifiers)}" if qualifiers else ""
    return f"pkg:deb/{quote(vendor, safe='')}/{quote(name, safe='')}@{quote(version, safe=':')}{tail}"


def _source(fields: Mapping[str, str]) -> str:
    match = _SOURCE.match(fields.get("source", ""))
    if match is None:
        return f"{fields['package']} {fields['version']}"
    return f"{match[1]} {match[2] or fields['version']}"


def _needs(fields: Mapping[str, str]) -> Iterator[Needed]:
    try:
        groups = list(dependencies(fields, "pre-depends", "depends"))
    except PackageError:
        return
    for group in groups:
        asked = ", ".join(f"{each.relation} {each.version}" for each in group if each.relation)
        yield Needed(names=tuple(each.name for each in group), text=" | ".join(map(str, group)), asked=asked)


def _files(contents: ImageContents, name: str, architecture: str, place: str) -> Iterator[str]:
    if place == STATUS:
        stems = (f"{_INFO}{name}", f"{_INFO}{name}:{architecture}")
        listed = "\n".join(_text(contents, f"{stem}.list") for stem in stems).splitlines()
    else:
        listed = [line.partition("  ")[2] for line in _text(contents, f"{place}.md5sums").splitlines()]
        yield from (path for path in (place, f"{place}.md5sums") if path in contents.tree)
    contents.spend(len(listed))
    for line in listed:
        found = _found(contents, line.strip().lstrip("/"))
        if found:
            yield found


def _found(contents: ImageContents, path: str) -> str | None:
    """Where a file of a package is: /lib is a link to /usr/lib, and the package still says /lib."""
    if not path:
        return None
    folder, _, name = path.rpartition("/")
    placed = f"{contents.resolve(folder)}/{name}" if folder else name
    record = contents.tree.get(placed)
    return placed if record is not None and record.kind != "directory" else None


def _text(contents: ImageContents, path: str) -> str:
    return (contents.kept.get(path) or b"").decode("utf-8", "replace")
