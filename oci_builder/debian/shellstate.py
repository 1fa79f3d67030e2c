"""What a shell holds while it goes through a script: variables, scopes, options, what is read and written, limits."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oci_builder.debian import shelltest
from oci_builder.debian.scripttree import ScriptTree
from oci_builder.debian.shellparser import text_of

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_STEPS = 50_000
MAX_DEPTH = 80
"""Nodes that one script may visit, and how deep they may lie in each other: functions and sourced files, too."""

MAX_TEXT = 1 << 20
"""Letters of one value, and of all that is written, to files and to other commands as well."""

_LETTERS = 20
"""Letters that count as a step."""

GOES_ON = frozenset(("comment", ";", ";;", "\n", "heredoc_end"))
"""Nodes between statements, which do nothing."""

SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where programs are looked for."""


class NotKnown(Exception):
    """What a script would do from here on is not known, with the line and the words for it."""

    def __init__(self, line: int, command: str, why: str) -> None:
        super().__init__(line, command, why)
        self.line, self.command, self.why = line, command, why


class Leaving(Exception):
    """``exit``, ``return``, ``break`` or ``continue``, with the status or the number of loops."""

    def __init__(self, kind: str, number: int) -> None:
        super().__init__(kind, number)
        self.kind, self.number = kind, number


@dataclass
class _Kept:
    """What a subshell may change without the shell that it is in seeing it."""

    variables: dict[str, str]
    arguments: list[str]
    options: set[str]
    functions: dict[str, Node]
    scopes: list[dict[str, str | None]]
    exported: set[str]
    at_exit: str
    cwd: str
    mask: int
    loops: int


