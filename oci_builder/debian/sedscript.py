"""Scripts of sed, read: commands with their addresses, and where labels are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from oci_builder.debian.patterns import Regex, compiled
from oci_builder.debian.shell import Call

_PLAIN = frozenset("dpPnNhHgGx=")
_MAX_COMMANDS = 200
_NUMBER = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True)
class Address:
    """A line that a command is for: by number, each so many, the last, or by what is in it."""

    line: int | None = None
    step: int = 0
    plus: int = 0
    last: bool = False
    regex: Regex | None = None


@dataclass
class SedCommand:
    """One command; ``text`` is what it adds, its label or its status, ``end`` where a block that it opens is over."""

    name: str
    first: Address | None = None
    second: Address | None = None
    inverted: bool = False
    text: str = ""
    regex: Regex | None = None
    parts: list[str | int] = field(default_factory=list)
    everywhere: bool = False
    prints: bool = False
    number: int = 1
    table: Mapping[int, str] = field(default_factory=dict)
    end: int = 0

    def made_of(self, match: re.Match[str]) -> str:
        """What is put in place of ``match``."""
        return "".join(part if isinstance(part, str) else match[part] or "" for part in self.parts)


def parsed(call: Call, script: str, *, extended: bool) -> tuple[list[SedCommand], dict[str, int]]:
    """The commands of ``script`` and the labels by name. Raises NotKnown."""
    return _Reader(call, script, extended=extended).all()


class _Reader:
    def __init__(self, call: Call, script: str, *, extended: bool) -> None:
        self._call, self._script, self._extended, self._at = call, script, extended, 0
        self._commands: list[SedCommand] = []
        self._last: Regex | None = None

    def all(self) -> tuple[list[SedCommand], dict[str, int]]:
        labels: dict[str, int] = {}
        opened: list[SedCommand] = []
        while self._skip(" \t\n;"):
            if len(self._commands) > _MAX_COMMANDS:
                raise self._unknown()
            if self._peek() == "#":
                self._rest()
                continue
            command = self._command()
            if command.name == ":":
                labels[command.text] = len(self._commands)
            elif command.name == "}":
                if not opened:
                    raise self._unknown()
                opened.pop().end = len(self._commands)
            else:
                self._commands.append(command)
                if command.name == "{":
                    opened.append(command)
        wanted = {each.text for each in self._commands if each.name in ("b", "t", "T") and each.text}
        if opened or not wanted <= labels.keys():
            raise self._unknown()
        return self._commands, labels

    def _unknown(self) -> Exception:
        return self._call.unknown("its script is not known here")

    def _peek(self) -> str:
        return self._script[self._at : self._at + 1]

    def _skip(self, letters: str) -> bool:
        """Go over ``letters``; whether anything comes after them."""
        while self._peek() and self._peek() in letters:
            self._at += 1
        return self._at < len(self._script)

    def _rest(self) -> str:
        """What is left of the line."""
        line = self._script[self._at :].partition("\n")[0]
        self._at += len(line)
        return line

    def _command(self) -> SedCommand:
        first = self._address()
        second = None
        self._skip(" \t")
        if first is not None and self._peek() == ",":
            self._at += 1
            self._skip(" \t")
            second = self._address()
            if second is None or second.step:
                raise self._unknown()
            self._skip(" \t")
        inverted = False
        while self._peek() == "!":
            inverted = True
            self._at += 1
            self._skip(" \t")
        if first is not None and first.line == 0 and not first.step and (second is None or second.regex is None):
            raise self._unknown()
        name = self._peek()
        self._at += 1
        command = SedCommand(name, first, second, inverted)
        self._arguments(command)
        return command

    def _address(self) -> Address | None:
        letter = self._peek()
        number = _NUMBER.match(self._script, self._at)
        if number is not None:
            self._at = number.end()
            if self._peek() == "~":
                step = _NUMBER.match(self._script, self._at + 1)
                if step is None or int(step[0]) == 0:
                    raise self._unknown()
                self._at = step.end()
                return Address(line=int(number[0]), step=int(step[0]))
            return Address(line=int(number[0]))
        if letter == "$":
            self._at += 1
            return Address(last=True)
        if letter == "+" and (plus := _NUMBER.match(self._script, self._at + 1)) is not None:
            self._at = plus.end()
            return Address(plus=int(plus[0])) if int(plus[0]) else Address(line=0)
        if letter in ("/", "\\"):
            self._at += 1 if letter == "/" else 2
            text = self._until(self._script[self._at - 1])
            ignoring = self._peek() == "I"
            self._at += ignoring
            return Address(regex=self._regex(text, ignoring_case=ignoring))
        return None

    def _regex(self, text: str, *, ignoring_case: bool = False) -> Regex:
        if not text:
            if self._last is None:
                raise self._unknown()
            return self._last
        self._last = compiled(self._call, text, extended=self._extended, ignoring_case=ignoring_case)
        return self._last

    def _until(self, end: str, *, is_pattern: bool = True) -> str:
        """The text up to ``end``, which stands for itself after a backslash and in brackets."""
        found = ""
        if not end or end in "\n\\":
            raise self._unknown()
        while (letter := self._peek()) != end:
            if not letter:
                raise self._unknown()
            self._at += 1
            if letter == "\\":
                other = self._peek()
                self._at += 1
                if other == end and is_pattern and other in ".*[]^$+?(){}|":
                    raise self._unknown()
                found += other if other == end else letter + other
            elif letter == "[" and is_pattern:
                found += letter + self._bracket()
            else:
                found += letter
        self._at += 1
        return found

    def _bracket(self) -> str:
        match = re.compile(r"\^?\]?(?:\[:[a-z]+:\]|[^\]])*\]").match(self._script, self._at)
        if match is None or "\\n" in match[0]:
            raise self._unknown()
        self._at = match.end()
        return match[0]

    def _arguments(self, command: SedCommand) -> None:
        name = command.name
        if name == "s":
            self._substitution(command)
        elif name == "y":
            end = self._peek()
            self._at += 1
            one, other = self._until(end, is_pattern=False), self._until(end, is_pattern=False)
            if len(one) != len(other) or "\\" in one + other:
                raise self._unknown()
            command.table = {ord(letter): made for letter, made in zip(one, other, strict=True)}
        elif name in ("a", "i", "c"):
            self._addition(command)
        elif name in (":", "b", "t", "T"):
            self._skip(" \t")
            text = self._rest()
            label, semicolon, after = text.partition(";")
            self._at -= len(semicolon + after)
            command.text = label.strip().rstrip("}").strip() if name != ":" else label.strip()
            self._at -= label.rstrip().endswith("}") and name != ":"
            if name == ":" and command.first is not None:
                raise self._unknown()
        elif name in ("q", "Q"):
            self._skip(" \t")
            number = _NUMBER.match(self._script, self._at)
            if number is not None:
                self._at, command.text = number.end(), number[0]
            self._ends()
        elif name in _PLAIN or name == "}":
            self._ends()
        elif name != "{":
            raise self._unknown()

    def _ends(self) -> None:
        self._skip(" \t")
        if self._peek() not in ("", ";", "\n", "}", "#"):
            raise self._unknown()

    def _addition(self, command: SedCommand) -> None:
        self._skip(" \t")
        if self._peek() == "\\":
            self._at += 1
            self._skip(" \t")
            if self._peek() == "\n":
                self._at += 1
        lines = [self._rest()]
        while lines[-1].endswith("\\") and self._peek() == "\n":
            lines[-1] = lines[-1][:-1]
            self._at += 1
            lines.append(self._rest())
        if any("\\" in line for line in lines):
            raise self._unknown()
        command.text = "\n".join(lines)

    def _substitution(self, command: SedCommand) -> None:
        end = self._peek()
        self._at += 1
        pattern, replacement = self._until(end), self._until(end, is_pattern=False)
        flags = ""
        while self._peek() and self._peek() in "gpiI0123456789":
            flags += self._peek()
            self._at += 1
        self._ends()
        numbers = "".join(each for each in flags if each.isdigit())
        command.everywhere, command.prints = "g" in flags, "p" in flags
        command.number = int(numbers[:6]) if numbers else 1
        command.regex = self._regex(pattern, ignoring_case="i" in flags.lower())
        command.parts = self._parts(replacement, command.regex.groups)

    def _parts(self, text: str, groups: int) -> list[str | int]:
        found: list[str | int] = []
        at = 0
        while at < len(text):
            letter, other = text[at], text[at + 1 : at + 2]
            at += 2 if letter == "\\" else 1
            if letter == "&":
                found.append(0)
            elif letter != "\\":
                found.append(letter)
            elif other and other in "0123456789":
                if int(other) > groups:
                    raise self._unknown()
                found.append(int(other))
            elif other in ("n", "\n", "t"):
                found.append({"n": "\n", "t": "\t"}.get(other, "\n"))
            elif not other or other.isalnum():
                raise self._unknown()
            else:
                found.append(other)
        return found
