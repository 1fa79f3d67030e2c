"""find of maintainer scripts, over the tree (findutils), by the order of names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from oci_builder.debian import shellwords
from oci_builder.debian.filemodes import number_of
from oci_builder.debian.listcommands import LISTING
from oci_builder.debian.shell import Call, Command
from oci_builder.debian.xargs import xargs
from oci_builder.tree.entry import Entry, Kind

_MAX_DEPTH = 100
_TYPES = {"f": Kind.FILE, "d": Kind.DIRECTORY, "l": Kind.SYMLINK}
_STEP = 20


@dataclass(frozen=True)
class _Found:
    path: str
    entry: Entry | None
    depth: int

    @property
    def below(self) -> str:
        """The path below the one that find was given."""
        return "/".join(self.path.rstrip("/").split("/")[-self.depth :]) if self.depth else ""


_Test = Callable[[_Found], bool]


class _Expression:
    """What find is to do with each path (find(1), EXPRESSION)."""

    def __init__(self, call: Call, words: list[str]) -> None:
        self._call, self._words = call, words
        self.least, self.most, self.deepest_first, self.acts = 0, _MAX_DEPTH, False, False
        self.gathered: list[tuple[list[str], list[str]]] = []
        self.status = 0

    def parsed(self) -> _Test:
        """A test of a path, which acts where it is to. Raises NotKnown."""
        test = self._either() if self._words else self._true()
        if self._words:
            raise self._call.unknown("its expression is not known here")
        if self.acts:
            return test

        def printing(found: _Found) -> bool:
            if test(found):
                self._call.say(f"{found.path}\n")
            return True

        return printing

    def _true(self) -> _Test:
        return lambda found: True

    def _either(self) -> _Test:
        tests = [self._both()]
        while self._words[:1] in (["-o"], ["-or"]):
            self._words.pop(0)
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda found: any(test(found) for test in tests)

    def _both(self) -> _Test:
        tests = [self._one()]
        while self._words and self._words[0] not in ("-o", "-or", ")"):
            if self._words[0] in ("-a", "-and"):
                self._words.pop(0)
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda found: all(test(found) for test in tests)

    def _one(self) -> _Test:
        word = self._words.pop(0) if self._words else ""
        if word in ("!", "-not"):
            test = self._one()
            return lambda found: not test(found)
        if word == "(":
            test = self._either()
            if self._words[:1] != [")"]:
                raise self._call.unknown("its expression is not known here")
            self._words.pop(0)
            return test
        if word in ("-empty", "-print", "-print0", "-delete", "-depth", "-prune", "-true", "-xdev", "-mount", "-ls"):
            return self._plain(word)
        if word == "-exec":
            return self._runs()
        return self._valued(word, self._words.pop(0) if self._words else "")

    def _plain(self, word: str) -> _Test:
        if word == "-empty":
            return self._is_empty
        if word in ("-depth", "-delete"):
            self.deepest_first = True
        if word in ("-print", "-print0", "-delete"):
            self.acts = True
        if word == "-delete":
            return self._delete
        if word in ("-print", "-print0"):
            end = "\n" if word == "-print" else "\0"
            return partial(self._print, end)
        if word in ("-prune", "-ls"):
            raise self._call.unknown(f"its test {word} is not known here")
        return self._true()

    def _print(self, end: str, found: _Found) -> bool:
        self._call.say(f"{found.path}{end}")
        return True

    def _print_form(self, form: str, found: _Found) -> bool:
        told = {"%f": posixpath.basename(found.path), "%p": found.path, "%P": found.below, "\\n": "\n"}
        self._call.say(re.sub(r"%[fpP]|\\n", lambda match: told[match[0]], form))
        return True

    def _is_empty(self, found: _Found) -> bool:
        if found.entry is not None and found.entry.kind is Kind.FILE:
            return found.entry.size == 0
        is_folder = found.entry is None or found.entry.kind is Kind.DIRECTORY
        return is_folder and not self._call.tree.children(found.path)

    def _delete(self, found: _Found) -> bool:
        if self._call.tree.is_folder(found.path) and self._call.tree.children(found.path):
            self.status = 1
            return False
        self._call.tree.remove(found.path)
        return True

    def _runs(self) -> _Test:
        self.acts = True
        # A plus ends it behind braces alone.
        pairs = zip(["", *self._words], self._words, strict=False)
        end = next((n for n, pair in enumerate(pairs) if pair[1] == ";" or pair == ("{}", "+")), None)
        if end is None:
            raise self._call.unknown("what it runs is not known here")
        command, how = self._words[:end], self._words[end]
        del self._words[: end + 1]
        if how == "+":
            paths: list[str] = []
            self.gathered.append((command[:-1], paths))
            return partial(_gather, paths)
        return lambda found: self._call.shell.call([word.replace("{}", found.path) for word in command]) == 0

    def _valued(self, word: str, value: str) -> _Test:
        if word in ("-maxdepth", "-mindepth") and re.fullmatch(r"[0-9]{1,3}", value):
            if word == "-maxdepth":
                self.most = int(value)
            else:
                self.least = int(value)
            return self._true()
        if word == "-type" and value in _TYPES:
            return lambda found: (found.entry.kind if found.entry else Kind.DIRECTORY) is _TYPES[value]
        fits = self._call.shell.fits
        if word in ("-name", "-iname", "-path", "-wholename") and not shellwords.is_plain(value):
            raise self._call.unknown("its pattern is not known here")
        if word == "-name":
            return lambda found: fits(posixpath.basename(found.path.rstrip("/")), value)
        if word == "-iname":
            return lambda found: fits(posixpath.basename(found.path.rstrip("/")).lower(), value.lower())
        if word in ("-path", "-wholename"):
            return lambda found: fits(found.path, value)
        if word in ("-user", "-group"):
            number = number_of(self._call, "passwd" if word == "-user" else "group", value)
            return lambda found: (
                ((found.entry.uid if word == "-user" else found.entry.gid) if found.entry else 0) == number
            )
        if word == "-printf" and re.fullmatch(r"(?:[^%\\]|%[fpP]|\\n)*", value):
            self.acts = True
            return partial(self._print_form, value)
        if word == "-perm" and re.fullmatch(r"[-/]?[0-7]{1,4}", value):
            return lambda found: _permits(found.entry, value)
        raise self._call.unknown(f"its test {word} is not known here")


def _gather(paths: list[str], found: _Found) -> bool:
    paths.append(found.path)
    return True


def _permits(entry: Entry | None, value: str) -> bool:
    mode, wanted = entry.mode if entry else 0o755, int(value.lstrip("-/"), 8)
    if value.startswith("-"):
        return mode & wanted == wanted
    return bool(mode & wanted) or not wanted if value.startswith("/") else mode == wanted


def _find(call: Call) -> int:
    words, roots = list(call.arguments), list[str]()
    follows = False
    while words and words[0] in ("-H", "-L", "-P"):
        follows = words.pop(0) != "-P"
    while words and not words[0].startswith(("-", "(", "!")):
        roots.append(words.pop(0))
    expression = _Expression(call, words)
    test = expression.parsed()
    status = 0
    for root in roots or ["."]:
        if call.tree.get(root, follow=False) is None and not call.tree.is_folder(root):
            status = 1
            continue
        if follows and any(call.tree.is_link(path) for path in (root, *call.tree.below(root))):
            raise call.unknown("it follows links, which is not known here")
        for found in list(_walk(call, root, 0, expression)):
            if expression.least <= found.depth:
                call.shell.spend(_STEP)
                test(found)
    for command, paths in expression.gathered:
        status = (call.shell.call([*command, *paths]) and 1) or status if paths else status
    return status or expression.status


def _walk(call: Call, path: str, depth: int, expression: _Expression) -> Iterator[_Found]:
    call.shell.spend(_STEP)
    entry = call.tree.get(path, follow=False)
    here = _Found(path, entry, depth)
    if not expression.deepest_first:
        yield here
    is_folder = entry.kind is Kind.DIRECTORY if entry is not None else call.tree.is_folder(path)
    if is_folder and depth < expression.most:
        for name in call.tree.children(path):
            yield from _walk(call, posixpath.join(path, name), depth + 1, expression)
    if expression.deepest_first:
        yield here


FINDING: Mapping[str, Command] = {"find": _find, "xargs": xargs, **LISTING}
"""The commands, by name."""
