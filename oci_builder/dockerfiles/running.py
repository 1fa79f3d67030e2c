"""Lines of RUN, one command at a time: what a recipe says in its own keys, and what nobody has to do here."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable
from itertools import pairwise

from oci_builder.dockerfiles.accounts import make_group, make_user
from oci_builder.dockerfiles.draft import Copied, Place, Verdict
from oci_builder.dockerfiles.installing import install_with_pip
from oci_builder.dockerfiles.locales import make_locales, makes_locales
from oci_builder.dockerfiles.locking import LOCKS, install_with_tool
from oci_builder.dockerfiles.removing import find, remove
from oci_builder.dockerfiles.shell import Command, commands

_BUILDERS = frozenset(
    {
        *(
            "build-essential",
            "gcc",
            "g++",
            "clang",
            "make",
            "cmake",
            "ninja-build",
            "autoconf",
            "automake",
        ),
        *(
            "libtool",
            "pkg-config",
            "git",
            "gnupg",
            "gnupg2",
            "dirmngr",
            "apt-transport-https",
        ),
        *(
            "software-properties-common",
            "lsb-release",
            "python3-dev",
            "python3-pip",
            "python3-venv",
            "rustc",
        ),
        *("cargo"),
    }
)
"""Packages that only build something or fetch it: here wheels are installed, and nothing is built in the image."""

_CALLED = frozenset({"git", "gnupg", "gnupg2", "make"})
"""Those among them that programs call too, which nobody sees in a Dockerfile."""

FETCHERS = frozenset({"curl", "wget", "unzip", "xz-utils", "bzip2", "tar"})
_THERE = frozenset(
    (
        *("ca-certificates", "tzdata", "python3", "python3-minimal", "libssl3", "zlib1g"),
        *("bash", "coreutils", "dash", "findutils", "grep", "gzip", "sed", "tar"),
    )
)
_SHELL_ONLY = frozenset(
    {
        *("set", "true", ":", "export", "echo", "printf", "ldconfig", "sync", "which", "ls"),
    }
)
_TZ = re.compile(r"/usr/share/zoneinfo/(.+)")
_ARCHIVE = re.compile(r"^/etc/apt/|^/usr/share/keyrings|^ppa:|://deb\.")
_INSTALLERS = r"install[^ ]*poetry|poetry[^ ]*install|astral\.sh/uv|get-pip|install\.python-poetry"


def run(text: str, line: int, place: Place) -> None:
    """Translate all commands of one RUN."""
    before, found, workdir = _said(place), commands(text), place.workdir
    if any(_is_of_archives(command) for command in found):
        _other_archive(found, line, place)
        return
    piped: list[Command] = []
    for command in found:
        piped.append(command)
        if command.is_piped:
            continue
        if len(piped) == 1:
            _run(command, line, place)
        else:
            _pipe(piped, line, place)
        piped = []
    # What cd changed is the shell's that has ended.
    place.workdir = workdir
    if _said(place) == before:
        place.draft.say(line, Verdict.NOT_NEEDED, "nothing in it ends in the image")


def _said(place: Place) -> int:
    """How much is said or known: packages are spoken of in the end."""
    return len(place.draft.rows) + len(place.draft.packages)


def _run(command: Command, line: int, place: Place) -> None:
    words = [place.expand(word) if "$" in word and command.is_plain else word for word in command.words]
    if not words:
        return
    if words[0] in ("sudo", "exec", "command"):
        words = words[1:] or words
    name = posixpath.basename(words[0])
    if re.fullmatch(r"python[0-9.]*", name) and words[1:2] == ["-m"] and len(words) > 2:
        name, words = words[2], [words[2], *words[3:]]
    if makes_locales(command):
        make_locales(command, line, place)
        return
    if not command.is_plain and name not in ("apt-get", "apt", "pip", "rm"):
        _cannot(place, line, command)
        return
    act = _COMMANDS.get(name)
    if act is not None:
        act(words, line, place)
    elif name in LOCKS:
        install_with_tool(name, words, line, place, output=command.output)
    elif command.output:
        _write(command, words, line, place)
    elif name not in _SHELL_ONLY:
        _cannot(place, line, command)


def _is_of_archives(command: Command) -> bool:
    """Whether a command has apt take packages from elsewhere than Debian."""
    words = (*command.words, command.output)
    return any(
        re.search(r"^/etc/apt/|^/usr/share/keyrings|deb\.nodesource\.com|^ppa:", word) or "://deb." in word
        for word in words
    )


def _other_archive(found: list[Command], line: int, place: Place) -> None:
    names = [
        word
        for command in found
        if "install" in command.words and posixpath.basename(command.words[0]) in ("apt-get", "apt")
        for word in command.words[command.words.index("install") + 1 :]
        if not word.startswith("-") and word not in _BUILDERS and word not in FETCHERS
    ]
    packages = ", ".join(dict.fromkeys(names)) or "packages"
    hint = "put them into an image once, and name that as base; what is Debian's own can stand in base-packages"
    place.draft.say(line, Verdict.CANNOT, f"{packages} of another archive than Debian's: {hint}")


def _pipe(piped: list[Command], line: int, place: Place) -> None:
    if makes_locales(piped[-1]):
        # echo … | tee /etc/locale.gen
        make_locales(piped[0], line, place)
        return
    text = " | ".join(map(str, piped))
    if re.search(_INSTALLERS, text):
        place.draft.say(line, Verdict.NOT_NEEDED, "an installer of Python packages; none is in the image")
    elif posixpath.basename((*piped[-1].words, "")[0]) in ("sh", "bash", "python", "python3"):
        hint = "it would run here: let it make its files elsewhere, or name an image that has them as base"
        place.draft.say(line, Verdict.CANNOT, f"{text}: a script from elsewhere; {hint}")
    else:
        _cannot(place, line, text)


def _cannot(place: Place, line: int, command: Command | str) -> None:
    if not place.is_final:
        place.draft.say(line, Verdict.BY_HAND, f"before the build, on this machine: {command}")
        return
    hint = "run it before the build, and write a [[copy]] of what it makes"
    place.draft.say(line, Verdict.CANNOT, f"{command}: no command runs in a build; {hint}")


def _apt(words: list[str], line: int, place: Place) -> None:
    verb = next((word for word in words[1:] if not word.startswith("-")), "")
    if verb != "install":
        return
    names = [word.partition("=")[0] for word in words[words.index("install") + 1 :] if not word.startswith("-")]
    say = place.draft.say
    for name in names:
        if name in _BUILDERS or name.endswith("-dev"):
            why = "wheels are installed, and nothing is compiled in the image"
            say(line, Verdict.NOT_NEEDED, f"{name}: {why}{called(name) if name in _CALLED else ''}")
        elif name in _THERE or (name == "procps" and place.draft.base.startswith("python-")):
            say(line, Verdict.NOT_NEEDED, f"{name}: the base has it")
        elif not place.is_final:
            say(line, Verdict.NOT_NEEDED, f"{name}: of a stage that only builds")
        else:
            place.draft.packages.setdefault(name, line)


def called(name: str) -> str:
    """What to do where a package is needed after all: files of the project are not read for what they call."""
    return f"; if the program itself calls it: base-packages = [{json.dumps(name)}]"


def _venv(words: list[str], line: int, place: Place) -> None:
    folders = [word for word in words[1:] if not word.startswith("-")]
    place.environments += [place.path(folder) for folder in folders]
    place.draft.say(line, Verdict.NOT_NEEDED, "a virtual environment: wheels go to the image's own Python")


def _mkdir(words: list[str], line: int, place: Place) -> None:
    if not place.is_final:
        return
    for folder in _operands(words, valued=("-m", "--mode", "-o", "-g", "--owner", "--group")):
        place.draft.folders.setdefault(place.path(folder), {})
        place.draft.say(line, Verdict.DONE, f"[[folder]] {place.path(folder)}")


def _install(words: list[str], line: int, place: Place) -> None:
    if "-d" in words:
        _mkdir(words, line, place)
    elif place.is_final:
        place.draft.say(line, Verdict.BY_HAND, f"{' '.join(words)}: write a [[copy]] with its mode")


def _cd(words: list[str], line: int, place: Place) -> None:
    place.workdir = place.path(words[1] if len(words) > 1 else "/root")


def _apk(words: list[str], line: int, place: Place) -> None:
    if "add" not in words or not place.is_final:
        return
    names = [word for word in _operands(words, valued=("-t", "--virtual", "-X", "--repository")) if word != "add"]
    kept = [name for name in names if name not in _BUILDERS | _THERE and not name.endswith("-dev") and name != "musl"]
    if kept:
        hint = "build an image with them, and name it as base"
        place.draft.say(line, Verdict.CANNOT, f"{', '.join(kept)} of Alpine: {hint}")


def _chown(words: list[str], line: int, place: Place) -> None:
    owner, *paths = _operands(words) or [""]
    for path in paths if place.is_final else ():
        place.draft.owned.append((place.path(path), owner.partition(":")[0]))
        place.draft.say(line, Verdict.DONE, f"owner of {place.path(path)}")


def _chmod(words: list[str], line: int, place: Place) -> None:
    mode, *paths = [word for word in words[1:] if not re.fullmatch(r"-[A-Za-z]+|--[a-z-]+", word)] or [""]
    for path in map(place.path, paths if place.is_final else ()):
        octal = "0755" if re.fullmatch(r"[ugoa]*\+[rwxX]*x[rwxX]*", mode) else f"0{mode.lstrip('0')}"
        if not re.fullmatch(r"0[0-7]{3,4}", octal):
            place.draft.say(line, Verdict.BY_HAND, f"chmod {mode} {path}: write mode on its [[copy]] or [[folder]]")
            continue
        source = place.source(path)
        exact = next((copy for copy in reversed(place.copies) if posixpath.normpath(copy.place) == path), None)
        if exact is not None and not exact.is_folder:
            exact.mode = octal
        elif source is not None and not place.draft.is_folder(source):
            alone = Copied(src=source, dest=path, line=line, is_folder=False, mode=octal)
            place.draft.copies.append(alone)
        else:
            place.draft.folders.setdefault(path, {})["mode"] = octal
        place.draft.say(line, Verdict.DONE, f"mode {octal} of {path}")


def _link(words: list[str], line: int, place: Place) -> None:
    operands = _operands(words)
    if len(operands) != 2 or not place.is_final:
        return
    target, path = operands[0], place.path(operands[1])
    zone = _TZ.fullmatch(target)
    if path == "/etc/localtime" and zone:
        place.draft.say(line, Verdict.DONE, f"env TZ = {zone[1]}, in place of /etc/localtime")
        place.env.setdefault("TZ", zone[1])
        return
    if operands[1].endswith("/"):
        path = posixpath.join(path, posixpath.basename(target))
    place.draft.links[path] = target
    place.draft.say(line, Verdict.DONE, f"[[link]] {path}")


def _write(command: Command, words: list[str], line: int, place: Place) -> None:
    path = place.path(place.expand(command.output))
    if path in ("/etc/timezone", "/dev/null") or not place.is_final:
        place.draft.say(
            line, Verdict.NOT_NEEDED, f"{path}: the variable TZ says it" if path != "/dev/null" else "output"
        )
        return
    place.draft.say(line, Verdict.BY_HAND, f"write what {words[0]} says into a file, and a [[copy]] of it to {path}")


def _get(words: list[str], line: int, place: Place) -> None:
    url = next((word for word in words if word.startswith(("http://", "https://"))), None)
    if url is None or not place.is_final:
        return
    if re.search(_INSTALLERS, url):
        place.draft.say(line, Verdict.NOT_NEEDED, f"{url}: an installer of Python packages; none is in the image")
        return
    valued = dict(pairwise(words))
    dest = next((valued[flag] for flag in ("-o", "-O", "--output", "--output-document") if flag in valued), "")
    dest = place.path(dest) if dest and dest != "-" and not dest.startswith("http") else f"{place.workdir.rstrip('/')}/"
    table = f'[[fetch]] url = "{url}", sha256 = "…", dest = "{dest}"'
    place.draft.say(line, Verdict.BY_HAND, f"{table}: with what sha256sum says of the file")


def _playwright(words: list[str], line: int, place: Place) -> None:
    hint = 'name an image that has the browser: base = "mcr.microsoft.com/playwright/python:v1.xx"'
    place.draft.say(line, Verdict.CANNOT, f"{' '.join(words)}: {hint}")


def _user(words: list[str], line: int, place: Place) -> None:
    account = make_user(words)
    if account is not None and place.is_final:
        place.draft.accounts[account.name] = account
        place.draft.say(line, Verdict.DONE, f"[user] {account.name}")


def _group(words: list[str], line: int, place: Place) -> None:
    name, number = make_group(words)
    if name and place.is_final:
        place.draft.group_ids[name] = number
        place.draft.say(line, Verdict.DONE, f"group {name}")


def _operands(words: list[str], valued: tuple[str, ...] = ()) -> list[str]:
    found, skip = [], False
    for word in words[1:]:
        if skip or word.startswith("-"):
            skip = not skip and word in valued
            continue
        found.append(word)
    return found


_COMMANDS: dict[str, Callable[[list[str], int, Place], None]] = {
    "apt-get": _apt,
    "apt": _apt,
    "aptitude": _apt,
    "pip": install_with_pip,
    "pip3": install_with_pip,
    "venv": _venv,
    "virtualenv": _venv,
    "mkdir": _mkdir,
    "install": _install,
    "cd": _cd,
    "apk": _apk,
    "chown": _chown,
    "chmod": _chmod,
    "ln": _link,
    "curl": _get,
    "wget": _get,
    "useradd": _user,
    "adduser": _user,
    "groupadd": _group,
    "addgroup": _group,
    "playwright": _playwright,
    "rm": remove,
    "rmdir": remove,
    "find": find,
}
