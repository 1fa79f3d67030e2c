"""Image sanity: modes nobody means, secrets copied by mistake, things that are there twice, and what it all weighs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from oci_builder.gate.facts import Distribution
from oci_builder.gate.finding import Finding
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind

COPIED = "copy"
"""The origin of what ``[[copy]]`` brings."""

_SET_ID = 0o6000
_STICKY = 0o1000
_SECRET_NAMES = frozenset(
    (
        *(".env", ".netrc", "_netrc", ".pypirc", ".pgpass", ".my.cnf", ".git-credentials", ".htpasswd", ".dockercfg"),
        *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk", ".vault-token", ".s3cfg"),
        *("credentials.json", "service-account.json"),
    )
)
_ENV = re.compile(r"\.env\.(?!example|sample|template|dist|defaults?)")
"""``.env.production``, and not ``.env.example``."""

_SECRET_PATHS = (".aws/credentials", ".docker/config.json", ".kube/config", "application_default_credentials.json")
_LOOKED_INTO = ("pip.conf", "pip.ini", "uv.toml", ".npmrc", ".pem", ".key", ".crt", ".p8")
_CREDENTIALS = re.compile(
    rb"://[^/\s:@]+:[^/\s@$]+@|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----|:_(?:authToken|password)\s*=\s*[^\s$]"
)
_LOOKED_AT = 256 << 10
"""Bytes of a file that may hold credentials that are read."""

_LARGE = 1 << 20
_MUCH = 10 << 20
"""Bytes of the same content in several files that are worth a line."""

_LARGEST = 10


def mode_findings(entries: Iterable[Entry]) -> Iterator[Finding]:
    """Files that lend their owner's rights, and what everybody may write."""
    for entry in entries:
        if entry.kind is Kind.FILE and entry.mode & _SET_ID:
            message = f"{entry.origin}: /{entry.path} has mode {entry.mode:04o}: who starts it gets its owner's rights"
            yield _finding("error", "setuid", entry, message, "leave the bit out; nothing in a container needs it")
        open_folder = entry.kind is Kind.DIRECTORY and not entry.mode & _STICKY
        if entry.mode & 0o002 and (entry.kind is Kind.FILE or open_folder):
            message = f"{entry.origin}: /{entry.path} has mode {entry.mode:04o}: everybody may change it"
            yield _finding("warning", "world-writable", entry, message, 'set mode = "0644" or owner = "user"')


def secret_findings(entries: Iterable[Entry]) -> Iterator[Finding]:
    """Copied files that are secrets by their names, or hold credentials where such files do."""
    with MappedFiles() as sources:
        for entry in entries:
            if entry.origin == COPIED and entry.kind is Kind.FILE and _is_secret(entry, sources):
                message = f"[[copy]]: /{entry.path} looks like a secret; whoever gets the image can read it"
                yield _finding("error", "secret", entry, message, "leave it out with exclude in [[copy]]")


def same_bytes_findings(entries: Iterable[Entry]) -> Iterator[Finding]:
    """Large files with the same content, if they are worth a line together."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind is Kind.FILE and entry.size >= _LARGE and entry.sha256:
            groups.setdefault(entry.sha256, []).append(entry)
    for same in groups.values():
        wasted = sum(entry.size for entry in same[1:])
        if wasted >= _MUCH:
            names = " and ".join(f"/{entry.path}" for entry in same[:2])
            more = f" and {len(same) - 2} more" if len(same) > 2 else ""
            message = f"{same[0].origin}: {names}{more} hold the same {_amount(same[0].size)}"
            yield _finding("warning", "same-bytes", same[0], message, "")


def size_findings(entries: Sequence[Entry], distributions: Sequence[Distribution], limit: int) -> Iterator[Finding]:
    """Whether the files together have more than ``limit`` bytes; then the ten largest, with what asked for them."""
    sizes: dict[str, int] = {}
    for entry in entries:
        if entry.kind is Kind.FILE:
            sizes[entry.origin] = sizes.get(entry.origin, 0) + entry.size
    total = sum(sizes.values())
    if total <= limit:
        return
    asked = _asked_for(distributions)
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_LARGEST]
    lines = [f"  {_amount(size):>9}  {origin}{asked.get(origin, '')}" for origin, size in largest]
    head = f"the files have {_amount(total)}, and max-size allows {_amount(limit)}; the largest are"
    yield Finding(
        severity="error",
        kind="max-size",
        origin="image.toml",
        subject=str(total),
        message="\n  ".join([head, *lines]),
        hint="take something out, or raise max-size in image.toml",
    )


def _asked_for(distributions: Sequence[Distribution]) -> Mapping[str, str]:
    """By origin: ``, required by a and b``, or nothing for what the user asked for."""
    requirers: dict[str, list[str]] = {}
    for distribution in distributions:
        for name in set(distribution.required_names):
            requirers.setdefault(name, []).append(distribution.key)
    return {
        each.origin: ", asked for" if each.requested else f", required by {_listed(requirers[each.key])}"
        for each in distributions
        if each.requested or each.key in requirers
    }


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(sorted(names)[:3])}{more}"


def _is_secret(entry: Entry, sources: MappedFiles) -> bool:
    path = f"/{entry.path}"
    name = path.rpartition("/")[2]
    if name in _SECRET_NAMES or _ENV.match(name) or path.endswith(tuple(f"/{known}" for known in _SECRET_PATHS)):
        return True
    if not name.endswith(_LOOKED_INTO) or entry.content is None or entry.size > _LOOKED_AT:
        return False
    return _CREDENTIALS.search(sources.read(entry.content, what=path)) is not None


def _finding(severity: str, kind: str, entry: Entry, message: str, hint: str) -> Finding:
    return Finding(
        severity="error" if severity == "error" else "warning",
        kind=kind,
        origin=entry.origin,
        subject=f"/{entry.path}",
        message=message,
        hint=hint,
    )


def _amount(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"
