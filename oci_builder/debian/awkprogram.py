"""Programs of awk, read: rules of a pattern and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from oci_builder.debian.shell import Call

_TOKEN = re.compile(
    r'[ \t]*(?:\\\n[ \t]*)*(?P<token>#[^\n]*|[0-9]+(?:\.[0-9]+)?|[A-Za-z_][A-Za-z0-9_]*|"(?:[^"\\\n]|\\.)*"'
    r"|&&|\|\||==|!=|<=|>=|!~|[-+*/%~!<>=$(){},;\n])"
)
_REGEX = re.compile(r"/((?:[^/\\\n]|\\.)+)/")
_LEVELS = (("||",), ("&&",), ("~", "!~"), ("<", "<=", "==", "!=", ">=", ">"), (), ("+", "-"), ("*", "/", "%"))
_CONCAT = 4
_MAX_LETTERS = 2000
_MAX_DEPTH = 40
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "/": "/"}


@dataclass(frozen=True)
class AwkNode:
    """A part of a program: what it is, its own text, and its parts."""

    kind: str
    text: str = ""
    parts: list[AwkNode] = field(default_factory=list)


def parsed(call: Call, program: str) -> list[AwkNode]:
    """The rules of a program; each one's text is when it is for, ``?`` where a pattern says. Raises NotKnown."""
    if len(program) > _MAX_LETTERS:
        raise call.unknown(f"its program has more than {_MAX_LETTERS} letters")
    return _Reader(call, program).rules()


class _Reader:
    def __init__(self, call: Call, program: str) -> None:
        self._call, self._program, self._at, self._depth = call, program, 0, 0

    def _unknown(self) -> Exception:
        return self._call.unknown("its program is not known here")

    def _peek(self) -> str:
        match = _TOKEN.match(self._program, self._at)
        if match is None:
            if self._program[self._at :].strip():
                raise self._unknown()
            return ""
        if match["token"].startswith("#"):
            self._at = match.end()
            return self._peek()
        return match["token"]

    def _take(self) -> str:
        token = self._peek()
        match = _TOKEN.match(self._program, self._at)
        self._at = match.end() if match is not None else len(self._program)
        return token

    def _skip(self, *tokens: str) -> None:
        while self._peek() in tokens and self._peek():
            self._take()

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise self._unknown()

    def rules(self) -> list[AwkNode]:
        found: list[AwkNode] = []
        self._skip("\n", ";")
        while self._peek():
            when, parts = "", list[AwkNode]()
            if self._peek() in ("BEGIN", "END"):
                when = self._take()
            elif self._peek() != "{":
                when, parts = "?", [self._expression()]
            if self._peek() == "{":
                parts.append(self._block())
            elif when == "?":
                parts.append(AwkNode("print"))
            else:
                raise self._unknown()
            found.append(AwkNode("rule", when, parts))
            self._skip("\n", ";")
        return found

    def _block(self) -> AwkNode:
        self._expect("{")
        parts: list[AwkNode] = []
        self._skip("\n", ";")
        while self._peek() != "}":
            if not self._peek():
                raise self._unknown()
            parts.append(self._statement())
            self._skip("\n", ";")
        self._take()
        return AwkNode("block", parts=parts)

    def _statement(self) -> AwkNode:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._unknown()
        try:
            return self._any_statement()
        finally:
            self._depth -= 1

    def _any_statement(self) -> AwkNode:
        token = self._peek()
        if token == "{":
            return self._block()
        if token == "if":
            return self._if()
        if token in ("print", "exit", "next"):
            self._take()
            parts: list[AwkNode] = []
            while self._peek() not in ("", ";", "\n", "}"):
                parts.append(self._expression())
                if self._peek() == ",":
                    self._take()
            if self._program[: self._at].rstrip().endswith(">") or (
                token != "print" and len(parts) > (token == "exit")
            ):
                raise self._unknown()
            return AwkNode(token, parts=parts)
        return self._expression()

    def _if(self) -> AwkNode:
        self._take()
        self._expect("(")
        parts = [self._expression()]
        self._expect(")")
        self._skip("\n")
        parts.append(self._statement())
        before = self._at
        self._skip("\n", ";")
        if self._peek() == "else":
            self._take()
            self._skip("\n")
            parts.append(self._statement())
        else:
            self._at = before
        return AwkNode("if", parts=parts)

    def _expression(self) -> AwkNode:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._unknown()
        left = self._level(0)
        if self._peek() == "=" and left.kind in ("name", "field"):
            self._take()
            left = AwkNode("assign", parts=[left, self._expression()])
        self._depth -= 1
        return left

    def _level(self, number: int) -> AwkNode:
        if number == len(_LEVELS):
            return self._one()
        left = self._level(number + 1)
        if number == _CONCAT:
            parts = [left]
            while re.match(r'[A-Za-z_0-9"$(]', self._peek()) and self._peek() not in ("in", "else"):
                parts.append(self._level(number + 1))
            return left if len(parts) == 1 else AwkNode("concat", parts=parts)
        while self._peek() in _LEVELS[number] and self._peek():
            operator = self._take()
            self._skip("\n") if operator in ("&&", "||") else None
            left = AwkNode("operator", operator, [left, self._level(number + 1)])
        return left

    def _one(self) -> AwkNode:
        token = self._peek()
        if token == "/":
            start = _TOKEN.match(self._program, self._at)
            match = _REGEX.match(self._program, start.end() - 1) if start is not None else None
            if match is None or "[/]" in match[1]:
                raise self._unknown()
            self._at = match.end()
            return AwkNode("regex", match[1])
        self._take()
        if token in ("!", "-"):
            return AwkNode("operator", token, [self._one()])
        if token == "$":
            return AwkNode("field", parts=[self._one()])
        if token == "(":
            inner = self._expression()
            self._expect(")")
            return inner
        if token[:1] == '"':
            return AwkNode("string", re.sub(r"\\(.)", self._escape, token[1:-1]))
        if token[:1].isdigit():
            return AwkNode("number", token)
        if token in ("while", "for", "do", "function", "getline", "printf", "delete", "in", "else", "return"):
            raise self._unknown()
        if token[:1].isalpha() or token[:1] == "_":
            if self._program.startswith("(", self._at):
                return self._called(token)
            if token in ("FS", "OFS", "RS", "ORS", "FNR", "FILENAME", "ENVIRON", "length"):
                raise self._unknown()
            return AwkNode("name", token)
        raise self._unknown()

    def _escape(self, match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise self._unknown()
        return _ESCAPES[match[1]]

    def _called(self, name: str) -> AwkNode:
        self._expect("(")
        parts: list[AwkNode] = []
        while self._peek() != ")":
            parts.append(self._expression())
            if self._peek() == ",":
                self._take()
            elif self._peek() != ")":
                raise self._unknown()
        self._take()
        return AwkNode("call", name, parts)
