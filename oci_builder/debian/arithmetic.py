"""``$((...))`` of a shell (POSIX.1-2017, 2.6.4): whole numbers of 64 bits, as C reckons with them."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(
    r"\s*(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}|[A-Za-z_][A-Za-z0-9_]*|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%<>!~&|^?:()])"
)
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<", "<=", ">", ">="),
    ("<<", ">>"),
    ("+", "-"),
)
_LEVELS += (("*", "/", "%"),)
_MAX_LETTERS = 1000


class BadArithmetic(Exception):
    """An expression that is none, or of a kind that is not known here."""


def calculated(text: str, value_of: Callable[[str], str]) -> int:
    """The number that an expression gives, with variables by ``value_of``. Raises BadArithmetic."""
    if len(text) > _MAX_LETTERS:
        raise BadArithmetic(f"an expression of more than {_MAX_LETTERS} letters")
    tokens, at = list[str](), 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadArithmetic("an expression of a kind that is not known here")
        tokens.append(match[1])
        at = match.end()
    reckoning = _Reckoning(tokens[::-1], value_of)
    found = reckoning.choice() if tokens else 0
    if reckoning.left:
        raise BadArithmetic("an expression of a kind that is not known here")
    return found


class _Reckoning:
    def __init__(self, tokens: list[str], value_of: Callable[[str], str]) -> None:
        self.left, self._value_of = tokens, value_of

    def choice(self) -> int:
        """All of an expression."""
        condition = self._level(0)
        if self.left[-1:] != ["?"]:
            return condition
        self.left.pop()
        one = self.choice()
        if self.left[-1:] != [":"]:
            raise BadArithmetic("an expression of a kind that is not known here")
        self.left.pop()
        other = self.choice()
        return one if condition else other

    def _level(self, number: int) -> int:
        if number == len(_LEVELS):
            return self._one()
        found = self._level(number + 1)
        while self.left and self.left[-1] in _LEVELS[number]:
            operator = self.left.pop()
            found = _wrapped(_reckoned(operator, found, self._level(number + 1)))
        return found

    def _one(self) -> int:
        token = self.left.pop() if self.left else ""
        if token in ("-", "+", "!", "~"):
            inner = self._one()
            return _wrapped({"-": -inner, "+": inner, "!": int(not inner), "~": ~inner}[token])
        if token == "(":
            inner = self.choice()
            if self.left[-1:] != [")"]:
                raise BadArithmetic("a bracket that is not closed")
            self.left.pop()
            return inner
        if token[:1].isalpha() or token[:1] == "_":
            token = self._value_of(token) or "0"
            if not re.fullmatch(r"\s*-?[0-9]{1,18}\s*", token):
                raise BadArithmetic(f"{token!r:.40} is no number")
        if not token.strip().lstrip("-")[:1].isdigit():
            raise BadArithmetic("an expression of a kind that is not known here")
        text = token.strip()
        if text[:2].lower() == "0x":
            return _wrapped(int(text, 16))
        if text.startswith("0") and text != "0":
            if not re.fullmatch("[0-7]+", text):
                raise BadArithmetic(f"{text} is no number")
            return _wrapped(int(text, 8))
        return _wrapped(int(text))


def _wrapped(number: int) -> int:
    if not -(1 << 63) <= number < 1 << 63:
        raise BadArithmetic("a number of more than 64 bits")
    return number


def _reckoned(operator: str, one: int, other: int) -> int:
    if operator in ("/", "%"):
        if other == 0:
            raise BadArithmetic("a division by zero")
        quotient = abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1)
        return quotient if operator == "/" else one - quotient * other
    if operator in ("<<", ">>"):
        if not 0 <= other < 63:
            raise BadArithmetic("a shift of a kind that is not known here")
        return one << other if operator == "<<" else one >> other
    plain: dict[str, Callable[[int, int], int]] = {
        "||": lambda a, b: int(bool(a or b)),
        "&&": lambda a, b: int(bool(a and b)),
        "|": int.__or__,
        "^": int.__xor__,
        "&": int.__and__,
        "==": lambda a, b: int(a == b),
        "!=": lambda a, b: int(a != b),
        "<": lambda a, b: int(a < b),
        "<=": lambda a, b: int(a <= b),
        ">": lambda a, b: int(a > b),
        ">=": lambda a, b: int(a >= b),
        "+": int.__add__,
        "-": int.__sub__,
        "*": int.__mul__,
    }
    return plain[operator](one, other)
