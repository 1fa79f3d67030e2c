"""A Procfile: the processes of an application, as Heroku and its like start them."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator

from oci_builder.detection.choices import PORT, Launch, Startable
from oci_builder.detection.project import KnownProject
from oci_builder.shellwords import needs_shell, without_runner

PROCFILE = "Procfile"
WEB, RELEASE = "web", "release"

_PROCESS = re.compile(r"([A-Za-z0-9_-]+)[ \t]*:[ \t]*(\S.*)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(:?[-=][^}]*)?\}|(\w+))")
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=")


def processes(project: KnownProject) -> list[Startable]:
    """What the Procfile says to start: its web process, or where there is none, all others but what prepares them."""
    found = every_process(project)
    web = [each for each in found if each.name == WEB]
    return web or [each for each in found if each.name != RELEASE]


def every_process(project: KnownProject) -> list[Startable]:
    """All that the Procfile names."""
    found = {}
    for match in map(_PROCESS.fullmatch, map(str.strip, (project.tree.text(PROCFILE) or "").splitlines())):
        # A command with a NUL nobody can start.
        if match is not None and "\0" not in match[2]:
            found[match[1]] = match[2]
    before = found.get(RELEASE, "")
    return [
        Startable(name=name, what=f"{PROCFILE}: {text}", start=functools.partial(_start, name, text, before))
        for name, text in found.items()
    ]


def _start(name: str, text: str, release: str) -> Launch:
    missing, port = list(dict.fromkeys(_missing(text))), _port(text)
    remarks = [f"{PROCFILE} runs `{release}` before a release: so do you, with the image"] if release else []
    env = {}
    # Whoever runs a Procfile gives PORT to every web process, also to one that reads it by itself.
    if "PORT" in missing or (name == WEB and port is None):
        env["PORT"], port = str(PORT), port or PORT
        remarks.append(f"PORT is {PORT}, as nobody else sets it here: env of [config] changes it")
    unset = [each for each in missing if each != "PORT"]
    remarks += [f"{each} has no value: {PROCFILE} expects it in the environment" for each in unset]
    return Launch(
        words=_words(text),
        why=f"{name} of {PROCFILE}",
        env=env,
        port=port if name == WEB else None,
        remarks=tuple(remarks),
    )


def _words(text: str) -> tuple[str, ...]:
    """The words of a command, behind a shell where it needs one; that makes way for it where it can."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ("/bin/sh", "-c", text)
    if not needs_shell(text):
        return tuple(without_runner(words))
    text = " ".join(without_runner(text.split(" ")))
    plain = not _has_operators(text) and not _ASSIGNED.match(text) and words[0] not in ("exec", "cd", "source", ".")
    return ("/bin/sh", "-c", f"exec {text}" if plain else text)


def _has_operators(text: str) -> bool:
    """Whether a command is several, or begins others: then the shell has to stay."""
    lexer = shlex.shlex(text, posix=False, punctuation_chars="();<>|&`")
    lexer.whitespace_split = True
    try:
        return "$(" in text or any(not set(token) - set("();<>|&`") for token in lexer)
    except ValueError:
        return True


def _missing(text: str) -> Iterator[str]:
    """The variables that a command reads without saying what they are."""
    for match in _VARIABLE.finditer(text):
        name = match[1] or match[3]
        if not match[2] and not name.isdigit():
            yield name


def _port(text: str) -> int | None:
    """The port that a command names as it stands, or as what holds where nobody sets another."""
    found = re.search(
        r"(?:--port[ =]|-p[ =]?|--bind[ =]\S*?:|-b[ =]?\S*?:|--server\.port[ =])(?:\$\{\w+:?-)?(\d{2,5})\b", text
    )
    return int(found[1]) if found and 0 < int(found[1]) < 65536 else None
