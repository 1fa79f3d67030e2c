"""Redirections of a shell (POSIX.1-2017, 2.7): files of the tree that are read and written, and here-documents."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from oci_builder.debian import shellwords
from oci_builder.debian.scripttree import Unwritable
from oci_builder.debian.shellparser import text_of
from oci_builder.debian.shellstate import GOES_ON, ShellState, Statement
from oci_builder.errors import UnsafePath

if TYPE_CHECKING:
    from tree_sitter import Node


def _file_redirect(shell: ShellState, node: Node) -> int:
    with redirected(shell, [node]):
        return 0


def _redirected_statement(shell: ShellState, node: Node) -> int:
    body = node.child_by_field_name("body")
    redirects = [child for child in node.children if child != body]
    if body is None:
        with redirected(shell, redirects):
            return 0
    if body.type == "list":
        # It belongs to the last command, though it is parsed as that of all.
        first, operator, last = (child for child in body.children if child.type not in GOES_ON)
        with shell.guard():
            status = shell.status = shell.visit(first)
        if (operator.type == "&&") != (status == 0):
            return status
        body = last
    with redirected(shell, redirects):
        return shell.visit(body)


@contextlib.contextmanager
def redirected(shell: ShellState, redirects: Sequence[Node]) -> Iterator[None]:
    """What is read and written while redirections hold; what goes to the error output is nobody's."""
    before, target = shell.stdin, ""
    fed = caught = appended = False
    for each in redirects:
        if each.type == "heredoc_redirect":
            fed = True
            shell.stdin, more = _here(shell, each)
            kind, number, word = _redirection(shell, more) if more is not None else ("<<", "", "")
        else:
            kind, number, word = _redirection(shell, each)
        fed = fed or kind in ("<", "<<")
        if kind == "<":
            shell.stdin = _file(shell, word)
        elif kind in (">", ">|", ">>") and number in ("", "1"):
            if caught:
                raise shell.unknown(text_of(each), "it writes to several places")
            if kind == ">" and "C" in shell.options and word != "/dev/null" and shell.tree.has(word):
                raise shell.unknown(text_of(each), "it would not write over a file")
            caught, target, appended = True, word, kind == ">>"
        elif (kind == ">&" and word == "2" and number in ("", "1")) or kind == "&>":
            caught, target = True, "/dev/null"
    if caught:
        shell.outputs.append(shell.nobody if target == "/dev/null" else [])
    try:
        yield
    finally:
        # Without a redirection of its own a command takes lines from what others read, too.
        shell.stdin = before if fed else shell.stdin
        if caught:
            written = "".join(shell.outputs.pop())
            shell.nobody.clear()
    if caught and target != "/dev/null":
        _write(shell, target, written, appended=appended)


def _here(shell: ShellState, node: Node) -> tuple[str, Node | None]:
    """The text of a here-document, and the redirection that may stand behind its beginning."""
    parts = {child.type: child for child in node.children}
    start, body = parts.pop("heredoc_start", None), parts.pop("heredoc_body", None)
    more = parts.pop("file_redirect", None)
    if start is None or body is None or parts.keys() != {"<<", "heredoc_end"}:
        raise shell.unknown(text_of(node)[:80], "a here-document of a kind that is not known here")
    # The parser leaves out blanks and empty lines that the text begins with.
    shell.spend(node.end_byte - node.start_byte)
    data, begin = node.text or b"", max(each.end_byte for each in (start, more) if each is not None)
    lead = data[begin - node.start_byte : body.start_byte - node.start_byte].partition(b"\n")[2].decode()
    quoted = text_of(start)[:1] in ("'", '"', "\\")
    return lead + (text_of(body) if quoted else shellwords.here(shell, body)), more


def _redirection(shell: ShellState, node: Node) -> tuple[str, str, str]:
    if node.type != "file_redirect":
        raise shell.unknown(text_of(node)[:80], f"{node.type.replace('_', ' ')} is not known here")
    number = next((text_of(child) for child in node.children if child.type == "file_descriptor"), "")
    kind = next(child.type for child in node.children if not child.is_named)
    target = node.children[-1]
    word = shellwords.joined(shell, target)
    known = kind in ("<", ">", ">>", ">|", ">&", "&>") and (kind != ">&" or word in ("1", "2"))
    to_nobody = word == "/dev/null" or kind == ">&"
    usual = number == "" or number == ("0" if kind == "<" else "1")
    if not known or not (usual or to_nobody) or (kind == "&>" and not to_nobody):
        raise shell.unknown(text_of(node), "a redirection of a kind that is not known here")
    return kind, number, word


def _file(shell: ShellState, path: str) -> str:
    if path == "/dev/null":
        return ""
    try:
        return shell.tree.read(path)
    except (Unwritable, UnsafePath) as error:
        raise shell.unknown(f"< {path}", str(error)) from error


def _write(shell: ShellState, path: str, text: str, *, appended: bool) -> None:
    try:
        before = shell.tree.read(path) if appended and shell.tree.has(path) else ""
        shell.tree.write(path, before + text)
    except (Unwritable, UnsafePath) as error:
        raise shell.unknown(f"> {path}", str(error)) from error


REDIRECTED: Mapping[str, Statement] = {
    "file_redirect": _file_redirect,
    "redirected_statement": _redirected_statement,
}
"""What goes through them, by the type of the node."""
