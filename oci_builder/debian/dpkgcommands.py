"""dpkg's own commands in maintainer scripts: what is asked of packages, and what is set for their files."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

from oci_builder.debian.commandoptions import split_options
from oci_builder.debian.control import stanza
from oci_builder.debian.filemodes import mode_of, number_of
from oci_builder.debian.shell import Call, Command
from oci_builder.debian.versions import version_key

STATUS = "/var/lib/dpkg/status.d"
"""Where the control file of each package is."""

_COMPARISONS = {"lt": (-1,), "le": (-1, 0), "eq": (0,), "ne": (-1, 1), "ge": (0, 1), "gt": (1,)}
_SIGNS = {"<<": "lt", "<": "le", "<=": "le", "=": "eq", ">=": "ge", ">": "ge", ">>": "gt"}
_FIELD = re.compile(r"\$\{(?:[a-z]+:)?([A-Za-z-]+)(;-?[0-9]+)?\}")


def _dpkg(call: Call) -> int:
    words = list(call.arguments)
    if words in (["--print-architecture"], ["--print-native-architecture"]):
        call.say(f"{call.shell.variables['DPKG_MAINTSCRIPT_ARCH']}\n")
        return 0
    if len(words) == 4 and words[0] == "--compare-versions":
        one, relation, other = words[1:]
        known = _COMPARISONS.get(_SIGNS.get(relation, relation).removesuffix("-nl"))
        if known is None:
            raise call.unknown("its comparison is not known here")
        return int(_compared(one, other, without=1 if relation.endswith("-nl") else -1) not in known)
    if words == ["--print-foreign-architectures"] or words[:1] == ["--assert-multi-arch"]:
        return 0
    return _query(call)


def _query(call: Call) -> int:
    """dpkg-query, and what dpkg hands on to it."""
    words = list(call.arguments)
    action = words.pop(0) if words else ""
    form = "${binary:Package}\t${Version}\n"
    if action.startswith(("-f", "--showformat")):
        form, action = _form(call, action, words), words.pop(0) if words else ""
    while words and words[0].startswith(("-f", "--showformat")):
        form = _form(call, words.pop(0), words)
    if words[:1] == ["--"]:
        words.pop(0)
    if action in ("-L", "--listfiles"):
        return max((_listed(call, name) for name in words), default=2)
    if action in ("-s", "--status"):
        return max((_described(call, name) for name in words), default=2)
    if action in ("-W", "--show"):
        return max((_shown(call, name, form) for name in words), default=2)
    if action in ("-S", "--search"):
        return max((_owned(call, path) for path in words), default=2)
    raise call.unknown("what it asks for is not known here")


def _form(call: Call, option: str, words: list[str]) -> str:
    value = option.partition("=")[2] if "=" in option else option.removeprefix("-f")
    if not value and words:
        value = words.pop(0)
    pieces = _FIELD.sub("", value).replace("\\n", "").replace("\\t", "")
    if "${" in pieces or "\\" in pieces:
        raise call.unknown("its format is not known here")
    return value.replace("\\n", "\n").replace("\\t", "\t")


def _fields(call: Call, name: str) -> Mapping[str, str] | None:
    """What the control file of a package says that is unpacked."""
    path = f"{STATUS}/{name.partition(':')[0]}"
    return stanza(call.tree.read(path)) if call.tree.has(path) else None


def _state(call: Call, name: str) -> str:
    is_own = name.partition(":")[0] == call.shell.variables.get("DPKG_MAINTSCRIPT_PACKAGE")
    return "install ok half-configured" if is_own else "install ok installed"


def _shown(call: Call, name: str, form: str) -> int:
    if any(letter in name for letter in "*?["):
        raise call.unknown("which packages it asks for is not known here")
    fields = _fields(call, name)
    if fields is None:
        return 1

    def value(match: re.Match[str]) -> str:
        key = match[1].lower()
        if match[2]:
            raise call.unknown("its format is not known here")
        if key == "status":
            return _state(call, name)
        if key in ("conffiles", "description"):
            raise call.unknown(f"what it tells of {match[1]} is not known here")
        return {"status-status": "installed", "status-want": "install"}.get(key, fields.get(key, ""))

    call.say(_FIELD.sub(value, form))
    return 0


def _described(call: Call, name: str) -> int:
    path = f"{STATUS}/{name.partition(':')[0]}"
    if not call.tree.has(path):
        return 1
    first, newline, rest = call.tree.read(path).partition("\n")
    call.say(f"{first}\nStatus: {_state(call, name)}{newline}{rest}")
    return 0


def _listed(call: Call, name: str) -> int:
    paths = call.tree.packages.get(name.partition(":")[0])
    if paths is None:
        if _fields(call, name) is not None:
            raise call.unknown(f"the files of {name} are not known")
        return 1
    call.say("".join(f"/{path}\n" for path in (".", *paths)))
    return 0


def _owned(call: Call, path: str) -> int:
    entry = call.tree.get(path, follow=False)
    owners = sorted(name for name, paths in call.tree.packages.items() if path.lstrip("/") in paths)
    if not owners and entry is not None:
        raise call.unknown("whose file that is is not known")
    if not owners:
        return 1
    call.say(f"{', '.join(owners)}: {path}\n")
    return 0


def _compared(one: str, other: str, *, without: int) -> int:
    """Like ``cmp``; no version at all is before any, or after any (dpkg(1), ``lt-nl``), as ``without`` says."""
    if not one or not other:
        return (bool(other) - bool(one)) * without
    first, second = version_key(one), version_key(other)
    return (first > second) - (first < second)


def _maintscript_helper(call: Call) -> int:
    if call.arguments[:1] and call.arguments[0] in _MAINTSCRIPT:
        # What was there before is moved or taken away, and nothing was.
        return 0
    raise call.unknown("what it is to do is not known here")


_MAINTSCRIPT = ("rm_conffile", "mv_conffile", "symlink_to_dir", "dir_to_symlink", "supports", "finish_mv_conffile")


TRIGGER = "trigger:"
"""Before the name of a trigger in the variables of a shell, where no variable of a script can be."""


def _trigger(call: Call) -> int:
    """Have the packages that wait for a trigger configured for it, at the end."""
    _, words = split_options(call, "", "--no-await", "--await")
    if len(words) != 1:
        raise call.unknown("what it is to do is not known here")
    call.shell.variables[f"{TRIGGER}{words[0]}"] = "1"
    return 0


_STATUS, _OVERRIDES = "/var/lib/dpkg/status", "/var/lib/dpkg/statoverride"


def _statoverride(call: Call) -> int:
    overridden = call.tree.read(_OVERRIDES) if call.tree.has(_OVERRIDES) else ""
    if "--list" in call.arguments:
        patterns = [word for word in call.arguments if not word.startswith("--")] or ["*"]
        lines = [line for line in overridden.splitlines() if any(fnmatchcase(_path(line), each) for each in patterns)]
        call.say("".join(f"{line}\n" for line in lines))
        return int(not lines)
    words = [word for word in call.arguments if word not in ("--update", "--add", "--force", "--force-all", "--quiet")]
    if "--add" not in call.arguments or "--update" not in call.arguments or len(words) != 4:
        raise call.unknown("what it is to do is not known here")
    user, group, mode, path = words
    if not call.tree.has(path):
        return 2
    owner = number_of(call, "passwd", user), number_of(call, "group", group)
    call.tree.change(path, mode=mode_of(call, mode), owner=owner)
    if call.tree.has(_STATUS):
        # Where dpkg keeps its lists it unpacks the next version like this, too.
        kept = [line for line in overridden.splitlines() if _path(line) != path]
        call.tree.write(_OVERRIDES, "".join(f"{line}\n" for line in [*kept, f"{user} {group} {mode} {path}"]))
    return 0


def _path(line: str) -> str:
    """The path in a line of what is overridden: owner, group, mode, path."""
    return "".join(line.split(None, 3)[3:])


def _divert(call: Call) -> int:
    """dpkg-divert: what others bring at a path lies elsewhere (dpkg-divert(1))."""
    asked, words = dict[str, str](), list(call.arguments)
    flags = set[str]()
    plain = ("--add", "--remove", "--rename", "--no-rename", "--quiet", "--local", "--list", "--truename")
    while words and words[0].startswith("--"):
        word = words.pop(0)
        if word in ("--package", "--divert", "--admindir", "--root", "--instdir") and words:
            asked[word] = words.pop(0)
        elif word in (*plain, "--listpackage"):
            flags.add(word)
        else:
            raise call.unknown(f"its option {word} is not known here")
    known = call.tree.diversions
    if "--list" in flags:
        for path, (place, package) in sorted(known.items()):
            if not words or any(fnmatch.fnmatchcase(path, each) for each in words):
                call.say(f"diversion of {path} to {place} by {package}\n")
        return 0
    # Without an action a path is added.
    if len(words) != 1 or asked.keys() & {"--admindir", "--root", "--instdir"}:
        raise call.unknown("what it is to do is not known here")
    (path,) = words
    if "--truename" in flags:
        call.say(f"{known[path][0] if path in known else path}\n")
        return 0
    if "--listpackage" in flags:
        call.say(f"{known[path][1]}\n" if path in known else "")
        return 0
    if "--remove" in flags:
        if path in known:
            raise call.unknown("it would take back what it said")
        return 0
    return _add(call, path, asked, known)


def _add(call: Call, path: str, asked: Mapping[str, str], known: dict[str, tuple[str, str]]) -> int:
    package = asked.get("--package", call.shell.variables.get("DPKG_MAINTSCRIPT_PACKAGE", ""))
    place = asked.get("--divert", f"{path}.distrib")
    if path in known:
        return int(known[path] != (place, package))
    if call.tree.get(path, follow=False) is not None:
        raise call.unknown(f"{path} is there already, and would be moved")
    known[path] = (place, package)
    return 0


DPKG: Mapping[str, Command] = {
    "dpkg": _dpkg,
    "dpkg-divert": _divert,
    "dpkg-maintscript-helper": _maintscript_helper,
    "dpkg-query": _query,
    "dpkg-statoverride": _statoverride,
    "dpkg-trigger": _trigger,
}
"""The commands, by name."""
