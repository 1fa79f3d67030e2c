"""sed of maintainer scripts: its commands over lines of files of the tree, or of what is piped into it (GNU sed(1))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oci_builder.debian.sedscript import Address, SedCommand, parsed
from oci_builder.debian.shell import Call

_STEP = 20
"""Letters that one command counts as."""


def sed(call: Call) -> int:
    """Say what a script makes of lines, or put it in place of them where ``-i`` says so."""
    options, scripts, paths = _given(call)
    if not scripts:
        if not paths:
            raise call.unknown("it has no script")
        scripts = [paths.pop(0)]
    commands, labels = parsed(call, "\n".join(scripts), extended=bool(options & {"E", "r"}))
    in_place = "i" in options
    texts = [(path, call.stdin if path == "-" else _read(call, path)) for path in paths] or [("-", call.stdin)]
    groups = [[each] for each in texts] if in_place or "s" in options else [texts]
    status = 0
    for group in groups:
        there = [text for _, text in group if text is not None]
        status = status if len(there) == len(group) else 2
        if not there:
            continue
        run = _Run(call, commands, labels, quiet="n" in options, text="".join(map(_ended, there[:-1])) + there[-1])
        status = run.all() or status
        written = "".join(run.out)
        if not in_place:
            call.say(written)
        else:
            call.tree.write(group[0][0], written)
        if run.quit and not in_place:
            break
    return status


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"


def _read(call: Call, path: str) -> str | None:
    return call.tree.read(path) if call.tree.has(path) else None


def _given(call: Call) -> tuple[set[str], list[str], list[str]]:
    """The letters of the options, the scripts and the files."""
    letters: set[str] = set()
    scripts: list[str] = []
    paths: list[str] = []
    words = list(call.arguments)
    long = {"--quiet": "n", "--silent": "n", "--regexp-extended": "E", "--in-place": "i", "--separate": "s"}
    while words:
        word = words.pop(0)
        if word == "--":
            paths += words
            break
        if word in long:
            letters.add(long[word])
        elif word.startswith("--expression="):
            scripts.append(word.removeprefix("--expression="))
        elif word == "--expression" and words:
            scripts.append(words.pop(0))
        elif word.startswith("-") and word[1:2] not in ("", "-"):
            before, e, after = word[1:].partition("e")
            if not set(before) <= set("nErisu") or ("i" in before and (e or before[-1] != "i")):
                raise call.unknown(f"its option {word} is not known here")
            letters |= set(before)
            if e and not after and not words:
                raise call.unknown("it has no script")
            scripts += [after or words.pop(0)] if e else []
        elif word.startswith("--"):
            raise call.unknown(f"its option {word} is not known here")
        else:
            paths.append(word)
    return letters, scripts, paths


@dataclass
class _Run:
    """One walk of a script of sed over the lines of ``text``."""

    call: Call
    commands: list[SedCommand]
    labels: Mapping[str, int]
    quiet: bool
    text: str
    out: list[str] = field(default_factory=list)
    quit: bool = False

    def __post_init__(self) -> None:
        lines = self.text.split("\n")
        self._whole = lines[-1] == ""
        self._lines = lines[:-1] if self._whole else lines
        self._number, self._space, self._hold, self._status = 0, "", "", 0
        self._active: dict[int, int | None] = {}
        self._after: list[str] = []
        self._changed = False

    def all(self) -> int:
        """Go through the lines; the status to end with."""
        while not self.quit and self._number < len(self._lines):
            self._take()
            self._cycle()
        return self._status

    def _take(self) -> None:
        self._space = self._lines[self._number]
        self._number += 1

    def _is_last(self) -> bool:
        return self._number == len(self._lines)

    def _put(self, text: str) -> None:
        # A last line without its newline is written so, unless more comes.
        ends = not self._is_last() or self._whole
        self._say(f"{text}\n" if ends else text)

    def _say(self, text: str) -> None:
        if self.out and not self.out[-1].endswith("\n"):
            self.out.append("\n")
        self.out.append(text)

    def _cycle(self) -> None:
        self._changed = False
        at, deleted = 0, False
        while at < len(self.commands):
            self.call.shell.spend(_STEP)
            command = self.commands[at]
            if not self._selects(at, command):
                at = command.end if command.name == "{" else at + 1
                continue
            next_at = self._does(at, command)
            if next_at is None:
                deleted = command.name in ("d", "c", "Q")
                break
            at = next_at
        if not deleted and not self.quiet:
            self._put(self._space)
        self._add_after()

    def _add_after(self) -> None:
        for text in self._after:
            self._say(text)
        self._after = []

    def _does(self, at: int, command: SedCommand) -> int | None:
        """Do one command; the next one's number, or None where the cycle ends."""
        name = command.name
        if name in ("d", "q", "Q", "c"):
            if name == "c" and (command.second is None or self._active.get(at) is None):
                self._say(f"{command.text}\n")
            if name in ("q", "Q"):
                self.quit, self._status = True, int(command.text or "0")
            return None
        if name in ("b", "t", "T"):
            jumps = name == "b" or (name == "t") == self._changed
            self._changed = self._changed and name == "b"
            return (self.labels[command.text] if command.text else len(self.commands)) if jumps else at + 1
        if name in ("n", "N"):
            return at + 1 if self._next(add=name == "N") else None
        self._edits(name, command)
        return at + 1

    def _next(self, *, add: bool) -> bool:
        if self._is_last():
            # GNU's prints what it has, and ends without the rest of the script.
            self.quit = True
            return False
        before = self._space
        if not add and not self.quiet:
            self._put(before)
        self._add_after()
        self._take()
        if add:
            self._space = f"{before}\n{self._space}"
        return True

    def _edits(self, name: str, command: SedCommand) -> None:
        if name == "s":
            self._substitute(command)
        elif name == "p":
            self._put(self._space)
        elif name == "P":
            self._say(self._space.partition("\n")[0] + "\n")
        elif name == "=":
            self._say(f"{self._number}\n")
        elif name == "y":
            self._space = self._space.translate(command.table)
        elif name == "i":
            self._say(f"{command.text}\n")
        elif name == "a":
            self._after.append(f"{command.text}\n")
        elif name in ("h", "H", "g", "G", "x"):
            self._holds(name)

    def _holds(self, name: str) -> None:
        if name in ("h", "H"):
            self._hold = self._space if name == "h" else f"{self._hold}\n{self._space}"
        elif name in ("g", "G"):
            self._space = self._hold if name == "g" else f"{self._space}\n{self._hold}"
        else:
            self._space, self._hold = self._hold, self._space
        self.call.shell.spend(len(self._hold) + len(self._space))

    def _substitute(self, command: SedCommand) -> None:
        found, at, count, pieces = self._space, 0, 0, list[str]()
        assert command.regex is not None
        copied = 0
        while at <= len(found):
            match = command.regex.search(self.call, found, at)
            if match is None:
                break
            if match.end() == match.start() == copied and pieces and at > 0 and match.start() == at and count:
                # Nothing, right behind what was found, is not found again.
                at += 1
                continue
            count += 1
            if count >= command.number:
                pieces.append(found[copied : match.start()] + command.made_of(match))
                copied = match.end()
                if not command.everywhere:
                    break
            at = match.end() if match.end() > match.start() else match.end() + 1
        if not pieces:
            return
        self._space = "".join(pieces) + found[copied:]
        self.call.shell.spend(len(self._space))
        self._changed = True
        if command.prints:
            self._put(self._space)

    def _selects(self, at: int, command: SedCommand) -> bool:
        return self._in_range(at, command) != command.inverted

    def _in_range(self, at: int, command: SedCommand) -> bool:
        first, second = command.first, command.second
        if first is None:
            return True
        if second is None:
            return self._fits(first)
        if at in self._active or (first.line == 0 and self._number == 1 and at not in self._active):
            return self._goes_on(at, second)
        if first.line == 0 or not self._fits(first):
            return False
        self._begins(at, second)
        return True

    def _begins(self, at: int, second: Address) -> None:
        end = second.line
        if second.plus:
            end = self._number + second.plus
        if end is None or end > self._number:
            self._active[at] = end

    def _goes_on(self, at: int, second: Address) -> bool:
        self._active.setdefault(at, None)
        end = self._active[at]
        if end is not None and self._number > end:
            # The range was over before; this line may begin another.
            del self._active[at]
            command = self.commands[at]
            fits = command.first is not None and self._fits(command.first)
            if fits:
                self._begins(at, second)
            return fits
        if (end is not None and self._number == end) or (end is None and self._fits(second)):
            del self._active[at]
            if self.commands[at].first == Address(line=0):
                self._active[at] = -1
        return True

    def _fits(self, address: Address) -> bool:
        if address.regex is not None:
            return address.regex.search(self.call, self._space) is not None
        if address.last:
            return self._is_last()
        if address.step:
            line = address.line or 0
            return self._number >= line and (self._number - line) % address.step == 0
        return self._number == address.line
