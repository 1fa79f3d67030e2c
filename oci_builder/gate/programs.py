"""What the kernel does with a file that it is to start (execve(2)), played through on paper."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oci_builder.errors import InvalidValue, UnsafePath
from oci_builder.gate.facts import ElfFile, head_of
from oci_builder.imported.names import readable
from oci_builder.oci.documents import RunConfig
from oci_builder.recipes.words import split
from oci_builder.tree import elf
from oci_builder.tree.accounts import groups_of, ids_of
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind
from oci_builder.tree.tree import Tree, parents

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines set where an image sets none."""

_HEAD = 256
"""Bytes of a file that the kernel looks at (linux/binfmts.h, BINPRM_BUF_SIZE)."""

_DEEPEST = 5
"""Scripts that one may be started through another (fs/exec.c)."""

_GIVEN = ("proc/", "sys/", "dev/")
"""What an engine fills, whatever an image has there."""

_READ = 4
_LONGEST = 300
"""Letters of a PATH that are shown."""

_ALSO = {("x86_64", "i386"), ("aarch64", "arm")}
"""Machines whose kernels start programs of an older one."""

CR_HINT = "save it with LF at the end of its lines: sed -i 's/\\r$//' FILE"
BRINGS = "programs of Debian come with base-packages, those of a distribution when it is among the requirements"
_BOM = b"\xef\xbb\xbf"
_STRICT = re.compile(r"(?:ba|da|a|k|z)?sh|env|python[0-9.]*")
"""Interpreters that take a carriage return in their option for a part of it, and refuse it."""


@dataclass(frozen=True, slots=True)
class Defect:
    """Why a program does not start: a phrase whose subject is the program."""

    why: str
    hint: str = ""


