"""What an image starts: its entrypoint and command, its healthcheck; and scripts that could not be started."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from oci_builder.errors import UnsafePath
from oci_builder.gate.finding import Finding, Severity
from oci_builder.gate.modules import Modules
from oci_builder.gate.programs import CR_HINT, NO_LINE, Programs
from oci_builder.gate.sanity import COPIED
from oci_builder.imported.names import readable
from oci_builder.oci.documents import RunConfig
from oci_builder.tree.entry import Entry, Kind
from oci_builder.tree.tree import Tree

RECIPE = "image.toml"
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
_INITS = frozenset({"tini", "dumb-init", "catatonit", "docker-init"})
_FETCHING = frozenset({"curl", "wget"})
_HANDING_ON = {"env": 0, "nohup": 0, "setsid": 0, "nice": 0, "timeout": 1, "gosu": 1, "su-exec": 1}
"""Programs that become another, and how many words of theirs stand before it."""

_READ = 64 << 10
"""Bytes of a shell script that are read for the first program that it names."""

_PASSED = frozenset(
    (
        *("set", "export", "readonly", "unset", "cd", "umask", "ulimit", "trap", "shift", "alias", "echo", "printf"),
        *("true", "false", ":", "test", "[", "local", "declare", "typeset", "shopt", "read", "wait", "hash"),
    )
)
"""What a shell does itself, and goes on."""

_WORD = re.compile(r"[A-Za-z0-9_./+@-]+")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_KEYWORDS = frozenset(
    (
        *("if", "while", "until", "for", "case", "select", "function", "{", "(", "[[", "!", "time", "coproc"),
        *(".", "source", "eval", "exit", "return"),
    )
)
"""What the shell reads on for, or what leads elsewhere: after it, nothing is plain to see."""


@dataclass(frozen=True, kw_only=True)
class Starts:
    """All that is started of an image, judged. What is ``inherited`` was decided by who made the base: a warning."""

    tree: Tree
    run: RunConfig
    programs: Programs
    inherited: Collection[str] = ()
    has_module: Callable[[str], bool] | None = None

    def findings(self) -> Iterator[Finding]:
        """What does not start, and what most likely ends as soon as it is started."""
        run = self.run
        yield from self._workdir()
        key = "entrypoint" if run.entrypoint else "cmd"
        command = (*run.entrypoint, *run.cmd)
        if command:
            yield from self._command(key, command)
        if run.entrypoint and run.cmd and self._hands_on(run.entrypoint[0]):
            yield from self._likely("cmd", run.cmd[0], "what the entrypoint starts in the end,")
        test = run.healthcheck.test if run.healthcheck else ()
        if test[:1] == ("CMD",) and test[1:]:
            yield from self._command("healthcheck.test", test[1:])
        elif test[:1] == ("CMD-SHELL",) and test[1:]:
            yield from self._command("healthcheck.test", ("/bin/sh", "-c", *test[1:]))

    def _command(self, key: str, words: Sequence[str]) -> Iterator[Finding]:
        program = words[0]
        defect = self.programs.defect(program)
        if defect is not None:
            message = f"config.{key}: {_shown(program)} {defect.why}"
            hint = (key == "healthcheck.test" and self._asking(program)) or defect.hint
            yield _finding(self._severity(key), "start", RECIPE, program, message, hint)
            return
        name = program.rpartition("/")[2]
        if name in _SHELLS:
            yield from self._shell(key, name, words[1:])
        elif name in _INITS:
            rest = words[words.index("--") + 1 :] if "--" in words else words[1:]
            if rest and not rest[0].startswith("-"):
                yield from self._likely(key, rest[0], f"what {name} starts,")
        elif name in _HANDING_ON:
            rest = [word for word in words[1:] if not (name == "env" and _ASSIGNMENT.match(word))]
            if rest and not any(word.startswith(("-", "PATH=")) for word in words[1 : len(words) - len(rest) + 1]):
                yield from self._likely(key, "".join(rest[_HANDING_ON[name] :][:1]), f"what {name} starts,")
        elif re.fullmatch(r"python[0-9.]*", name):
            yield from self._python(key, words)
        else:
            yield from self._script_of_shell(key, program)

    def _asking(self, program: str) -> str:
        """How a healthcheck asks without a program that only fetches; nothing where the image has no Python."""
        met = set(self.programs.met)
        is_there = program in _FETCHING and self.programs.defect("python3") is None
        self.programs.met = met
        if not is_there:
            return ""
        ports = [port for port, _, kind in (each.partition("/") for each in self.run.exposed_ports) if kind != "udp"]
        ask = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{ports[0] if ports else 8000}/')"
        return f'base-packages = ["{program}"] brings it, or ask with Python: test = ["python3", "-c", "{ask}"]'

    def _shell(self, key: str, name: str, words: Sequence[str]) -> Iterator[Finding]:
        """What a shell is given: a text behind ``-c``, or a script, which has to be there."""
        rest = list(words)
        is_text = False
        while rest and re.match(r"[-+][A-Za-z]|--[a-z]", rest[0]):
            option = rest.pop(0)
            is_text = is_text or bool(re.fullmatch(r"-[A-Za-z]*c[A-Za-z]*", option))
            if re.fullmatch(r"[-+][A-Za-z]*[oO]", option):
                rest = rest[1:]
        if not rest:
            return
        if is_text:
            yield from self._likely(key, first_program(rest[0]), "what the shell starts first,")
        elif not rest[0].startswith("-") and not self._exists(rest[0]):
            # A name without a slash is looked for on PATH as well, by most of them.
            if "/" in rest[0] or self.programs.defect(rest[0]) is not None:
                message = f"config.{key}: {_shown(rest[0])}, which {name} is given, is not in the image"
                yield _finding("warning", "start", RECIPE, rest[0], message, "")
        else:
            yield from self._script_of_shell(key, rest[0], given=True)

    def _script_of_shell(self, key: str, path: str, *, given: bool = False) -> Iterator[Finding]:
        """What a shell's script starts first; ``given`` to a shell it may do without its first line."""
        text = self._script(path, given=given)
        if "\r\n" in text:
            message = (
                f"config.{key}: {_shown(path)} has CR LF at the end of its lines, and a shell takes CR for a letter"
            )
            yield _finding("warning", "start", RECIPE, path, message, CR_HINT)
            return
        yield from self._likely(key, first_program(text), f"what {_shown(path)} starts first,")

    def _likely(self, key: str, word: str, what: str) -> Iterator[Finding]:
        """A warning about what is started in the second place: a script may bring it about first."""
        met = set(self.programs.met)
        defect = self.programs.defect(word) if word else None
        self.programs.met = met
        # A text without #! is a shell's where no kernel is asked alone (execvp(3)).
        if defect is not None and defect.hint != NO_LINE:
            message = f"config.{key}: {what} {_shown(word)}, {defect.why}"
            yield _finding("warning", "start", RECIPE, word, message, defect.hint)

    def _python(self, key: str, words: Sequence[str]) -> Iterator[Finding]:
        """The module or file that Python is given: where it is not there, a volume may bring it."""
        rest = [word for word in words[1:] if not re.fullmatch(r"-[bBdEiIOqsSuvx]+", word)]
        if rest[:1] == ["-m"] and len(rest) > 1 and self.has_module is not None:
            name = rest[1]
            if not self.has_module(name) and not self._beside(name.replace(".", "/")):
                message = f"config.{key}: python -m {_shown(name)}: there is no such module in the image"
                yield _finding("warning", "start", RECIPE, name, message, "")
        elif rest and not rest[0].startswith("-") and not self._exists(rest[0]):
            message = f"config.{key}: {_shown(rest[0])}, which Python is given, is not in the image"
            yield _finding("warning", "start", RECIPE, rest[0], message, "")

    def _beside(self, name: str) -> bool:
        folders = [self.run.workdir or "/", *self.run.env.get("PYTHONPATH", "").split(":")]
        return any(self._exists(f"{folder}/{name}{end}") for folder in folders if folder for end in ("", ".py", ".pyc"))

    def _exists(self, path: str) -> bool:
        absolute = path if path.startswith("/") else f"{self.run.workdir or '/'}/{path}"
        try:
            return self.tree.resolve(absolute) in self.tree
        except UnsafePath:
            return False

    def _hands_on(self, program: str) -> bool:
        """Whether it is a shell script that ends with what it was given."""
        return '"$@"' in self._script(program)

    def _script(self, program: str, *, given: bool = False) -> str:
        """The text of a shell's script, which needs no first line where it is ``given`` to one; else nothing."""
        path = program
        if "/" not in program:
            folders = self.programs.path.split(":")
            path = next((place for each in folders if self._exists(place := f"{each}/{program}")), "")
        if not path or not self._exists(path):
            return ""
        absolute = path if path.startswith("/") else f"{self.run.workdir or '/'}/{path}"
        entry = self.tree.get(self.tree.resolve(absolute))
        if entry is None or entry.content is None or entry.kind is not Kind.FILE or entry.size > _READ:
            return ""
        text = self.programs.text(entry)
        # "#!/bin/sh", "#! /bin/sh" and "#!/usr/bin/env sh".
        first = text.partition("\n")[0].removeprefix("#!").split() if text.startswith("#!") else []
        shells = {word.rpartition("/")[2] for word in first[:2]}
        return text if shells & _SHELLS or (given and not first and "\0" not in text) else ""

    def _workdir(self) -> Iterator[Finding]:
        folder = self.run.workdir
        try:
            place = self.tree.resolve(folder) if folder else ""
        except UnsafePath:
            place = ""
        above = [place[: found.start()] for found in re.finditer("/", place)]
        for path in (*above, place) if place else ():
            entry = self.tree.get(path)
            why = ""
            if entry is not None and entry.kind is not Kind.DIRECTORY:
                why = f"/{path} is no folder"
            elif entry is not None and not self.programs.may(entry):
                why = f"uid {self.programs.uid} may not enter /{path} (mode {entry.mode:04o})"
            if why:
                severity: Severity = "warning" if "workdir" in self.inherited else "error"
                yield _finding(severity, "start", RECIPE, folder, f"config.workdir: {readable(why)}", "")
                return

    def _severity(self, key: str) -> Severity:
        return "warning" if key in self.inherited else "error"


