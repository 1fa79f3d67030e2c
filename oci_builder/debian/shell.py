"""Maintainer scripts walked over a tree, in place of being run: the shell's own part (POSIX.1-2017, chapter 2).

What a script does is known when each command that is reached is known, and each of its arguments. The first one that is
not ends the walk, with its line. Nothing is executed; the time is bounded by counting steps.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import tree_sitter_bash
from tree_sitter import Language, Parser

from oci_builder.debian import shelltest, shellwords
from oci_builder.debian.scripttree import ScriptTree, Unwritable
from oci_builder.errors import UnsafePath

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_SCRIPT = 256 << 10
"""Bytes of one script; Debian's longest have 40,000."""

MAX_STEPS = 50_000
MAX_DEPTH = 80
"""Nodes that one script may visit, and how deep they may lie in each other: functions and sourced files, too."""

MAX_TEXT = 1 << 20
"""Letters of one value, and of all that is written, to files and to other commands as well."""

MAX_READS = 20_000
_PIECE = 256
"""Pieces of so many bytes that the parser may ask for: of a script that is one it asks for each up to four times."""

_LETTERS = 20
"""Letters that count as a step."""

_LIBRARIES = (
    r"\A/usr/lib/[a-z0-9_]+-linux-gnu[a-z0-9]*/(?:glib-2\.0|gdk-pixbuf-2\.0|libgtk-3-0|libgtk2\.0-0)/(?=[^/]+\Z)"
)
_USUAL = re.compile(rf"\A(?:/usr)?/s?bin/(?=[^/]+\Z)|{_LIBRARIES}")
"""Where a program lies that is known by its name; elsewhere it may be another of that name."""

IS_SHELL = re.compile(r"#! ?(?:/usr)?/bin/(?:sh|dash|bash)(?: -e| -u| -eu)?[ \t]*\n")
"""How a script of a shell begins."""

SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where programs are looked for."""

_OWN = frozenset(
    (
        *(
            "break",
            ":",
            "continue",
            ".",
            "eval",
            "exec",
            "exit",
            "export",
            "readonly",
            "return",
            "set",
            "shift",
            "times",
        ),
        *(
            "trap",
            "unset",
            "alias",
            "bg",
            "cd",
            "command",
            "false",
            "fc",
            "fg",
            "getopts",
            "hash",
            "jobs",
            "kill",
            "local",
        ),
        *("newgrp", "printf", "echo", "pwd", "read", "test", "[", "true", "type", "ulimit", "umask", "unalias", "wait"),
        *("builtin", "declare", "typeset", "let", "source", "shopt", "enable", "mapfile", "readarray"),
    )
)
"""Commands of shells themselves: which of them a function of that name goes before, they do not agree about."""

_HOLDING = frozenset((":", ".", "eval", "exec", "export", "readonly", "set", "shift", "trap", "unset", "times"))
"""Before these an assignment holds on (POSIX.1-2017, 2.14)."""

_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_MASK = 0o022
_GOES_ON = frozenset(("comment", ";", ";;", "\n", "heredoc_end"))


class NotKnown(Exception):
    """What a script would do from here on is not known, with the line and the words for it."""

    def __init__(self, line: int, command: str, why: str) -> None:
        super().__init__(line, command, why)
        self.line, self.command, self.why = line, command, why


class _Leaving(Exception):
    """``exit``, ``return``, ``break`` or ``continue``, with the status or the number of loops."""

    def __init__(self, kind: str, number: int) -> None:
        super().__init__(kind, number)
        self.kind, self.number = kind, number


@dataclass
class _State:
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


@dataclass
class Call:
    """One command with its arguments, in the shell that it is reached in; it answers with ``say`` and its status."""

    shell: Shell
    name: str
    arguments: Sequence[str]
    stdin: str

    @property
    def tree(self) -> ScriptTree:
        """The tree that the script is walked over."""
        return self.shell.tree

    def say(self, text: str) -> None:
        """Add to the output of the command."""
        self.shell.put(text)

    def unknown(self, why: str) -> NotKnown:
        """What to raise where an argument is not known of."""
        return NotKnown(self.shell.line, " ".join([self.name, *self.arguments])[:120], why)


Command = Callable[[Call], int]


@dataclass
class Shell:
    """A shell that has come to some place in a script. ``commands`` are all that are known."""

    tree: ScriptTree
    commands: Mapping[str, Command]
    variables: dict[str, str]
    arguments: list[str] = field(default_factory=list)
    line: int = 0

    def __post_init__(self) -> None:
        self._functions: dict[str, Node] = {}
        self._options: set[str] = set()
        self._output: list[list[str]] = [[]]
        self._stdin = ""
        self._readonly: set[str] = set()
        self._status = self._steps = self._letters = self._depth = self._guarded = self._written = self._loops = 0
        self._at_exit = ""
        self._scopes: list[dict[str, str | None]] = []
        self.exported = set(self.variables)
        self._apartness = 0
        self.match_work = 0
        self.is_bash = False

    def run(self, text: str) -> int:
        """The status that a script ends with. Raises NotKnown."""
        self.tree.mask, self.tree.cwd = _MASK, "/"
        try:
            return self._ended(text)
        except RecursionError:
            raise NotKnown(self.line, "", "it is nested too deep") from None

    def _ended(self, text: str) -> int:
        """The status of a script, after what it traps of its end."""
        head = text.partition("\n")[0]
        self.is_bash = head.split()[:1] == ["#!/bin/bash"] or "/bash" in head
        self._options |= set(head.split()[-1][1:]) & set("eu") if re.search(r" -[a-z]+\s*\Z", head) else set()
        try:
            status = self.source(text)
        except _Leaving as leaving:
            status = leaving.number if leaving.kind in ("exit", "return") else self._status
        action, self._at_exit, self._status = self._at_exit, "", status
        if action:
            try:
                self.source(action)
            except _Leaving as leaving:
                status = leaving.number
        return status

    def script(self, text: str, arguments: list[str], zero: str) -> int:
        """The status of a script that this one starts, a shell of its own with the variables that are exported."""
        kept, guarded = self._kept(), self._guarded
        self.variables = {k: v for k, v in self.variables.items() if k in self.exported or ":" in k}
        self.arguments, self._options, self._functions = arguments, set(), {}
        self._scopes, self._at_exit, self._guarded, self._loops = [], "", 0, 0
        self.variables["0"] = zero
        self._apartness += 1
        try:
            with self._deeper():
                return self._ended(text)
        finally:
            # Answers of debconf's and triggers are everybody's.
            shared = {k: v for k, v in self.variables.items() if ":" in k}
            self._restore(kept)
            self.variables |= shared
            self._guarded = guarded
            self._apartness -= 1

    def trap(self, action: str) -> None:
        """Have ``action`` done at the end; nothing where it is empty. No signal ever comes."""
        self._at_exit = action

    def localize(self, name: str) -> None:
        """Have a variable be what it was before when the function that is called ends."""
        if not self._scopes:
            raise self.unknown(f"local {name}", "it is in no function")
        self._scopes[-1].setdefault(name, self.variables.get(name))

    def _kept(self) -> _State:
        self.spend(sum(map(len, (self.variables, self.arguments, self._functions, *self._scopes))))
        return _State(
            dict(self.variables),
            list(self.arguments),
            set(self._options),
            dict(self._functions),
            [dict(each) for each in self._scopes],
            set(self.exported),
            self._at_exit,
            self.tree.cwd,
            self.tree.mask,
            self._loops,
        )

    def _restore(self, kept: _State) -> None:
        self.variables, self.arguments = kept.variables, kept.arguments
        self._options, self._functions = kept.options, kept.functions
        self._scopes, self.exported, self._at_exit = kept.scopes, kept.exported, kept.at_exit
        self.tree.cwd, self.tree.mask = kept.cwd, kept.mask
        self._loops = kept.loops

    def _apart(self, nodes: Sequence[Node]) -> int:
        """The status of a subshell."""
        kept, self._at_exit = self._kept(), ""
        self._apartness += 1
        self._loops = 0
        try:
            status = self._all(nodes)
        except _Leaving as leaving:
            if leaving.kind not in ("exit", "return"):
                raise
            status = leaving.number
        finally:
            trapped = self._at_exit
            self._restore(kept)
            self._apartness -= 1
        if trapped:
            raise self.unknown("trap", "what a subshell traps is not known here")
        return status

    def source(self, text: str, *, ending: bool = False) -> int:
        """Walk ``text`` here, as ``eval`` does; with ``ending`` as ``.`` does, until it returns. Raises NotKnown."""
        data = text.encode("utf-8", "surrogateescape")
        if len(data) > MAX_SCRIPT:
            raise NotKnown(0, "", f"it has more than {MAX_SCRIPT} bytes")
        if _CONTROL.search(data):
            raise NotKnown(0, "", "it has letters that are no text")
        self.spend(len(data))
        root = _parsed(data)
        if root is None or _lost(root, data):
            raise NotKnown(0, "", "it is in no syntax of a shell that is known here")
        try:
            return self._all(root.children)
        except _Leaving as leaving:
            if not ending or leaving.kind != "return":
                raise
            return leaving.number

    def put(self, text: str) -> None:
        """Add to what is being written."""
        self._output[-1].append(text)
        self._written += len(text)
        if self._written > MAX_TEXT:
            raise self.unknown("", f"it writes more than {MAX_TEXT} letters")

    def spend(self, letters: int) -> None:
        """Count the work on so many letters as steps: what is done again and again is bounded by all that it costs."""
        self._letters += letters
        if self._steps + self._letters // _LETTERS > MAX_STEPS:
            raise self.unknown("", f"it takes more than {MAX_STEPS} steps")

    def unknown(self, command: str, why: str) -> NotKnown:
        """What to raise where the walk cannot go on."""
        return NotKnown(self.line, command, why)

    def is_function(self, name: str) -> bool:
        """Whether the script has a function of that name."""
        return name in self._functions

    @property
    def output(self) -> str:
        """What the script has written so far."""
        return "".join(self._output[0])

    def read_line(self) -> tuple[str, bool]:
        """The next line of what is read, and whether it has a newline; the end has none."""
        line, newline, self._stdin = self._stdin.partition("\n")
        return line, bool(newline)

    @property
    def status(self) -> int:
        """The status of the command before."""
        return self._status

    def set_option(self, letter: str, *, on: bool) -> None:
        """``set -e`` and the like."""
        (self._options.add if on else self._options.discard)(letter)

    def leave(self, kind: str, number: int) -> None:
        """End the script, a function or a loop."""
        if kind in ("break", "continue") and not 0 < number <= self._loops:
            raise self.unknown(f"{kind} {number}", "it is in no such loop")
        raise _Leaving(kind, number)

    def assign(self, name: str, value: str) -> None:
        """Give a variable a value. Raises NotKnown where it cannot change, and where programs would be others then."""
        if name in self._readonly:
            raise self.unknown(f"{name}={value[:80]}", "it cannot be changed")
        if name == "PATH" and not set(value.split(":")) <= {*SEARCHED, ""}:
            raise self.unknown(f"{name}={value[:80]}", "programs would be looked for elsewhere")
        if len(value) > MAX_TEXT:
            raise self.unknown(f"{name}=", f"its value has more than {MAX_TEXT} letters")
        self.variables[name] = value

    # Statements: each gives its status.

    def _all(self, nodes: Sequence[Node]) -> int:
        self.spend(len(nodes))
        for node in nodes:
            if node.type not in _GOES_ON:
                self._status = self._one(node)
        return self._status

    def _one(self, node: Node) -> int:
        self.line = node.start_point[0] + 1
        walk = getattr(self, f"_walk_{node.type}", None)
        if walk is None:
            raise self.unknown(_text(node)[:80], f"{node.type.replace('_', ' ')} is not known here")
        with self._deeper():
            status: int = walk(node)
        return status

    @contextlib.contextmanager
    def _deeper(self) -> Iterator[None]:
        self._steps += 1
        self._depth += 1
        self.spend(0)
        if self._depth > MAX_DEPTH:
            raise self.unknown("", f"it is nested more than {MAX_DEPTH} deep")
        try:
            yield
        finally:
            self._depth -= 1

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Where a failing command does not end the script."""
        self._guarded += 1
        try:
            yield
        finally:
            self._guarded -= 1

    def _failed(self, status: int, node: Node) -> int:
        """``status``, unless it ends the script, which then has not been configured."""
        if status and "e" in self._options and not self._guarded:
            if self._apartness:
                raise _Leaving("exit", status)
            raise NotKnown(node.start_point[0] + 1, _text(node)[:120], f"it would fail there, with status {status}")
        return status

    def _walk_command(self, node: Node) -> int:
        named = node.child_by_field_name("name")
        assigned = [child for child in node.named_children if child.type == "variable_assignment"]
        if named is None:
            return self._assign_all(assigned)
        if assigned and _has_line(node.text or b"", node.start_byte, assigned[-1], named):
            # The parser takes "a=1 b=2", a newline and a command for one.
            self._failed(self._assign_all(assigned), node)
            assigned = []
        parts = [child for child in node.children if child.type not in ("variable_assignment", "file_redirect")]
        data = node.text or b""
        self.spend(len(data))
        if any(_has_line(data, node.start_byte, one, other) for one, other in pairwise(parts)):
            raise self.unknown(_text(node)[:80], "where the command ends is not clear")
        redirects = [child for child in node.children if child.type == "file_redirect"]
        words = self._words_of(parts)
        if not words:
            if redirects or assigned:
                raise self.unknown(_text(node)[:80], "its command is none")
            # The status of a substitution stays, of a variable there is none.
            return self._failed(self._status if b"`" in data or b"$(" in data else 0, node)
        names = _named(assigned)
        before, exported = {name: self.variables.get(name) for name in names}, names - self.exported
        self._assign_all(assigned)
        try:
            self.exported |= names
            with self._redirected(redirects):
                return self._failed(self.call(words, _text(node)), node)
        finally:
            if words[0] not in _HOLDING:
                self._unassign(before)
                self.exported -= exported

    def _unassign(self, before: Mapping[str, str | None]) -> None:
        """Give variables the values back that they had before."""
        for name, value in before.items():
            if value is None:
                self.variables.pop(name, None)
            else:
                self.variables[name] = value

    def _words_of(self, parts: Sequence[Node]) -> list[str]:
        """The words of a command. ``a/$2`` before a line that goes on is parsed as two, which is put right."""
        words: list[str] = []
        at = 0
        while at < len(parts):
            last = at
            while last + 1 < len(parts) and parts[last].end_byte == parts[last + 1].start_byte:
                last += 1
            if last == at:
                words += self.words(parts[at])
            else:
                words += self._one_word(b"".join(part.text or b"" for part in parts[at : last + 1]))
            at = last + 1
        return words

    def _one_word(self, text: bytes) -> list[str]:
        """What a word is expanded to that was parsed as several."""
        last = re.fullmatch(rb"(.*[^$\\])(?:\$([0-9A-Za-z_]+))", text, re.DOTALL)
        if last is not None and not re.search(rb"[\"'`{(]", text):
            words = self._one_word(last[1]) if b"$" in last[1] else [last[1].decode("utf-8", "surrogateescape")]
            value = self.parameter(last[2].decode()) or ""
            if len(words) == 1 and not re.search(r"[\s*?\[]", value):
                return [words[0] + value]
        plain = re.fullmatch(rb"(.*?\$[0-9A-Za-z_]+)([^$0-9A-Za-z_\\\"'`{}()*?\[~]*)", text, re.DOTALL)
        if plain is not None and plain[2] and not re.search(rb"[\"'`{(\\]", text):
            words = self._one_word(plain[1]) if plain[1] != text else []
            if len(words) == 1:
                return [words[0] + plain[2].decode("utf-8", "surrogateescape")]
        root = Parser(Language(tree_sitter_bash.language())).parse(b": " + text).root_node
        command = root.named_children[0] if root.named_child_count == 1 and not root.has_error else None
        if command is None or command.type != "command" or command.named_child_count != 2:
            raise self.unknown(text.decode("utf-8", "replace")[:80], "where a word ends is not clear")
        return self.words(command.named_children[1])

    def call(self, words: Sequence[str], text: str = "", *, functions: bool = True) -> int:
        """The status of a command, which a function may be. Raises NotKnown where it is not known."""
        name, *arguments = words
        function = self._functions.get(name) if functions else None
        if function is not None:
            return self._call_function(function, arguments)
        command = self.commands.get(_USUAL.sub("", name))
        try:
            found = self._script_named(name) if command is None else None
            if found is not None:
                return self._started(found, arguments, name)
        except (Unwritable, UnsafePath) as error:
            raise self.unknown(text[:120] or name, str(error)) from error
        if command is None:
            raise self.unknown(text[:120] or name, f"what {name} does is not known")
        try:
            return command(Call(self, name, arguments, self._stdin))
        except (Unwritable, UnsafePath) as error:
            raise self.unknown(text[:120] or name, str(error)) from error
        except (ArithmeticError, LookupError, ValueError, RecursionError) as error:
            # No argument, and no file of a package, may end more than the walk.
            raise self.unknown(text[:120] or name, "what it is given is not known here") from error

    def _script_named(self, name: str) -> tuple[str, str] | None:
        """The path and the text of a shell script of the tree that is a command: what it would do is known as well."""
        places = [name] if "/" in name else [f"{folder}/{name}" for folder in SEARCHED]
        path = next((place for place in places if shelltest.holds(["-x", place], self.tree)), None)
        entry = self.tree.get(path) if path is not None else None
        if path is None or entry is None or not 0 < entry.size <= MAX_SCRIPT:
            return None
        text = self.tree.read(path)
        return (path, text) if IS_SHELL.match(text) else None

    def _started(self, found: tuple[str, str], arguments: list[str], name: str) -> int:
        line, (path, text) = self.line, found
        try:
            return self.script(text, arguments, path)
        except NotKnown as error:
            raise NotKnown(line, f"{name}, line {error.line}: {error.command}", error.why) from error
        finally:
            self.line = line

    def _call_function(self, body: Node, arguments: list[str]) -> int:
        before, self.arguments = self.arguments, arguments
        loops, self._loops = self._loops, 0
        self._scopes.append({})
        try:
            return self._one(body)
        except _Leaving as leaving:
            if leaving.kind != "return":
                raise
            return leaving.number
        finally:
            self.arguments, self._loops = before, loops
            self._unassign(self._scopes.pop())

    def _walk_list(self, node: Node) -> int:
        # Lists are parsed as nested to the left; the shell goes from left to right, too.
        first, operator, last = (child for child in node.children if child.type not in _GOES_ON)
        with self._guard():
            status = self._one(first)
        self._status = status
        if (operator.type == "&&") == (status == 0):
            return self._one(last)
        return status

    def _walk_pipeline(self, node: Node) -> int:
        status, before = 0, self._stdin
        stages = [child for child in node.children if child.is_named and child.type != "comment"]
        if any(child.type == "|&" for child in node.children):
            raise self.unknown(_text(node)[:80], "|& is not known here")
        try:
            for number, stage in enumerate(stages):
                # Each stage is a shell of its own.
                if number == len(stages) - 1:
                    status = self._apart([stage])
                else:
                    with self._guard():
                        self._stdin = self._written_by(stage)
        finally:
            self._stdin = before
        return status

    def _written_by(self, node: Node) -> str:
        self._output.append([])
        try:
            self._status = self._apart([node])
        finally:
            written = "".join(self._output.pop())
        return written

    def _walk_negated_command(self, node: Node) -> int:
        with self._guard():
            return int(self._one(node.named_children[-1]) == 0)

    def _walk_compound_statement(self, node: Node) -> int:
        return self._all(node.named_children)

    def _walk_subshell(self, node: Node) -> int:
        return self._apart(node.named_children)

    def _walk_function_definition(self, node: Node) -> int:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is None or body is None:
            raise self.unknown(_text(node)[:80], "a function without a body")
        if _text(name) in _OWN:
            raise self.unknown(_text(node)[:80], "a function in the place of a command of the shell's own")
        self._functions[_text(name)] = body
        return 0

    def _walk_if_statement(self, node: Node) -> int:
        return self._branches(node)

    def _branches(self, node: Node) -> int:
        self.spend(node.child_count)
        condition: list[Node] = []
        body: list[Node] = []
        others: list[Node] = []
        held = condition
        for child in node.children:
            if child.type == "then":
                held = body
            elif child.type in ("elif_clause", "else_clause"):
                others.append(child)
            elif child.type not in ("if", "elif", "fi"):
                held.append(child)
        with self._guard():
            status = self._all(condition)
        if status == 0:
            return self._body(body)
        for other in others:
            if other.type == "else_clause":
                return self._body(other.children[1:])
            taken = self._elif(other)
            if taken is not None:
                return taken
        return 0

    def _elif(self, node: Node) -> int | None:
        then = next(number for number, child in enumerate(node.children) if child.type == "then")
        with self._guard():
            status = self._all(node.children[1:then])
        return self._body(node.children[then + 1 :]) if status == 0 else None

    def _body(self, nodes: Sequence[Node]) -> int:
        self._status = 0
        return self._all(nodes)

    def _walk_case_statement(self, node: Node) -> int:
        value = node.child_by_field_name("value")
        text = self.text(value) if value is not None else ""
        for item in node.named_children:
            if item.type != "case_item":
                continue
            patterns = item.children_by_field_name("value")
            if any(self._fits(text, self.pattern(each)) for each in patterns):
                closing = next(number for number, child in enumerate(item.children) if child.type == ")")
                return self._body(item.children[closing + 1 :])
        return 0

    def _fits(self, text: str, pattern: str) -> bool:
        self.spend(len(text) + len(pattern) + len(text) * len(pattern) // 10)
        return shelltest.fits(text, pattern)

    def _walk_for_statement(self, node: Node) -> int:
        variable, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        if variable is None or body is None:
            raise self.unknown(_text(node)[:80], "a loop without a body")
        if any(child.type == "in" for child in node.children):
            words = [word for each in node.children_by_field_name("value") for word in self.words(each)]
        else:
            words = list(self.arguments)
        self.spend(len(words))
        status = 0
        for word in words:
            self.assign(_text(variable), word)
            ends, status = self._turn(body)
            if ends:
                break
        return status

    def _walk_while_statement(self, node: Node) -> int:
        ending = node.children[0].type == "until"
        body = node.child_by_field_name("body")
        if body is None:
            raise self.unknown(_text(node)[:80], "a loop without a body")
        conditions = [child for child in node.children[1:] if child != body]
        status = 0
        while True:
            with self._deeper(), self._guard():
                going_on = (self._all(conditions) == 0) != ending
            if not going_on:
                return status
            ends, status = self._turn(body)
            if ends:
                return status

    def _turn(self, body: Node) -> tuple[bool, int]:
        """One turn of a loop: whether it is the last, and its status."""
        self._loops += 1
        try:
            with self._deeper():
                return False, self._body(body.named_children)
        except _Leaving as leaving:
            if leaving.kind not in ("break", "continue"):
                raise
            if leaving.number > 1:
                raise _Leaving(leaving.kind, leaving.number - 1) from None
            return leaving.kind == "break", 0
        finally:
            self._loops -= 1

    def _walk_variable_assignments(self, node: Node) -> int:
        return self._failed(self._assign_all(node.named_children), node)

    def _walk_variable_assignment(self, node: Node) -> int:
        return self._failed(self._assign_all([node]), node)

    def _assign_all(self, nodes: Sequence[Node]) -> int:
        self._status = 0
        for node in nodes:
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            if name is None or name.type != "variable_name" or any(child.type == "+=" for child in node.children):
                raise self.unknown(_text(node)[:80], "an assignment of a kind that is not known here")
            self.assign(_text(name), self.text(value) if value is not None else "")
        return self._status

    def _walk_declaration_command(self, node: Node) -> int:
        if node.children[0].type not in ("export", "local", "readonly"):
            raise self.unknown(_text(node)[:80], "a declaration of a kind that is not known here")
        assigned = [child for child in node.named_children if child.type == "variable_assignment"]
        names = [each.child_by_field_name("name") for each in assigned]
        names += [child for child in node.named_children if child.type == "variable_name"]
        flags = [_text(child) for child in node.named_children if child.type == "word"]
        if len(names) + len(flags) != len(node.named_children) or (flags and (flags != ["-r"] or not self.is_bash)):
            raise self.unknown(_text(node)[:80], "a declaration of a kind that is not known here")
        for name in names:
            if name is not None and node.children[0].type == "local":
                self.localize(_text(name))
            elif name is not None and node.children[0].type == "export":
                self.exported.add(_text(name))
        self._assign_all(assigned)
        if node.children[0].type == "readonly":
            self._readonly |= {_text(name) for name in names if name is not None}
        return 0

    def _walk_unset_command(self, node: Node) -> int:
        for child in node.named_children:
            if child.type != "variable_name" or _text(child) in self._readonly:
                raise self.unknown(_text(node)[:80], "what it takes away is not known here")
            self.variables.pop(_text(child), None)
        return 0

    def _walk_test_command(self, node: Node) -> int:
        if node.children[0].type != "[":
            raise self.unknown(_text(node)[:80], "a test of a kind that is not known here")
        words = [word for child in node.children[1:-1] for word in self._test_words(child)]
        return self._failed(self.call(["test", *words], _text(node)), node)

    def _test_words(self, node: Node) -> Iterator[str]:
        if node.type in ("binary_expression", "unary_expression", "parenthesized_expression"):
            for child in node.children:
                yield from self._test_words(child)
        elif node.is_named and node.type != "test_operator":
            yield from self.words(node)
        else:
            yield _text(node)

    def _walk_file_redirect(self, node: Node) -> int:
        with self._redirected([node]):
            return 0

    def _walk_redirected_statement(self, node: Node) -> int:
        body = node.child_by_field_name("body")
        redirects = [child for child in node.children if child != body]
        if body is None:
            with self._redirected(redirects):
                return 0
        if body.type == "list":
            # It belongs to the last command, though it is parsed as that of all.
            first, operator, last = (child for child in body.children if child.type not in _GOES_ON)
            with self._guard():
                status = self._status = self._one(first)
            if (operator.type == "&&") != (status == 0):
                return status
            body = last
        with self._redirected(redirects):
            return self._one(body)

    @contextlib.contextmanager
    def _redirected(self, redirects: Sequence[Node]) -> Iterator[None]:
        """What is read and written while redirections hold; what goes to the error output is nobody's."""
        before, target = self._stdin, ""
        fed = caught = appended = False
        for each in redirects:
            if each.type == "heredoc_redirect":
                fed = True
                self._stdin, more = self._here(each)
                kind, number, word = self._redirection(more) if more is not None else ("<<", "", "")
            else:
                kind, number, word = self._redirection(each)
            fed = fed or kind in ("<", "<<")
            if kind == "<":
                self._stdin = self._file(word)
            elif kind in (">", ">|", ">>") and number in ("", "1"):
                if caught:
                    raise self.unknown(_text(each), "it writes to several places")
                caught, target, appended = True, word, kind == ">>"
            elif (kind == ">&" and word == "2" and number in ("", "1")) or kind == "&>":
                caught, target = True, "/dev/null"
        if caught:
            self._output.append([])
        try:
            yield
        finally:
            # Without a redirection of its own a command takes lines from what others read, too.
            self._stdin = before if fed else self._stdin
            if caught:
                written = "".join(self._output.pop())
        if caught and target != "/dev/null":
            self._write(target, written, appended=appended)

    def _here(self, node: Node) -> tuple[str, Node | None]:
        """The text of a here-document, and the redirection that may stand behind its beginning."""
        parts = {child.type: child for child in node.children}
        start, body = parts.pop("heredoc_start", None), parts.pop("heredoc_body", None)
        more = parts.pop("file_redirect", None)
        if start is None or body is None or parts.keys() != {"<<", "heredoc_end"}:
            raise self.unknown(_text(node)[:80], "a here-document of a kind that is not known here")
        # The parser leaves out blanks and empty lines that the text begins with.
        self.spend(node.end_byte - node.start_byte)
        data, begin = node.text or b"", max(each.end_byte for each in (start, more) if each is not None)
        lead = data[begin - node.start_byte : body.start_byte - node.start_byte].partition(b"\n")[2].decode()
        quoted = _text(start)[:1] in ("'", '"', "\\")
        return lead + (_text(body) if quoted else shellwords.here(self, body)), more

    def _redirection(self, node: Node) -> tuple[str, str, str]:
        if node.type != "file_redirect":
            raise self.unknown(_text(node)[:80], f"{node.type.replace('_', ' ')} is not known here")
        number = next((_text(child) for child in node.children if child.type == "file_descriptor"), "")
        kind = next(child.type for child in node.children if not child.is_named)
        target = node.children[-1]
        word = self.text(target)
        known = kind in ("<", ">", ">>", ">|", ">&", "&>") and (kind != ">&" or word in ("1", "2"))
        to_nobody = word == "/dev/null" or kind == ">&"
        usual = number == "" or number == ("0" if kind == "<" else "1")
        if not known or not (usual or to_nobody) or (kind == "&>" and not to_nobody):
            raise self.unknown(_text(node), "a redirection of a kind that is not known here")
        return kind, number, word

    def _file(self, path: str) -> str:
        if path == "/dev/null":
            return ""
        try:
            return self.tree.read(path)
        except (Unwritable, UnsafePath) as error:
            raise self.unknown(f"< {path}", str(error)) from error

    def _write(self, path: str, text: str, *, appended: bool) -> None:
        try:
            before = self.tree.read(path) if appended and self.tree.has(path) else ""
            self.tree.write(path, before + text)
        except (Unwritable, UnsafePath) as error:
            raise self.unknown(f"> {path}", str(error)) from error

    # Words.

    def words(self, node: Node) -> list[str]:
        """What a word is expanded to: several words, or none, where it is not quoted."""
        return shellwords.words(self, node)

    def text(self, node: Node) -> str:
        """What a word is expanded to where it is not split: on the right of an assignment."""
        return shellwords.joined(self, node)

    def pattern(self, node: Node) -> str:
        """A word as a pattern, in which what was quoted stands for itself."""
        return shellwords.pattern(self, node)

    def substituted(self, nodes: Sequence[Node]) -> str:
        """What commands write, without the newlines at the end."""
        self._output.append([])
        # Dash ends a substitution at what fails in it, wherever that is.
        guarded, self._guarded = self._guarded, 0
        try:
            with self._deeper():
                self._status = self._apart(nodes)
        finally:
            self._guarded = guarded
            written = "".join(self._output.pop())
        return written.rstrip("\n")

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
            return str(len(self.arguments) if name == "#" else self._status)
        if name in ("$", "!", "-", "@", "_"):
            raise self.unknown(f"${name}", "its value is not known")
        found = self.variables.get(name)
        if found is None and "u" in self._options:
            raise self.unknown(f"${name}", "it is not set, and the script would end there")
        return found


def _named(assignments: Sequence[Node]) -> set[str]:
    names = (each.child_by_field_name("name") for each in assignments)
    return {_text(name) for name in names if name is not None}


def _parsed(data: bytes) -> Node | None:
    """The tree of a script; None for one that is none, or that the parser looks at again and again."""
    language, reads = Language(tree_sitter_bash.language()), 0

    def read(at: int, point: object) -> bytes:
        nonlocal reads
        reads += 1
        return data[at : at + _PIECE] if reads <= MAX_READS else b""

    # Of text that is not all there at once the parser has no more than its tree.
    tried = Parser(language).parse(read)
    if reads > MAX_READS or tried.root_node.has_error:
        return None
    return Parser(language).parse(data).root_node


def _lost(root: Node, data: bytes) -> bool:
    """Whether any of a script is in no node: then it was not understood, though it was parsed."""
    at, todo = 0, [root]
    while todo:
        node = todo.pop()
        if node.children and node.type != "heredoc_body":
            todo += reversed(node.children)
        elif node.end_byte > node.start_byte:
            if data[at : node.start_byte].replace(b"\\\n", b"").strip():
                return True
            at = node.end_byte
    return bool(data[at:].strip())


def _has_line(data: bytes, start: int, one: Node, other: Node) -> bool:
    """Whether a line ends between two parts of a node that begins at ``start`` and has the text ``data``."""
    return re.search(rb"(?<!\\)\n", data[one.end_byte - start : other.start_byte - start]) is not None


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "surrogateescape")
