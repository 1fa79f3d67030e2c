"""a2enmod, a2enconf and a2ensite: links to parts of Apache's configuration, and marks of who wanted them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from oci_builder.debian.filecommands import with_parents
from oci_builder.debian.shell import Call, Command

_CONFIG, _STATE = "/etc/apache2", "/var/lib/apache2"
_KINDS = {
    "a2enmod": ("module", "mods", ".load"),
    "a2enconf": ("conf", "conf", ".conf"),
    "a2ensite": ("site", "sites", ".conf"),
}
_MAX_DEPTH = 20


def _enable(call: Call) -> int:
    words = [word for word in call.arguments if word not in ("-q", "--quiet")]
    by = "maint" if {"-m", "--maintmode"} & set(words) else "admin"
    names = [word for word in words if not word.startswith("-")]
    if set(words) - {*names, "-m", "--maintmode"} or not names:
        raise call.unknown("what it is to do is not known here")
    return max(_enabled(call, name.removesuffix(_KINDS[call.name][2]), by, 0) for name in names)


def _enabled(call: Call, name: str, by: str, depth: int) -> int:
    kind, folder, ending = _KINDS[call.name]
    source = f"{_CONFIG}/{folder}-available/{name}{ending}"
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or depth > _MAX_DEPTH:
        raise call.unknown("what it is to enable is not known here")
    if not call.tree.has(source):
        return 1
    text = call.tree.read(source)
    if kind == "module":
        if any(_enabled(call, each, by, depth + 1) for each in _said(text, "Depends")):
            return 1
        if any(call.tree.has(f"{_CONFIG}/mods-enabled/{each}.load") for each in _said(text, "Conflicts")):
            return 1
    elif any(not call.tree.has(f"{_CONFIG}/mods-enabled/{each}.load") for each in _said(text, "Depends")):
        return 1
    for each in (".conf", ".load") if kind == "module" else (ending,):
        link = f"{_CONFIG}/{folder}-enabled/{name}{each}"
        if call.tree.has(f"{_CONFIG}/{folder}-available/{name}{each}") and not call.tree.has(link):
            call.tree.link(link, f"../{folder}-available/{name}{each}")
            if each == ending:
                _mark(call, f"{_STATE}/{kind}/enabled_by_{by}", name)
    return 0


def _mark(call: Call, folder: str, name: str) -> None:
    for path in with_parents(folder):
        if not call.tree.is_folder(path):
            call.tree.folder(path)
    call.tree.write(f"{folder}/{name}", "")


def _said(text: str, what: str) -> Sequence[str]:
    """What the comments that a file begins with say that it depends on, or conflicts with."""
    for line in text.splitlines():
        match = re.match(rf"# {what}:\s+(.*?)\s*$", line)
        if match is not None:
            return match[1].split()
        if line.strip() and not line.lstrip().startswith("#"):
            break
    return ()


APACHE: Mapping[str, Command] = dict.fromkeys(_KINDS, _enable)
"""The commands, by name."""