class Programs:
    """The programs of an image, for the user, the PATH and the folder that it runs with. Raises nothing.

    ``met`` are the paths of the files that were found on the way: programs, and what starts them.
    """

    def __init__(self, tree: Tree, files: Mapping[str, ElfFile], run: RunConfig, machine: str, sources: MappedFiles):
        self._tree, self._files, self._machine, self._sources = tree, files, machine, sources
        self._workdir = f"/{run.workdir.strip('/')}"
        self.path = run.env.get("PATH") or PATH
        self.uid, self.groups = _identity(tree, run.user)
        # A folder that is not there holds nothing, however many of them are named, and whoever asks.
        named = (folder or self._workdir for folder in dict.fromkeys(self.path.split(":")))
        self._folders = [folder for folder in named if self._entry(self._absolute(folder)) is not None]
        self._found: dict[str, Defect | None] = {}
        self.met: set[str] = set()

    def defect(self, word: str, depth: int = 0) -> Defect | None:
        """Why ``word``, a path or a name that is looked for on PATH, does not start; None where it does."""
        if "/" in word:
            return self._start(word, depth)
        if not word:
            return Defect("is empty text")
        if word not in self._found:
            self._found[word] = self._look(word, depth)
        return self._found[word]

    def _look(self, word: str, depth: int) -> Defect | None:
        """What becomes of a word that is looked for along PATH."""
        passed: Defect | None = None
        for folder in self._folders:
            place = f"{folder.rstrip('/')}/{word}"
            if self._entry(self._absolute(place)) is None:
                continue
            # Whoever looks along PATH passes over what may not be started.
            passed = self._barred(place)
            if passed is None:
                return self._start(place, depth)
        words = split(word, {}) if " " in word else []
        hint = f"write its words apart: {_listed(words)}" if words else BRINGS
        shown = self.path if len(self.path) <= _LONGEST else f"{self.path[:_LONGEST]}…"
        return passed or Defect(f"is not found on PATH, {shown}", hint)

    def is_script(self, entry: Entry) -> bool:
        """Whether it is an executable text with ``#!``."""
        runs = entry.kind is Kind.FILE and entry.mode & 0o111 and entry.content is not None
        return bool(runs) and head_of(entry, self._sources, 2) == b"#!"

    def text(self, entry: Entry) -> str:
        """The whole of a small text file of the image."""
        if entry.content is None:
            return ""
        return self._sources.read(entry.content, what=entry.path).decode("utf-8", "replace")

    def _start(self, word: str, depth: int) -> Defect | None:
        place = self._absolute(word)
        if place.lstrip("/").startswith(_GIVEN):
            return None
        if defect := self._barred(word):
            return defect
        entry = self._entry(place)
        if entry is None or entry.content is None:
            return None
        self.met.add(entry.path)
        head = head_of(entry, self._sources, _HEAD)
        if head.startswith(elf.MAGIC):
            return self._program(entry)
        if head.startswith(b"#!"):
            return self._script(head, entry, depth)
        if head.startswith(_BOM + b"#!"):
            return Defect("begins with a byte order mark, and not with #!", "save it without one")
        if not head:
            return Defect("is an empty file")
        return Defect("is no program: it begins with neither #! nor what compiled ones begin with", NO_LINE)

    def _barred(self, word: str) -> Defect | None:
        """Why the file is not there or may not be started, whatever is in it."""
        place = self._absolute(word)
        try:
            resolved = self._tree.resolve(place)
        except UnsafePath:
            return Defect("is a link that leads round in a circle")
        entry = self._entry(place)
        if entry is None or (word.endswith("/") and entry.kind is not Kind.DIRECTORY):
            if resolved != place.strip("/") and self._tree.get(self._tree.place(place)) is not None:
                return Defect(f"leads to /{resolved}, which is not in the image")
            return Defect("is not in the image")
        if entry.kind is Kind.DIRECTORY:
            return Defect("is a folder")
        for folder in parents(resolved):
            above = self._tree.get(folder)
            if above is not None and not self.may(above):
                return Defect(f"lies in /{folder}, which {self._who} may not enter ({_rights(above)})")
        if not entry.mode & 0o111:
            return Defect(f"is not executable (mode {entry.mode & 0o7777:04o})", _MODE)
        return None if self.may(entry) else Defect(f"may not be started by {self._who} ({_rights(entry)})", _MODE)

    def may(self, entry: Entry, right: int = 1) -> bool:
        """Whether the image's user may start a file, or enter a folder; or has another ``right`` to it."""
        if self.uid == 0:
            return entry.kind is Kind.DIRECTORY or right == _READ or bool(entry.mode & 0o111)
        shift = 6 if entry.uid == self.uid else 3 if entry.gid in self.groups else 0
        return bool(entry.mode >> shift & right)

    def _program(self, entry: Entry) -> Defect | None:
        file = self._files.get(entry.path)
        if file is None:
            return None
        parsed = file.elf
        if parsed is None:
            return Defect(f"is a damaged ELF file: {file.damage}")
        if parsed.kind not in ("ET_EXEC", "ET_DYN"):
            return Defect(f"is no program, but an ELF file of type {parsed.kind}")
        if parsed.machine != self._machine and (self._machine, parsed.machine) not in _ALSO:
            return Defect(f"is for {parsed.machine}, and the image is for {self._machine}")
        if parsed.interpreter and self._entry(self._absolute(parsed.interpreter)) is None:
            hint = "it is made for musl (Alpine): take one for glibc" if "musl" in parsed.interpreter else ""
            return Defect(f"is started by {parsed.interpreter}, which is not in the image", hint)
        return None

    def _script(self, head: bytes, entry: Entry, depth: int) -> Defect | None:
        """binfmt_script(4) as in fs/binfmt_script.c."""
        if depth >= _DEEPEST:
            return Defect("is a script that is started by a script, and so on: the kernel gives up")
        line, end, _ = head[2:].partition(b"\n")
        text = line.partition(b"\0")[0].strip(b" \t")
        interpreter, argument = ([*re.split(rb"[ \t]+", text, maxsplit=1), b""])[:2]
        if not self.may(entry, _READ):
            return Defect(f"may not be read by {self._who}, as a script has to be ({_rights(entry)})", _MODE)
        if not end and entry.size > _HEAD and not re.search(rb"[ \t]", line.lstrip(b" \t")):
            return Defect(f"has a first line of more than {_HEAD} bytes: the kernel reads no more of it")
        if not interpreter:
            return Defect("names no interpreter after #!")
        name, words = os.fsdecode(interpreter), os.fsdecode(argument)
        found = self._start(name if "/" in name else f"./{name}", depth + 1)
        if found is not None:
            if name.endswith("\r"):
                return Defect(f"has CR LF at the end of its first line: the kernel looks for {name!r}", CR_HINT)
            joint = "which" if found.why.startswith("is not in") else "and that"
            return Defect(f"is started by {readable(name)}, {joint} {found.why}", found.hint)
        program = name.rpartition("/")[2]
        if words.endswith("\r") and _STRICT.fullmatch(program):
            return Defect(f"has CR LF at the end of its first line: {program} is given {words!r}", CR_HINT)
        return self._through_env(words, depth) if program == "env" else None

    def _through_env(self, argument: str, depth: int) -> Defect | None:
        """What ``#!/usr/bin/env`` is asked to start."""
        words = [argument]
        if found := re.match(r"(?:-\w*S|--split-string[ =])\s*(.*)", argument):
            words = found[1].split()
            while words and re.match(r"[A-Za-z_]\w*=", words[0]) and not words[0].startswith("PATH="):
                words.pop(0)
        if not words or not words[0] or re.search(r"^-|[=$'\"\\]", words[0]):
            return None  # its options change what it finds, and where
        defect = self.defect(words[0], depth + 1)
        if defect is None or defect.hint == NO_LINE:
            return None  # a text without #! is a shell's, where env starts it
        return Defect(f"is started by env, which looks for {readable(words[0])}, and that {defect.why}")

    def _entry(self, place: str) -> Entry | None:
        """The file or folder at the end of all links."""
        try:
            entry = self._tree.get(self._tree.resolve(place))
        except UnsafePath:
            return None
        for _ in range(_DEEPEST):
            if entry is None or entry.kind is not Kind.HARDLINK:
                break
            entry = self._tree.get(entry.target.strip("/"))
        return entry

    def _absolute(self, word: str) -> str:
        return word if word.startswith("/") else f"{self._workdir}/{word}"

    @property
    def _who(self) -> str:
        return f"uid {self.uid}"


NO_LINE = "a script needs a first line such as #!/bin/sh"
_MODE = 'set mode = "0755" in its [[copy]]'


def _identity(tree: Tree, user: str) -> tuple[int, frozenset[int]]:
    """Who runs; where nobody can say, root: then nothing is refused for want of rights."""
    try:
        uid, gid = ids_of(tree, user) if user else (0, 0)
    except (InvalidValue, UnsafePath):
        return 0, frozenset({0})
    return uid, frozenset({gid, *groups_of(tree, user)})


def _rights(entry: Entry) -> str:
    return f"mode {entry.mode & 0o7777:04o}, owner {entry.uid}:{entry.gid}"


def _listed(words: Sequence[str]) -> str:
    return json.dumps(list(words), ensure_ascii=False)