@dataclass(frozen=True)
class Started:
    """What was found of that, and the ``files`` that it starts: programs, and what starts those."""

    findings: tuple[Finding, ...]
    files: frozenset[str]
    _programs: Programs
    _folder: str

    def scripts(self, entries: Iterable[Entry]) -> Iterator[Finding]:
        """Warnings about executable texts with ``#!`` that cannot be started: those of wheels, and copied ones."""
        said = {finding.subject for finding in self.findings}
        for entry in entries:
            theirs = entry.origin == COPIED or (self._folder and entry.path.startswith(f"{self._folder}/"))
            if not theirs or f"/{entry.path}" in said or not self._programs.is_script(entry):
                continue
            if defect := self._programs.defect(f"/{entry.path}"):
                who = "[[copy]]" if entry.origin == COPIED else entry.origin
                message = f"{who}: /{readable(entry.path)} {defect.why}"
                yield _finding("warning", "interpreter", entry.origin, f"/{entry.path}", message, defect.hint)


def judge_starts(
    tree: Tree,
    run: RunConfig,
    programs: Programs,
    *,
    inherited: Collection[str],
    modules: Modules | None,
    scripts: str,
) -> Started:
    """Judge all that an image starts. ``scripts`` is the folder of console scripts, if there is one."""
    has_module = modules.exists if modules else None
    starts = Starts(tree=tree, run=run, programs=programs, inherited=inherited, has_module=has_module)
    findings = tuple(starts.findings())
    return Started(findings, frozenset(programs.met), programs, scripts.strip("/"))


def first_program(text: str) -> str:
    """The first program that a shell's text starts, whatever happens before; nothing where that is not plain to see."""
    for line in text.replace("\\\n", " ").split("\n"):
        words = _words(line)
        while words and _ASSIGNMENT.match(words[0]):
            words.pop(0)
        if words[:1] == ["exec"]:
            words.pop(0)
        if not words or words[0] in _PASSED:
            if words and re.search(r"[|&;]", line):
                return ""  # what comes after it depends
            continue
        first = words[0].rstrip(";")
        known = first in _KEYWORDS or words[0] in _KEYWORDS or "()" in line
        return first if _WORD.fullmatch(first) and not known else ""
    return ""


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return ["("]


def _shown(word: str) -> str:
    return readable(word) if word and " " not in word and word.isprintable() else repr(readable(word))


def _finding(severity: Severity, kind: str, origin: str, subject: str, message: str, hint: str) -> Finding:
    return Finding(severity=severity, kind=kind, origin=origin, subject=subject, message=message, hint=hint)
