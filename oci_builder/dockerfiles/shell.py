"""The commands of a RUN: what a shell would make of its text, as far as that can be told without one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_ENDS = frozenset({"&&", ";", "||", "&", "\n"})
_WORDS = frozenset(
    {
        *("if", "then", "else", "elif", "fi", "for", "do", "done", "while", "until", "case", "esac", "{", "}"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command: its ``words``, ``variables`` before it, files it writes to (``>``), and whether it feeds another."""

    words: tuple[str, ...]
    variables: tuple[str, ...] = ()
    output: str = ""
    is_piped: bool = False
    is_plain: bool = True
    """Whether it is read as it would be run: no substitution, no loop, nothing that is read from elsewhere."""

    def __str__(self) -> str:
        return shlex.join((*self.variables, *self.words)) + (f" > {self.output}" if self.output else "")


def commands(text: str) -> list[Command]:
    """The commands of ``text`` in their order. One that cannot be read is one command that is not plain."""
    try:
        lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="();<>|&\n")
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, "#"
        tokens = list(lexer)
    except ValueError:
        return [Command(words=tuple(text.split()), is_plain=False)]
    return [made for part, end in _parts(tokens) if (made := _command(part, end)) is not None]


def _parts(tokens: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    part: list[str] = []
    for token in tokens:
        if token in _ENDS or token == "|" or (token and not token.strip("\n;")):
            yield part, token
            part = []
        else:
            part.append(token)
    yield part, ""


def _command(part: list[str], end: str) -> Command | None:
    words, variables, output, plain = list[str](), list[str](), "", True
    tokens = iter(part)
    for token in tokens:
        if token in (">", ">>", ">&", "<", "<<"):
            target = next(tokens, "")
            output = target if token in (">", ">>") else output
            plain = plain and token in (">", ">>", ">&")
            if words and words[-1] in ("1", "2"):
                words.pop()
                output = ""
        elif token and set(token) <= set("()<>|&"):
            plain = False
        elif not words and "=" in token and token.partition("=")[0].isidentifier():
            variables.append(token)
        else:
            words.append(token)
    if not words and not variables:
        return None
    plain = plain and not any("`" in word or "$(" in word or word == "$" for word in words)
    plain = plain and not (words and words[0] in _WORDS)
    return Command(words=tuple(words), variables=tuple(variables), output=output, is_piped=end == "|", is_plain=plain)
