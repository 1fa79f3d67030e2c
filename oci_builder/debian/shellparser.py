"""Scripts of a shell as trees, by tree-sitter, which is forgiving where a shell is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import tree_sitter_bash
from tree_sitter import Language, Parser

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_READS = 20_000
_PIECE = 256
"""Pieces of so many bytes that the parser may ask for: of a script that is one it asks for each up to four times."""


def parsed(data: bytes) -> Node | None:
    """The tree of a script; None for one that is none, or that the parser looks at again and again."""
    language, reads = Language(tree_sitter_bash.language()), 0

    def read(at: int, point: object) -> bytes:
        nonlocal reads
        reads += 1
        return data[at : at + _PIECE]

    def is_enough(at: int, has_error: bool) -> bool:
        return reads > MAX_READS

    # Of text that is not all there at once the parser has no more than its tree. And a text may not end where it did
    # not before: the parser, come to the middle of a letter, follows a null pointer.
    try:
        tried = Parser(language).parse(read, progress_callback=is_enough)
    except ValueError:
        return None
    if reads > MAX_READS or tried.root_node.has_error:
        return None
    root = Parser(language).parse(data).root_node
    return None if _lost(root, data) else root


def parsed_word(text: bytes) -> Node | None:
    """The tree of a word, where all of ``text`` is one."""
    root = Parser(Language(tree_sitter_bash.language())).parse(b": " + text).root_node
    command = root.named_children[0] if root.named_child_count == 1 and not root.has_error else None
    if command is None or command.type != "command" or command.named_child_count != 2:
        return None
    return command.named_children[1]


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


def ends_line(data: bytes, start: int, one: Node, other: Node) -> bool:
    """Whether a line ends between two parts of a node that begins at ``start`` and has the text ``data``."""
    return re.search(rb"(?<!\\)\n", data[one.end_byte - start : other.start_byte - start]) is not None


def text_of(node: Node) -> str:
    """The text of a node, as it is written."""
    return (node.text or b"").decode("utf-8", "surrogateescape")
