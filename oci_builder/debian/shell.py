"""Maintainer scripts walked over a tree, in place of being run: the shell's own part (POSIX.1-2017, chapter 2).

What a script does is known when each command that is reached is known, and each of its arguments. The first one that is
not ends the walk, with its line. Nothing is executed; the time is bounded by counting steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oci_builder.debian import shelltest
from oci_builder.debian.scripttree import ScriptTree, Unwritable
from oci_builder.debian.shellcompound import COMPOUND
from oci_builder.debian.shellparser import parsed, text_of
from oci_builder.debian.shellredirects import REDIRECTED
from oci_builder.debian.shellsimple import SIMPLE
from oci_builder.debian.shellstate import GOES_ON, SEARCHED, Leaving, NotKnown, ShellState, Statement
from oci_builder.errors import UnsafePath

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["IS_SHELL", "SEARCHED", "Call", "Command", "NotKnown", "Shell"]

MAX_SCRIPT = 256 << 10
"""Bytes of one script; Debian's longest have 40,000."""

_LIBRARIES = (
    r"\A/usr/lib/[a-z0-9_]+-linux-gnu[a-z0-9]*/(?:glib-2\.0|gdk-pixbuf-2\.0|libgtk-3-0|libgtk2\.0-0)/(?=[^/]+\Z)"
)
_USUAL = re.compile(rf"\A(?:/usr)?/s?bin/(?=[^/]+\Z)|{_LIBRARIES}")
"""Where a program lies that is known by its name; elsewhere it may be another of that name."""

IS_SHELL = re.compile(r"#! ?(?:/usr)?/bin/(?:sh|dash|bash)(?: -e| -u| -eu)?[ \t]*\n")
"""How a script of a shell begins."""

_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_MASK = 0o022

_STATEMENTS: Mapping[str, Statement] = {**SIMPLE, **COMPOUND, **REDIRECTED}


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

    @property
    def is_heard(self) -> bool:
        """Whether anything of the script reads what the command says."""
        return self.shell.is_heard

    def unknown(self, why: str) -> NotKnown:
        """What to raise where an argument is not known of."""
        return NotKnown(self.shell.line, " ".join([self.name, *self.arguments])[:120], why)


Command = Callable[[Call], int]


class Shell(ShellState):
    """A shell that goes through a script. ``commands`` are all that are known."""

    def __init__(
        self,
        tree: ScriptTree,
        commands: Mapping[str, Command],
        variables: dict[str, str],
        arguments: Sequence[str] = (),
    ) -> None:
        super().__init__(tree, variables, list(arguments))
        self.commands = commands

    def run(self, text: str) -> int:
        """The status that a script ends with. Raises NotKnown."""
        self.tree.mask, self.tree.cwd = _MASK, "/"
        try:
            return self._ended(text)
        except RecursionError:
            raise NotKnown(self.line, "", "it is nested too deep") from None

    def _ended(self, text: str) -> int:
        """The status of a script, after what it traps of its end."""
        head = text.partition("\n")[0] if text.startswith("#!") else ""
        self.is_bash = "/bash" in head
        self.options |= set(head.split()[-1][1:]) & set("eu") if re.search(r" -[a-z]+\s*\Z", head) else set()
        try:
            status = self.source(text)
        except Leaving as leaving:
            status = leaving.number if leaving.kind in ("exit", "return") else self.status
        action, self.at_exit, self.status = self.at_exit, "", status
        if action:
            try:
                self.source(action)
            except Leaving as leaving:
                status = leaving.number
        return status

    def script(self, text: str, arguments: list[str], zero: str) -> int:
        """The status of a script that this one starts, a shell of its own with the variables that are exported."""
        kept, guarded, is_bash = self.kept(), self.guarded, self.is_bash
        self.variables = {k: v for k, v in self.variables.items() if k in self.exported or ":" in k}
        self.arguments, self.options, self.functions = arguments, set(), {}
        self.scopes, self.at_exit, self.guarded, self.loops = [], "", 0, 0
        self.variables["0"] = zero
        self.apartness += 1
        try:
            with self.deeper():
                return self._ended(text)
        finally:
            # Answers of debconf's and triggers are everybody's.
            shared = {k: v for k, v in self.variables.items() if ":" in k}
            self.restore(kept)
            self.variables |= shared
            self.guarded, self.is_bash = guarded, is_bash
            self.apartness -= 1

    def source(self, text: str, *, ending: bool = False) -> int:
        """Walk ``text`` here, as ``eval`` does; with ``ending`` as ``.`` does, until it returns. Raises NotKnown."""
        data = text.encode("utf-8", "surrogateescape")
        if len(data) > MAX_SCRIPT:
            raise NotKnown(0, "", f"it has more than {MAX_SCRIPT} bytes")
        if _CONTROL.search(data):
            raise NotKnown(0, "", "it has letters that are no text")
        self.spend(len(data))
        root = parsed(data)
        if root is None:
            raise NotKnown(0, "", "it is in no syntax of a shell that is known here")
        try:
            return self.visit_all(root.children)
        except Leaving as leaving:
            if not ending or leaving.kind != "return":
                raise
            return leaving.number

    def visit_all(self, nodes: Sequence[Node]) -> int:
        """The status of the last of several statements. Raises NotKnown."""
        self.spend(len(nodes))
        for node in nodes:
            if node.type not in GOES_ON:
                self.status = self.visit(node)
        return self.status

    def visit(self, node: Node) -> int:
        """The status of one statement. Raises NotKnown."""
        self.line = node.start_point[0] + 1
        statement = _STATEMENTS.get(node.type)
        if statement is None:
            raise self.unknown(text_of(node)[:80], f"{node.type.replace('_', ' ')} is not known here")
        with self.deeper():
            return statement(self, node)

    def apart(self, nodes: Sequence[Node]) -> int:
        """The status of a subshell."""
        kept, self.at_exit = self.kept(), ""
        self.apartness += 1
        self.loops = 0
        try:
            status = self.visit_all(nodes)
        except Leaving as leaving:
            if leaving.kind not in ("exit", "return"):
                raise
            status = leaving.number
        finally:
            trapped = self.at_exit
            self.restore(kept)
            self.apartness -= 1
        if trapped:
            raise self.unknown("trap", "what a subshell traps is not known here")
        return status

    def call(self, words: Sequence[str], text: str = "", *, functions: bool = True) -> int:
        """The status of a command, which a function may be. Raises NotKnown where it is not known."""
        name, *arguments = words
        function = self.functions.get(name) if functions else None
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
            return command(Call(self, name, arguments, self.stdin))
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
        loops, self.loops = self.loops, 0
        self.scopes.append({})
        try:
            return self.visit(body)
        except Leaving as leaving:
            if leaving.kind != "return":
                raise
            return leaving.number
        finally:
            self.arguments, self.loops = before, loops
            self.unassign(self.scopes.pop())

    def substituted(self, nodes: Sequence[Node]) -> str:
        """What commands write, without the newlines at the end."""
        self.outputs.append([])
        # Dash ends a substitution at what fails in it, wherever that is.
        guarded, self.guarded = self.guarded, 0
        try:
            with self.deeper():
                self.status = self.apart(nodes)
        finally:
            self.guarded = guarded
            written = "".join(self.outputs.pop())
        return written.rstrip("\n")
