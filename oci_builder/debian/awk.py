"""awk of maintainer scripts: lines in, some of their fields out (POSIX.1-2017, awk), without loops and functions."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

from oci_builder.debian.awkprogram import AwkNode, parsed
from oci_builder.debian.commandtexts import lines_of, texts_of
from oci_builder.debian.patterns import Regex, compiled
from oci_builder.debian.shell import Call

_NUMBER = re.compile(r"\s*[-+]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})\s*")
_STEP = 20
Value = float | str


class _Field(str):
    """What was read: a number where it looks like one."""


class _Exit(Exception):
    pass


class _Next(Exception):
    pass


def awk(call: Call) -> int:
    """Say what a program makes of lines. Raises NotKnown."""
    separator, variables, words = " ", dict[str, Value](), list(call.arguments)
    while words and words[0].startswith("-") and len(words[0]) > 1:
        word = words.pop(0)
        if word == "--":
            break
        if word[:2] not in ("-F", "-v") or (len(word) == 2 and not words):
            raise call.unknown(f"its option {word} is not known here")
        value = word[2:] or words.pop(0)
        if word[1] == "F":
            separator = value
        else:
            name, _, text = value.partition("=")
            variables[name] = _Field(text)
    if not words or any("=" in word for word in words[1:]) or len(separator) != 1 or separator in "\\|*+?.^$([{":
        raise call.unknown("its program is not known here")
    rules = parsed(call, words[0])
    texts = texts_of(call, words[1:])
    if texts is None:
        return 2
    return _Run(call, rules, separator, variables).all([line for text in texts for line in lines_of(text)])


class _Run:
    def __init__(self, call: Call, rules: list[AwkNode], separator: str, variables: dict[str, Value]) -> None:
        self._call, self._rules, self._separator = call, rules, separator
        self._variables: dict[str, Value] = {**variables, "NR": 0.0}
        self._record, self._status = "", 0
        self._fields: list[str] = []
        self._known: dict[str, Regex] = {}

    def all(self, lines: list[str]) -> int:
        try:
            self._rules_of("BEGIN")
            if any(rule.text != "BEGIN" for rule in self._rules):
                for number, line in enumerate(lines, 1):
                    self._variables["NR"] = float(number)
                    self._read(line)
                    self._line()
        except _Exit:
            pass
        with contextlib.suppress(_Exit):
            self._rules_of("END")
        return self._status

    def _rules_of(self, when: str) -> None:
        for rule in self._rules:
            if rule.text == when:
                self._do(rule.parts[-1])

    def _line(self) -> None:
        try:
            for rule in self._rules:
                if rule.text in ("BEGIN", "END"):
                    continue
                if rule.text != "?" or self._is_true(self._value(rule.parts[0])):
                    self._do(rule.parts[-1])
        except _Next:
            pass

    def _read(self, line: str) -> None:
        self._record = line
        if self._separator == " ":
            self._fields = re.findall(r"[^ \t\n]+", line)
        else:
            self._fields = line.split(self._separator) if line else []

    def _do(self, node: AwkNode) -> None:
        self._call.shell.spend(_STEP)
        if node.kind == "block":
            for part in node.parts:
                self._do(part)
        elif node.kind == "print":
            values = [self._text(self._value(part)) for part in node.parts] or [self._record]
            self._call.say(" ".join(values) + "\n")
        elif node.kind == "if":
            if self._is_true(self._value(node.parts[0])):
                self._do(node.parts[1])
            elif len(node.parts) == 3:
                self._do(node.parts[2])
        elif node.kind == "exit":
            self._status = int(self._number(self._value(node.parts[0]))) if node.parts else self._status
            raise _Exit
        elif node.kind == "next":
            raise _Next
        else:
            self._value(node)

    def _value(self, node: AwkNode) -> Value:
        self._call.shell.spend(_STEP)
        kind = node.kind
        if kind == "number":
            return float(node.text)
        if kind == "string":
            return node.text
        if kind == "regex":
            return float(self._fits(node, self._record))
        if kind == "name":
            return float(len(self._fields)) if node.text == "NF" else self._variables.get(node.text, _Field(""))
        if kind == "field":
            return self._field(int(self._number(self._value(node.parts[0]))))
        if kind == "assign":
            return self._assigned(node)
        if kind == "call":
            return self._called(node)
        if kind == "concat":
            return "".join(self._text(self._value(part)) for part in node.parts)
        return self._operated(node)

    def _field(self, number: int) -> Value:
        if number == 0:
            return _Field(self._record)
        return _Field(self._fields[number - 1] if 0 < number <= len(self._fields) else "")

    def _assigned(self, node: AwkNode) -> Value:
        value = self._value(node.parts[1])
        self._set(node.parts[0], value)
        return value

    def _set(self, place: AwkNode, value: Value) -> None:
        if place.kind == "name" and place.text not in ("NF", "NR"):
            self._variables[place.text] = value
        elif place.kind == "field" and self._number(self._value(place.parts[0])) == 0:
            self._read(self._text(value))
        else:
            raise self._call.unknown("what its program sets is not known here")

    def _operated(self, node: AwkNode) -> Value:
        operator = node.text
        if operator in ("&&", "||"):
            first = self._is_true(self._value(node.parts[0]))
            if first == (operator == "||"):
                return float(first)
            return float(self._is_true(self._value(node.parts[1])))
        if operator in ("~", "!~"):
            text = self._text(self._value(node.parts[0]))
            return float(self._fits(node.parts[1], text) == (operator == "~"))
        if len(node.parts) == 1:
            value = self._value(node.parts[0])
            return float(not self._is_true(value)) if operator == "!" else -self._number(value)
        one, other = (self._value(part) for part in node.parts)
        if operator in _COMPARED:
            return float(self._compared(operator, one, other))
        a, b = self._number(one), self._number(other)
        if operator in ("/", "%") and b == 0:
            raise self._call.unknown("its program divides by zero")
        return (
            {"+": a + b, "-": a - b, "*": a * b}[operator] if operator in "+-*" else a / b if operator == "/" else a % b
        )

    def _compared(self, operator: str, one: Value, other: Value) -> bool:
        if _is_numeric(one) and _is_numeric(other):
            return _COMPARED[operator](self._number(one) - self._number(other))
        a, b = self._text(one), self._text(other)
        return _COMPARED[operator](float((a > b) - (a < b)))

    def _called(self, node: AwkNode) -> Value:
        name, parts = node.text, node.parts
        if name in ("sub", "gsub") and len(parts) in (2, 3):
            return self._substituted(node)
        values = [self._value(part) for part in parts]
        texts = [self._text(value) for value in values]
        if name == "length" and len(parts) < 2:
            return float(len(texts[0] if texts else self._record))
        if name == "int" and len(parts) == 1:
            return float(int(self._number(values[0])))
        if name in ("tolower", "toupper") and len(parts) == 1:
            return texts[0].lower() if name == "tolower" else texts[0].upper()
        if name == "index" and len(parts) == 2:
            return float(texts[0].find(texts[1]) + 1)
        if name == "substr" and len(parts) in (2, 3):
            begin = int(self._number(values[1]))
            end = begin + int(self._number(values[2])) if len(parts) == 3 else len(texts[0]) + 1
            return texts[0][max(begin - 1, 0) : max(end - 1, 0)]
        raise self._call.unknown(f"what {name} of its program does is not known here")

    def _substituted(self, node: AwkNode) -> Value:
        target = node.parts[2] if len(node.parts) == 3 else AwkNode("field", parts=[AwkNode("number", "0")])
        made = self._text(self._value(node.parts[1]))
        if "&" in made or "\\" in made:
            raise self._call.unknown("what its program puts in place is not known here")
        text, regex = self._text(self._value(target)), self._regex(node.parts[0])
        found, at, count = "", 0, 0
        while at <= len(text) and (match := regex.search(self._call, text, at)) is not None:
            if not match[0]:
                raise self._call.unknown("its program looks for nothing")
            found, at, count = found + text[at : match.start()] + made, match.end(), count + 1
            if node.text == "sub":
                break
        if count:
            self._set(target, found + text[at:])
        return float(count)

    def _fits(self, node: AwkNode, text: str) -> bool:
        return self._regex(node).search(self._call, text) is not None

    def _regex(self, node: AwkNode) -> Regex:
        pattern = node.text if node.kind in ("regex", "string") else self._text(self._value(node))
        if pattern not in self._known:
            self._known[pattern] = compiled(self._call, pattern.replace("\\/", "/"), extended=True)
        return self._known[pattern]

    def _is_true(self, value: Value) -> bool:
        if isinstance(value, float):
            return value != 0
        return self._number(value) != 0 if _is_numeric(value) and value else value != ""

    def _number(self, value: Value) -> float:
        if isinstance(value, float):
            return value
        match = re.match(r"\s*[-+]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})", value)
        return float(match[0]) if match else 0.0

    def _text(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        return str(int(value)) if value == int(value) else f"{value:.6g}"


def _is_numeric(value: Value) -> bool:
    """Whether a value is a number, or was read and looks like one."""
    return isinstance(value, float) or (isinstance(value, _Field) and (not value or bool(_NUMBER.fullmatch(value))))


_COMPARED: dict[str, Callable[[float], bool]] = {
    "<": lambda difference: difference < 0,
    "<=": lambda difference: difference <= 0,
    "==": lambda difference: difference == 0,
    "!=": lambda difference: difference != 0,
    ">=": lambda difference: difference >= 0,
    ">": lambda difference: difference > 0,
}