class ShellState(ABC):
    """A shell that has come to some place in a script; how it goes on from a node of the tree, others say."""

    def __init__(self, tree: ScriptTree, variables: dict[str, str], arguments: list[str]) -> None:
        self.tree, self.variables, self.arguments = tree, variables, arguments
        self.exported = set(variables)
        self.functions: dict[str, Node] = {}
        self.options: set[str] = set()
        self.scopes: list[dict[str, str | None]] = []
        """Of each function that is called what its local variables were before."""
        self.outputs: list[list[str]] = [[]]
        """What was written, to the script's own output first, to that of the innermost command last."""
        self.nobody: list[str] = []
        """The one of these that nobody reads."""
        self.stdin = self.at_exit = ""
        self.status = self.line = self.loops = 0
        self.match_work = 0
        self.is_bash = False
        self.readonly: set[str] = set()
        self.guarded = self.apartness = 0
        """How many conditions and how many subshells this place is in."""
        self._steps = self._letters = self._depth = self._written = 0

    @abstractmethod
    def visit(self, node: Node) -> int:
        """The status of one statement. Raises NotKnown."""

    @abstractmethod
    def visit_all(self, nodes: Sequence[Node]) -> int:
        """The status of the last of several statements. Raises NotKnown."""

    @abstractmethod
    def apart(self, nodes: Sequence[Node]) -> int:
        """The status of a subshell."""

    @abstractmethod
    def substituted(self, nodes: Sequence[Node]) -> str:
        """What commands write, without the newlines at the end."""

    @abstractmethod
    def call(self, words: Sequence[str], text: str = "", *, functions: bool = True) -> int:
        """The status of a command, which a function may be. Raises NotKnown where it is not known."""

    # Limits.

    def spend(self, letters: int) -> None:
        """Count the work on so many letters as steps: what is done again and again is bounded by all that it costs."""
        self._letters += letters
        if self._steps + self._letters // _LETTERS > MAX_STEPS:
            raise self.unknown("", f"it takes more than {MAX_STEPS} steps")

    def put(self, text: str) -> None:
        """Add to what is being written."""
        self.outputs[-1].append(text)
        self._written += len(text)
        if self._written > MAX_TEXT:
            raise self.unknown("", f"it writes more than {MAX_TEXT} letters")

    @contextlib.contextmanager
    def deeper(self) -> Iterator[None]:
        """One step, and what lies in it."""
        self._steps += 1
        self._depth += 1
        self.spend(0)
        if self._depth > MAX_DEPTH:
            raise self.unknown("", f"it is nested more than {MAX_DEPTH} deep")
        try:
            yield
        finally:
            self._depth -= 1

    def fits(self, text: str, pattern: str) -> bool:
        """Whether ``text`` fits a pattern of a shell; what that takes is counted."""
        self.spend(len(text) + len(pattern) + len(text) * len(pattern) // 10)
        return shelltest.fits(text, pattern)

    def unknown(self, command: str, why: str) -> NotKnown:
        """What to raise where the walk cannot go on."""
        return NotKnown(self.line, command, why)

    # Subshells, and what fails.

    def kept(self) -> _Kept:
        """What ``restore`` gives back after a subshell."""
        self.spend(sum(map(len, (self.variables, self.arguments, self.functions, *self.scopes))))
        return _Kept(
            dict(self.variables),
            list(self.arguments),
            set(self.options),
            dict(self.functions),
            [dict(each) for each in self.scopes],
            set(self.exported),
            self.at_exit,
            self.tree.cwd,
            self.tree.mask,
            self.loops,
        )

    def restore(self, kept: _Kept) -> None:
        """Be again what the shell was before a subshell."""
        self.variables, self.arguments = kept.variables, kept.arguments
        self.options, self.functions = kept.options, kept.functions
        self.scopes, self.exported, self.at_exit = kept.scopes, kept.exported, kept.at_exit
        self.tree.cwd, self.tree.mask = kept.cwd, kept.mask
        self.loops = kept.loops

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Where a failing command does not end the script."""
        self.guarded += 1
        try:
            yield
        finally:
            self.guarded -= 1

    def failed(self, status: int, node: Node) -> int:
        """``status``, unless it ends the script, which then has not been configured. Raises NotKnown, Leaving."""
        if status and "e" in self.options and not self.guarded:
            if self.apartness:
                raise Leaving("exit", status)
            raise NotKnown(node.start_point[0] + 1, text_of(node)[:120], f"it would fail there, with status {status}")
        return status

    # Variables.

    def assign(self, name: str, value: str) -> None:
        """Give a variable a value. Raises NotKnown where it cannot change, and where programs would be others then."""
        if name in self.readonly:
            raise self.unknown(f"{name}={value[:80]}", "it cannot be changed")
        if name == "PATH" and not set(value.split(":")) <= {*SEARCHED, ""}:
            raise self.unknown(f"{name}={value[:80]}", "programs would be looked for elsewhere")
        if len(value) > MAX_TEXT:
            raise self.unknown(f"{name}=", f"its value has more than {MAX_TEXT} letters")
        self.variables[name] = value

    def unassign(self, before: Mapping[str, str | None]) -> None:
        """Give variables the values back that they had before."""
        for name, value in before.items():
            if value is None:
                self.variables.pop(name, None)
            else:
                self.variables[name] = value

    def localize(self, name: str) -> None:
        """Have a variable be what it was before when the function that is called ends."""
        if not self.scopes:
            raise self.unknown(f"local {name}", "it is in no function")
        self.scopes[-1].setdefault(name, self.variables.get(name))

    def parameter(self, name: str) -> str | None:
        """The value of a parameter; None where it is not set."""
        if name.isdigit():
            number = int(name[:4])
            if not number:
                return self.variables.get("0", "")
            return self.arguments[number - 1] if number <= len(self.arguments) else None
        if name == "*":
            return " ".join(self.arguments)
        if name in ("#", "?"):
            return str(len(self.arguments) if name == "#" else self.status)
        if name in ("$", "!", "-", "@", "_"):
            raise self.unknown(f"${name}", "its value is not known")
        found = self.variables.get(name)
        if found is None and "u" in self.options:
            raise self.unknown(f"${name}", "it is not set, and the script would end there")
        return found

    # What is read and written, and what ends.

    @property
    def is_heard(self) -> bool:
        """Whether anything of the script reads what is written here."""
        return len(self.outputs) > 1 and self.outputs[-1] is not self.nobody

    @property
    def output(self) -> str:
        """What the script has written so far."""
        return "".join(self.outputs[0])

    def read_line(self) -> tuple[str, bool]:
        """The next line of what is read, and whether it has a newline; the end has none."""
        line, newline, self.stdin = self.stdin.partition("\n")
        return line, bool(newline)

    def leave(self, kind: str, number: int) -> None:
        """End the script, a function or a loop. Raises Leaving, and NotKnown where there is no such loop."""
        if kind in ("break", "continue") and not 0 < number <= self.loops:
            raise self.unknown(f"{kind} {number}", "it is in no such loop")
        raise Leaving(kind, number)


Statement = Callable[[ShellState, "Node"], int]
"""What goes through a node of one type, and gives its status."""
