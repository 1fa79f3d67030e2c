"""Simple commands of a shell (POSIX.1-2017, 2.9.1): assignments, words, redirections, and what is called by them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from oci_builder.debian import shellwords
from oci_builder.debian.shellparser import ends_line, parsed_word, text_of
from oci_builder.debian.shellredirects import redirected
from oci_builder.debian.shellstate import ShellState, Statement

if TYPE_CHECKING:
    from tree_sitter import Node

_HOLDING = frozenset((":", ".", "eval", "exec", "export", "readonly", "set", "shift", "trap", "unset", "times"))
"""Before these an assignment holds on (POSIX.1-2017, 2.14)."""


def _command(shell: ShellState, node: Node) -> int:
    named = node.child_by_field_name("name")
    assigned = [child for child in node.named_children if child.type == "variable_assignment"]
    if named is None:
        return _assign_all(shell, assigned)
    if assigned and ends_line(node.text or b"", node.start_byte, assigned[-1], named):
        # The parser takes "a=1 b=2", a newline and a command for one.
        shell.failed(_assign_all(shell, assigned), node)
        assigned = []
    parts = [child for child in node.children if child.type not in ("variable_assignment", "file_redirect")]
    data = node.text or b""
    shell.spend(len(data))
    if any(ends_line(data, node.start_byte, one, other) for one, other in pairwise(parts)):
        raise shell.unknown(text_of(node)[:80], "where the command ends is not clear")
    redirects = [child for child in node.children if child.type == "file_redirect"]
    words = _words_of(shell, parts)
    if not words:
        if redirects or assigned:
            raise shell.unknown(text_of(node)[:80], "its command is none")
        # The status of a substitution stays, of a variable there is none.
        return shell.failed(shell.status if b"`" in data or b"$(" in data else 0, node)
    names = _named(assigned)
    before, exported = {name: shell.variables.get(name) for name in names}, names - shell.exported
    _assign_all(shell, assigned)
    try:
        shell.exported |= names
        with redirected(shell, redirects):
            return shell.failed(shell.call(words, text_of(node)), node)
    finally:
        if words[0] not in _HOLDING:
            shell.unassign(before)
            shell.exported -= exported


def _words_of(shell: ShellState, parts: Sequence[Node]) -> list[str]:
    """The words of a command. ``a/$2`` before a line that goes on is parsed as two, which is put right."""
    words: list[str] = []
    at = 0
    while at < len(parts):
        last = at
        while last + 1 < len(parts) and parts[last].end_byte == parts[last + 1].start_byte:
            last += 1
        if last == at:
            words += shellwords.words(shell, parts[at])
        else:
            words += _one_word(shell, b"".join(part.text or b"" for part in parts[at : last + 1]))
        at = last + 1
    return words


def _one_word(shell: ShellState, text: bytes) -> list[str]:
    """What a word is expanded to that was parsed as several."""
    last = re.fullmatch(rb"(.*[^$\\])(?:\$([0-9A-Za-z_]+))", text, re.DOTALL)
    if last is not None and not re.search(rb"[\"'`{(]", text):
        words = _one_word(shell, last[1]) if b"$" in last[1] else [last[1].decode("utf-8", "surrogateescape")]
        value = shell.parameter(last[2].decode()) or ""
        if len(words) == 1 and not re.search(r"[\s*?\[]", value):
            return [words[0] + value]
    plain = re.fullmatch(rb"(.*?\$[0-9A-Za-z_]+)([^$0-9A-Za-z_\\\"'`{}()*?\[~]*)", text, re.DOTALL)
    if plain is not None and plain[2] and not re.search(rb"[\"'`{(\\]", text):
        words = _one_word(shell, plain[1]) if plain[1] != text else []
        if len(words) == 1:
            return [words[0] + plain[2].decode("utf-8", "surrogateescape")]
    word = parsed_word(text)
    if word is None:
        raise shell.unknown(text.decode("utf-8", "replace")[:80], "where a word ends is not clear")
    return shellwords.words(shell, word)


def _variable_assignments(shell: ShellState, node: Node) -> int:
    return shell.failed(_assign_all(shell, node.named_children), node)


def _variable_assignment(shell: ShellState, node: Node) -> int:
    return shell.failed(_assign_all(shell, [node]), node)


def _assign_all(shell: ShellState, nodes: Sequence[Node]) -> int:
    shell.status = 0
    for node in nodes:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None or name.type != "variable_name" or any(child.type == "+=" for child in node.children):
            raise shell.unknown(text_of(node)[:80], "an assignment of a kind that is not known here")
        shell.assign(text_of(name), shellwords.joined(shell, value) if value is not None else "")
    return shell.status


def _declaration_command(shell: ShellState, node: Node) -> int:
    if node.children[0].type not in ("export", "local", "readonly"):
        raise shell.unknown(text_of(node)[:80], "a declaration of a kind that is not known here")
    assigned = [child for child in node.named_children if child.type == "variable_assignment"]
    names = [each.child_by_field_name("name") for each in assigned]
    names += [child for child in node.named_children if child.type == "variable_name"]
    flags = [text_of(child) for child in node.named_children if child.type == "word"]
    if len(names) + len(flags) != len(node.named_children) or (flags and (flags != ["-r"] or not shell.is_bash)):
        raise shell.unknown(text_of(node)[:80], "a declaration of a kind that is not known here")
    for name in names:
        if name is not None and node.children[0].type == "local":
            shell.localize(text_of(name))
        elif name is not None and node.children[0].type == "export":
            shell.exported.add(text_of(name))
    _assign_all(shell, assigned)
    if node.children[0].type == "readonly":
        shell.readonly |= {text_of(name) for name in names if name is not None}
    return 0


def _unset_command(shell: ShellState, node: Node) -> int:
    for child in node.named_children:
        if child.type != "variable_name" or text_of(child) in shell.readonly:
            raise shell.unknown(text_of(node)[:80], "what it takes away is not known here")
        shell.variables.pop(text_of(child), None)
    return 0


def _test_command(shell: ShellState, node: Node) -> int:
    if node.children[0].type != "[":
        raise shell.unknown(text_of(node)[:80], "a test of a kind that is not known here")
    words = [word for child in node.children[1:-1] for word in _test_words(shell, child)]
    return shell.failed(shell.call(["test", *words], text_of(node)), node)


def _test_words(shell: ShellState, node: Node) -> Iterator[str]:
    if node.type in ("binary_expression", "unary_expression", "parenthesized_expression"):
        for child in node.children:
            yield from _test_words(shell, child)
    elif node.is_named and node.type != "test_operator":
        yield from shellwords.words(shell, node)
    else:
        yield text_of(node)


def _named(assignments: Sequence[Node]) -> set[str]:
    names = (each.child_by_field_name("name") for each in assignments)
    return {text_of(name) for name in names if name is not None}


SIMPLE: Mapping[str, Statement] = {
    "command": _command,
    "declaration_command": _declaration_command,
    "test_command": _test_command,
    "unset_command": _unset_command,
    "variable_assignment": _variable_assignment,
    "variable_assignments": _variable_assignments,
}
"""What goes through them, by the type of the node."""
