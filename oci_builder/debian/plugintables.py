"""Lists of plugins that programs read: of gdk-pixbuf, GTK and graphviz. What a plugin can do only loading it tells.

So what those of Debian 12 say is kept here, by the name of the file; one that is not known, or does not hold the words
that it is said to, ends the walk.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from oci_builder.debian.control import stanza
from oci_builder.debian.dpkgcommands import STATUS
from oci_builder.debian.graphvizplugins import HEAD, PLUGINS
from oci_builder.debian.gtkmodules import LOADERS, METHODS
from oci_builder.debian.shell import Call, Command

_TRIPLET = re.compile(r"/usr/lib/([a-z0-9_]+-linux-gnu[a-z0-9]*)/")
_WORDS = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ELSEWHERE = frozenset(("gdk-pixbuf", "/usr/share/locale", "gtk20", "gtk30"))


def _version(call: Call, package: str) -> str:
    """The version of a program as its authors count it."""
    path = f"{STATUS}/{package}"
    if not call.tree.has(path):
        raise call.unknown(f"the version of {package} is not known")
    return re.split("[+-]", stanza(call.tree.read(path)).get("version", ""))[0].rpartition(":")[2]


def _checked(call: Call, path: str, lines: str) -> str:
    """``lines`` that a module at ``path`` is said to give, which has those words in it."""
    data = call.tree.data(path)
    words = [word for word in _WORDS.findall(lines) if len(word) > 2 and "\\" not in word and word not in _ELSEWHERE]
    lacking = next((word for word in words if word.encode() not in data), None)
    if lacking is not None:
        raise call.unknown(f"{path} is another than the one that is known: it has no {lacking!r}")
    return f'"{path}"'


def _loaders(call: Call) -> int:
    """gdk-pixbuf-query-loaders with the paths of modules."""
    lines = ["# GdkPixbuf Image Loader Modules file", "# Automatically generated file, do not edit"]
    version = _version(call, "libgdk-pixbuf-2.0-0")
    lines += [f"# Created by gdk-pixbuf-query-loaders from gdk-pixbuf-{version}", "#"]
    text = "".join(f"{line}\n" for line in lines)
    for path in call.arguments:
        name = posixpath.basename(path)
        if path.startswith("-") or name not in LOADERS:
            raise call.unknown(f"what images {name} loads is not known here")
        text += f"{_checked(call, path, LOADERS[name])}{LOADERS[name]}\n"
    if not call.arguments:
        raise call.unknown("which modules it is asked about is not known here")
    call.say(text)
    return 0


def _methods(call: Call) -> int:
    """gtk-query-immodules --update-cache."""
    triplet = _TRIPLET.match(call.name)
    if triplet is None or list(call.arguments) != ["--update-cache"]:
        raise call.unknown("what it asks for is not known here")
    is_three = call.name.endswith("-3.0")
    folder = f"/usr/lib/{triplet[1]}/{'gtk-3.0/3.0.0' if is_three else 'gtk-2.0/2.10.0'}"
    package = "libgtk-3-0" if is_three else "libgtk2.0-0"
    text = "# GTK+ Input Method Modules file\n# Automatically generated file, do not edit\n"
    text += f"# Created by {call.name} from gtk+-{_version(call, package)}\n#\n"
    modules = call.tree.children(f"{folder}/immodules") if call.tree.is_folder(f"{folder}/immodules") else []
    for name in modules:
        if not name.endswith(".so"):
            continue
        if name not in METHODS:
            raise call.unknown(f"how {name} has text put in is not known here")
        lines = METHODS[name]
        if not is_three:
            # GTK 2's say the same but for the version, and for one that is translated in no place of its own.
            lines = lines.replace('"gtk30"', '"gtk20"')
            lines = lines.replace("/usr/share/locale", "") if name == "im-multipress.so" else lines
        text += f"{_checked(call, f'{folder}/immodules/{name}', lines)} {lines.rstrip()} \n\n"
    call.tree.write(f"{folder}/immodules.cache", text)
    return 0


def _graphviz(call: Call) -> int:
    """libgvc6-config-update -c, which is ``dot -c``."""
    if list(call.arguments) != ["-c"]:
        raise call.unknown("what it is to do is not known here")
    folder = next((f for f in call.tree.matching("/usr/lib/*-linux-gnu*/graphviz")), "")
    found = [name for name in call.tree.children(folder) if name.endswith(".so.6")] if folder else []
    if set(found) != PLUGINS.keys():
        others = sorted(set(found) ^ PLUGINS.keys())
        raise call.unknown(f"with or without {', '.join(others)} the list of graphviz's plugins is not known here")
    text = HEAD
    for name in sorted(found):
        package, kinds = PLUGINS[name]
        data = call.tree.data(f"{folder}/{name}")
        text += f"{name} {package} {{\n"
        for kind, *items in (line.split(" ") for line in kinds):
            text += f"\t{kind} {{\n"
            for item in items:
                what, _, quality = item.lstrip("!").rpartition("=")
                if what.encode() not in data:
                    raise call.unknown(f"{name} is another than the one that is known: it has no {what!r}")
                text += f"{'#FAILS' if item.startswith('!') else ''}\t\t{what} {quality}\n"
            text += "\t}\n"
        text += "}\n"
    call.tree.write(f"{folder}/config6a", text)
    return 0


PLUGIN_TABLES: Mapping[str, Command] = {
    "gdk-pixbuf-query-loaders": _loaders,
    "gtk-query-immodules-2.0": _methods,
    "gtk-query-immodules-3.0": _methods,
    "libgvc6-config-update": _graphviz,
}
"""The commands, by name."""
