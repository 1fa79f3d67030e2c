"""Words of a shell and what they are expanded to (POSIX.1-2017, 2.6): parameters, substitutions, fields, paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from oci_builder.debian import arithmetic, shelltest
from oci_builder.debian.scripttree import Unwritable
from oci_builder.debian.shellparser import text_of
from oci_builder.debian.shellstate import ShellState

if TYPE_CHECKING:
    from tree_sitter import Node

_SPECIAL = re.compile(r"[*?\[\]\\]")
_ESCAPED = re.compile(r"\\(\n|.)", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r'\\(["$`\\\n])')
_LITERAL = frozenset(("word", "number", "variable_name", "special_variable_name", "extglob_pattern", "regex"))
_CLASS = re.compile(r"\[[!^]?[^\]]*\[[:.=]|\[\^(?!\])")
"""What shells and ``fnmatch`` read differently between brackets."""

_MAX_TRIMMED = 10_000
"""Letters of a value that a pattern may take something off."""

_MAX_SEPARATORS = 10
"""Letters of IFS."""


class _Kind(Enum):
    LITERAL = "as it is written, and a pattern"
    QUOTED = "as it is written"
    EXPANDED = "split into words"
    BREAK = "the end of a word"


_Piece = tuple[_Kind, str]


def words(shell: ShellState, node: Node) -> list[str]:
    """The words that ``node`` is: expanded, split where it is not quoted, and the paths that patterns stand for."""
    fields: list[list[_Piece]] = [[]]
    shell.spend(node.end_byte - node.start_byte)
    for kind, text in _pieces(shell, node):
        if kind is _Kind.BREAK:
            fields.append([])
        elif kind is _Kind.EXPANDED:
            _split(shell, text, fields)
        else:
            fields[-1].append((kind, text))
    return [word for each in fields if each for word in _paths(shell, each)]


def joined(shell: ShellState, node: Node) -> str:
    """What ``node`` is where nothing is split."""
    shell.spend(node.end_byte - node.start_byte)
    return "".join(" " if kind is _Kind.BREAK else text for kind, text in _pieces(shell, node))


def pattern(shell: ShellState, node: Node) -> str:
    """What ``node`` is as a pattern; what is quoted in it stands for itself."""
    shell.spend(node.end_byte - node.start_byte)
    form = _pattern(list(_pieces(shell, node)))
    if _CLASS.search(form):
        raise shell.unknown(form[:80], "a pattern of a kind that is not known here")
    return form


def is_plain(form: str) -> bool:
    """Whether a pattern is one that shells, ``find`` and ``fnmatch`` read alike."""
    return not _CLASS.search(form) and "\\" not in form


def _pattern(pieces: Sequence[_Piece]) -> str:
    return "".join(shelltest.literal(text) if kind is _Kind.QUOTED else text for kind, text in pieces)


def _split(shell: ShellState, text: str, fields: list[list[_Piece]]) -> None:
    shell.spend(len(text))
    letters = shell.variables.get("IFS", " \t\n")
    if len(letters) > _MAX_SEPARATORS:
        raise shell.unknown(text[:80], "it is split at more letters than are known here")
    if letters and letters.strip(" \t\n") and letters.strip(" \t\n") != letters:
        raise shell.unknown(text[:80], "it is split at blanks and at other letters, which is not known here")
    if not letters:
        fields[-1].append((_Kind.LITERAL, text))
        return
    parts = re.split(f"[{re.escape(letters)}]+" if letters.isspace() else f"[{re.escape(letters)}]", text)
    if not letters.isspace() and len(parts) > 1 and not parts[-1]:
        # What ends with a separator has no empty word after it.
        parts.pop()
    for number, part in enumerate(parts):
        if number:
            fields.append([])
        if part or (not letters.isspace() and len(parts) > 1):
            fields[-1].append((_Kind.LITERAL, part))


def _paths(shell: ShellState, field: Sequence[_Piece]) -> list[str]:
    plain = "".join(text for _, text in field)
    if "f" in shell.options or not any(kind is _Kind.LITERAL and re.search(r"[*?\[]", text) for kind, text in field):
        return [plain]
    shell.spend(len(shell.tree))
    try:
        return shell.tree.matching(_pattern(field)) or [plain]
    except Unwritable as error:
        raise shell.unknown(plain[:80], str(error)) from error


def _pieces(shell: ShellState, node: Node) -> Iterator[_Piece]:
    text = text_of(node)
    if node.type in _LITERAL:
        if text.startswith("~"):
            raise shell.unknown(text[:80], "whose home it is is not known")
        yield from _unescaped(text)
    elif node.type == "raw_string":
        yield _Kind.QUOTED, text[1:-1]
    elif node.type == "string":
        yield from _quoted(shell, node)
    elif node.type in ("concatenation", "command_name"):
        for child in node.children:
            yield from _pieces(shell, child)
    elif node.type in ("simple_expansion", "expansion", "command_substitution", "arithmetic_expansion"):
        yield from _expanded(shell, node, _Kind.EXPANDED)
    elif not node.is_named:
        yield _Kind.LITERAL, text
    else:
        raise shell.unknown(text[:80], f"{node.type.replace('_', ' ')} is not known here")


def _unescaped(text: str) -> Iterator[_Piece]:
    at = 0
    for match in _ESCAPED.finditer(text):
        if text[at : match.start()]:
            yield _Kind.LITERAL, text[at : match.start()]
        if match[1] != "\n":
            yield _Kind.QUOTED, match[1]
        at = match.end()
    if text[at:]:
        yield _Kind.LITERAL, text[at:]


def _quoted(shell: ShellState, node: Node) -> Iterator[_Piece]:
    """What stands between double quotes; blanks between two expansions are in no node of their own."""
    data, start = node.text or b"", node.start_byte
    if data == b'"$@"' and not shell.arguments:
        return
    at = 1
    yield _Kind.QUOTED, ""
    for child in node.named_children:
        if child.type == "string_content":
            continue
        own = child.text or b""
        begins = child.start_byte - start + len(own) - len(own.lstrip())
        yield _Kind.QUOTED, _plain(data[at:begins])
        yield from _expanded(shell, child, _Kind.QUOTED)
        at = child.end_byte - start
    yield _Kind.QUOTED, _plain(data[at:-1])


def here(shell: ShellState, node: Node) -> str:
    """The text of a here-document: expanded as between double quotes, which themselves mean nothing."""
    data, at, found = node.text or b"", 0, list[str]()
    for child in node.named_children:
        if child.type in ("heredoc_content", "string_content"):
            continue
        own = child.text or b""
        begins = child.start_byte - node.start_byte + len(own) - len(own.lstrip())
        found += (_plain(data[at:begins]), *(text for _, text in _expanded(shell, child, _Kind.QUOTED)))
        at = child.end_byte - node.start_byte
    if b"`" in data.replace(b"\\`", b"") or b'\\"' in data:
        raise shell.unknown("<<", "a here-document with a command, or a quote that is escaped")
    return "".join((*found, _plain(data[at:])))


def _plain(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    return _ESCAPED_IN_QUOTES.sub(lambda match: "" if match[1] == "\n" else match[1], text)


def _expanded(shell: ShellState, node: Node, kind: _Kind) -> Iterator[_Piece]:
    for piece in _values(shell, node, kind):
        # Before anything is joined: a value that is named ten thousand times in one word is that many times its length.
        shell.spend(len(piece[1]) + 1)
        yield piece


def _values(shell: ShellState, node: Node, kind: _Kind) -> Iterator[_Piece]:
    if node.type == "command_substitution":
        yield kind, shell.substituted(node.named_children)
    elif node.type == "simple_expansion":
        name = text_of(node.children[-1])
        if name in ("@", "*") and (name == "@" or kind is _Kind.EXPANDED):
            for number, argument in enumerate(shell.arguments):
                if number:
                    yield _Kind.BREAK, ""
                yield kind, argument
        else:
            yield kind, shell.parameter(name) or ""
    elif node.type == "expansion":
        yield from _parameter(shell, node, kind)
    elif node.type == "arithmetic_expansion" and text_of(node).lstrip().startswith("$(("):
        yield kind, _calculated(shell, node)
    else:
        raise shell.unknown(text_of(node)[:80], f"{node.type.replace('_', ' ')} is not known here")


def _parameter(shell: ShellState, node: Node, kind: _Kind) -> Iterator[_Piece]:
    """``${name}``, ``${#name}``, and with one of the operators of POSIX."""
    inner = node.children[1:-1]
    if inner and inner[0].type == "#" and len(inner) == 2:
        yield kind, str(len(shell.parameter(text_of(inner[1])) or ""))
        return
    if not inner or inner[0].type not in ("variable_name", "special_variable_name"):
        raise shell.unknown(text_of(node)[:80], "an expansion of a kind that is not known here")
    name, rest = text_of(inner[0]), inner[1:]
    if not rest:
        yield kind, shell.parameter(name) or ""
        return
    operator, others = rest[0].type, rest[1:]
    if operator in (":-", "-", ":+", "+"):
        value = shell.parameter(name) if name.isdigit() or name in "#?*" else shell.variables.get(name)
        is_there = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("-") and is_there:
            yield kind, value or ""
        elif operator.endswith("-") or is_there:
            for each in others:
                found = _pieces(shell, each)
                yield from ((_Kind.QUOTED, text) for _, text in found) if kind is _Kind.QUOTED else found
    elif operator in (":=", "="):
        value = shell.variables.get(name)
        if value is None or (operator == ":=" and not value):
            value = "".join(text for each in others for _, text in _pieces(shell, each))
            shell.assign(name, value)
        yield kind, value
    elif operator in (":?", "?") and shell.variables.get(name):
        yield kind, shell.variables[name]
    elif operator in ("#", "##", "%", "%%"):
        form = "".join(pattern(shell, each) for each in others)
        yield kind, _trimmed(shell, shell.parameter(name) or "", operator, form)
    else:
        raise shell.unknown(text_of(node)[:80], "an expansion of a kind that is not known here")


def _calculated(shell: ShellState, node: Node) -> str:
    """``$((...))``, in which words are expanded before anything is reckoned."""
    data, at, text = node.text or b"", 0, ""
    todo = list(node.children)
    found: list[Node] = []
    while todo:
        each = todo.pop()
        if each.type in ("simple_expansion", "expansion", "command_substitution", "arithmetic_expansion"):
            found.append(each)
        else:
            todo += each.children
    for each in sorted(found, key=lambda one: one.start_byte):
        begins = each.start_byte - node.start_byte
        text += data[at:begins].decode() + "".join(piece for _, piece in _expanded(shell, each, _Kind.QUOTED))
        at = each.end_byte - node.start_byte
    text = (text + data[at:].decode()).strip()
    try:
        return str(arithmetic.calculated(text[3:-2], lambda name: shell.parameter(name) or ""))
    except arithmetic.BadArithmetic as error:
        raise shell.unknown(text_of(node)[:80], str(error)) from error


def _trimmed(shell: ShellState, value: str, operator: str, form: str) -> str:
    if len(value) > _MAX_TRIMMED:
        raise shell.unknown(value[:80], f"it has more than {_MAX_TRIMMED} letters")
    # Each length is tried, and where a pattern has stars, each place that one might end at.
    shell.spend(len(form) + len(value) * len(value) * (1 + form.count("*")) // 10)
    lengths = range(len(value) + 1) if len(operator) == 1 else range(len(value), -1, -1)
    for length in lengths:
        if operator[0] == "#" and shelltest.fits(value[:length], form):
            return value[length:]
        if operator[0] == "%" and shelltest.fits(value[len(value) - length :], form):
            return value[: len(value) - length]
    return value
