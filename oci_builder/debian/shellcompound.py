"""Compound commands of a shell (POSIX.1-2017, 2.9.2 to 2.9.5): lists, pipelines, branches, loops, functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from oci_builder.debian import shellwords
from oci_builder.debian.shellparser import text_of
from oci_builder.debian.shellstate import GOES_ON, Leaving, ShellState, Statement

if TYPE_CHECKING:
    from tree_sitter import Node

_OWN = frozenset(
    (
        *("break", ":", "continue", ".", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift"),
        *("times", "trap", "unset", "alias", "bg", "cd", "command", "false", "fc", "fg", "getopts", "hash", "jobs"),
        *("kill", "local", "newgrp", "printf", "echo", "pwd", "read", "test", "[", "true", "type", "ulimit", "umask"),
        *("unalias", "wait", "builtin", "declare", "typeset", "let", "source", "shopt", "enable", "mapfile"),
        "readarray",
    )
)
"""Commands of shells themselves: which of them a function of that name goes before, they do not agree about."""


def _list(shell: ShellState, node: Node) -> int:
    # Lists are parsed as nested to the left; the shell goes from left to right, too.
    first, operator, last = (child for child in node.children if child.type not in GOES_ON)
    with shell.guard():
        status = shell.visit(first)
    shell.status = status
    if (operator.type == "&&") == (status == 0):
        return shell.visit(last)
    return status


def _pipeline(shell: ShellState, node: Node) -> int:
    status, before = 0, shell.stdin
    stages = [child for child in node.children if child.is_named and child.type != "comment"]
    if any(child.type == "|&" for child in node.children):
        raise shell.unknown(text_of(node)[:80], "|& is not known here")
    try:
        for number, stage in enumerate(stages):
            # Each stage is a shell of its own.
            if number == len(stages) - 1:
                status = shell.apart([stage])
            else:
                with shell.guard():
                    shell.stdin = _written_by(shell, stage)
    finally:
        shell.stdin = before
    return status


def _written_by(shell: ShellState, node: Node) -> str:
    shell.outputs.append([])
    try:
        shell.status = shell.apart([node])
    finally:
        written = "".join(shell.outputs.pop())
    return written


def _negated_command(shell: ShellState, node: Node) -> int:
    with shell.guard():
        return int(shell.visit(node.named_children[-1]) == 0)


def _compound_statement(shell: ShellState, node: Node) -> int:
    return shell.visit_all(node.named_children)


def _subshell(shell: ShellState, node: Node) -> int:
    return shell.apart(node.named_children)


def _function_definition(shell: ShellState, node: Node) -> int:
    name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    if name is None or body is None:
        raise shell.unknown(text_of(node)[:80], "a function without a body")
    if text_of(name) in _OWN:
        raise shell.unknown(text_of(node)[:80], "a function in the place of a command of the shell's own")
    shell.functions[text_of(name)] = body
    return 0


def _if_statement(shell: ShellState, node: Node) -> int:
    shell.spend(node.child_count)
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
    with shell.guard():
        status = shell.visit_all(condition)
    if status == 0:
        return _body(shell, body)
    for other in others:
        if other.type == "else_clause":
            return _body(shell, other.children[1:])
        taken = _elif(shell, other)
        if taken is not None:
            return taken
    return 0


def _elif(shell: ShellState, node: Node) -> int | None:
    then = next(number for number, child in enumerate(node.children) if child.type == "then")
    with shell.guard():
        status = shell.visit_all(node.children[1:then])
    return _body(shell, node.children[then + 1 :]) if status == 0 else None


def _body(shell: ShellState, nodes: Sequence[Node]) -> int:
    shell.status = 0
    return shell.visit_all(nodes)


def _case_statement(shell: ShellState, node: Node) -> int:
    value = node.child_by_field_name("value")
    text = shellwords.joined(shell, value) if value is not None else ""
    for item in node.named_children:
        if item.type != "case_item":
            continue
        patterns = item.children_by_field_name("value")
        if any(shell.fits(text, shellwords.pattern(shell, each)) for each in patterns):
            closing = next(number for number, child in enumerate(item.children) if child.type == ")")
            return _body(shell, item.children[closing + 1 :])
    return 0


def _for_statement(shell: ShellState, node: Node) -> int:
    variable, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
    if variable is None or body is None:
        raise shell.unknown(text_of(node)[:80], "a loop without a body")
    if any(child.type == "in" for child in node.children):
        words = [word for each in node.children_by_field_name("value") for word in shellwords.words(shell, each)]
    else:
        words = list(shell.arguments)
    shell.spend(len(words))
    status = 0
    for word in words:
        shell.assign(text_of(variable), word)
        ends, status = _turn(shell, body)
        if ends:
            break
    return status


def _while_statement(shell: ShellState, node: Node) -> int:
    ending = node.children[0].type == "until"
    body = node.child_by_field_name("body")
    if body is None:
        raise shell.unknown(text_of(node)[:80], "a loop without a body")
    conditions = [child for child in node.children[1:] if child != body]
    status = 0
    while True:
        with shell.deeper(), shell.guard():
            going_on = (shell.visit_all(conditions) == 0) != ending
        if not going_on:
            return status
        ends, status = _turn(shell, body)
        if ends:
            return status


def _turn(shell: ShellState, body: Node) -> tuple[bool, int]:
    """One turn of a loop: whether it is the last, and its status."""
    shell.loops += 1
    try:
        with shell.deeper():
            return False, _body(shell, body.named_children)
    except Leaving as leaving:
        if leaving.kind not in ("break", "continue"):
            raise
        if leaving.number > 1:
            raise Leaving(leaving.kind, leaving.number - 1) from None
        return leaving.kind == "break", 0
    finally:
        shell.loops -= 1


COMPOUND: Mapping[str, Statement] = {
    "case_statement": _case_statement,
    "compound_statement": _compound_statement,
    "for_statement": _for_statement,
    "function_definition": _function_definition,
    "if_statement": _if_statement,
    "list": _list,
    "negated_command": _negated_command,
    "pipeline": _pipeline,
    "subshell": _subshell,
    "while_statement": _while_statement,
}
"""What goes through them, by the type of the node."""
