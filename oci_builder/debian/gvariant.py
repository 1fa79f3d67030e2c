"""Values of GLib's settings: read from their text, and serialised as GVariant lays them out, little-endian."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

_FIXED = {
    "b": ("<B", 1),
    "y": ("<B", 1),
    "n": ("<h", 2),
    "q": ("<H", 2),
    "i": ("<i", 4),
    "u": ("<I", 4),
    "d": ("<d", 8),
}
_FIXED |= {"x": ("<q", 8), "t": ("<Q", 8)}
_STRINGS = "sog"
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+|inf|nan)")
_CAST = re.compile(r"@([a-z(){}]+)\s+|(?:boolean|byte|int16|uint16|int32|uint32|handle|int64|uint64|double|string)\s+")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a"}
_MAX_DEPTH = 16

Plain = bool | int | float | str | list["Plain"] | tuple["Plain", ...] | None


class BadValue(ValueError):
    """A text that is no value of its type, or of a kind that is not known here."""


def first_type(types: str) -> str:
    """The first complete type of a string of types. Raises BadValue."""
    if types[:1] in ("a", "m"):
        return types[0] + first_type(types[1:])
    if types[:1] in ("(", "{"):
        inner, end = types[1:], ")" if types[0] == "(" else "}"
        found = types[0]
        while inner and inner[0] != end:
            one = first_type(inner)
            found, inner = found + one, inner[len(one) :]
        if not inner:
            raise BadValue(f"the type {types} is none")
        return found + end
    if types[:1] not in (*_FIXED, *_STRINGS, "v") or not types:
        raise BadValue(f"the type {types} is not known here")
    return types[0]


def members(type_: str) -> list[str]:
    """The types of the members of a tuple or an entry."""
    found, rest = [], type_[1:-1]
    while rest:
        found.append(first_type(rest))
        rest = rest[len(found[-1]) :]
    return found


def parsed(type_: str, text: str) -> Plain:
    """The value of ``type_`` that ``text`` is. Raises BadValue."""
    if first_type(type_) != type_ or len(type_) > 100:
        raise BadValue(f"the type {type_} is none")
    reader = _Reader(text)
    value = reader.value(type_, 0)
    reader.end()
    return value


@dataclass
class _Reader:
    text: str
    at: int = 0

    def _skip(self) -> str:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def end(self) -> None:
        if self._skip():
            raise BadValue(f"{self.text!r:.60} is more than a value")

    def _expect(self, letter: str) -> None:
        if self._skip() != letter:
            raise BadValue(f"{self.text!r:.60} is no value of its type")
        self.at += 1

    def value(self, type_: str, depth: int) -> Plain:
        self._skip()
        cast = _CAST.match(self.text, self.at)
        if cast is not None:
            if cast[1] not in (None, type_):
                raise BadValue(f"{self.text!r:.60} is no value of {type_}")
            self.at = cast.end()
        if depth > _MAX_DEPTH:
            raise BadValue("a value that is nested too deep")
        if type_ == "b":
            return self._word({"true": True, "false": False})
        if type_ in _FIXED:
            return self._number(type_)
        if type_ in _STRINGS:
            return self._string()
        if type_[0] == "a":
            return self._list("{" if type_[1] == "{" else "[", type_, depth)
        if type_[0] == "(":
            return self._tuple(type_, depth)
        raise BadValue(f"values of {type_} are not known here")

    def _word(self, words: dict[str, bool]) -> bool:
        for word, value in words.items():
            if re.compile(rf"{word}\b").match(self.text, self.at):
                self.at += len(word)
                return value
        raise BadValue(f"{self.text!r:.60} is no value of its type")

    def _number(self, type_: str) -> int | float:
        match = _NUMBER.match(self.text, self.at)
        if match is None or len(match[0]) > 40:
            raise BadValue(f"{self.text!r:.60} is no number")
        self.at = match.end()
        if type_ == "d":
            return float(match[0])
        if not re.fullmatch("-?(?:0[xX][0-9a-fA-F]+|[0-9]+)", match[0]):
            raise BadValue(f"{match[0]} is no whole number")
        digits = match[0].lstrip("-")
        base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") else 10
        try:
            number = int(digits, base) * (-1 if match[0].startswith("-") else 1)
            struct.pack(_FIXED[type_][0], number)
        except (struct.error, ValueError) as error:
            raise BadValue(f"{match[0]} is no number of its type") from error
        return number

    def _string(self) -> str:
        quote = self._skip()
        if quote not in ("'", '"'):
            raise BadValue(f"{self.text!r:.60} is no text")
        self.at += 1
        found = ""
        while (letter := self.text[self.at : self.at + 1]) != quote:
            self.at += 1
            if not letter or letter == "\0":
                raise BadValue("a text without its end")
            if letter == "\\":
                letter = self.text[self.at : self.at + 1]
                self.at += 1
                if letter in ("u", "U", ""):
                    raise BadValue("a letter by its number")
                letter = _ESCAPES.get(letter, letter)
            found += letter
        self.at += 1
        return found

    def _list(self, begin: str, type_: str, depth: int) -> list[Plain]:
        end = "]" if begin == "[" else "}"
        self._expect(begin)
        found: list[Plain] = []
        while self._skip() != end:
            if found:
                self._expect(",")
            if begin == "{":
                key, value = members(type_[1:])
                first = self.value(key, depth + 1)
                self._expect(":")
                found.append((first, self.value(value, depth + 1)))
            else:
                found.append(self.value(type_[1:], depth + 1))
        self.at += 1
        return found

    def _tuple(self, type_: str, depth: int) -> tuple[Plain, ...]:
        self._expect("(")
        found: list[Plain] = []
        types = members(type_)
        for number, each in enumerate(types):
            if number:
                self._expect(",")
            found.append(self.value(each, depth + 1))
        if len(types) == 1 and self._skip() == ",":
            self.at += 1
        self._expect(")")
        return tuple(found)


def alignment(type_: str) -> int:
    """What the place of a value of ``type_`` is a multiple of."""
    if type_[0] in _FIXED:
        return _FIXED[type_][1]
    if type_[0] in _STRINGS:
        return 1
    if type_[0] == "v":
        return 8
    if type_[0] in "am":
        return alignment(type_[1:])
    return max((alignment(each) for each in members(type_)), default=1)


def fixed_size(type_: str) -> int:
    """The size of every value of ``type_``; 0 where it depends on the value."""
    if type_[0] in _FIXED:
        return _FIXED[type_][1]
    if type_[0] not in "({":
        return 0
    at = 0
    for each in members(type_):
        size = fixed_size(each)
        if not size:
            return 0
        at = _aligned(at, alignment(each)) + size
    return _aligned(at, alignment(type_)) or 1


def _aligned(at: int, to: int) -> int:
    return at + -at % to


def serialised(type_: str, value: Plain) -> bytes:
    """The bytes of a value."""
    if type_ in _FIXED:
        return struct.pack(_FIXED[type_][0], value)
    if type_ in _STRINGS:
        return f"{value}".encode() + b"\0"
    if type_[0] == "a":
        assert isinstance(value, list)
        return _array(type_[1:], value)
    assert isinstance(value, tuple)
    return _structure(type_, value)


def as_variant(type_: str, value: Plain) -> bytes:
    """A value with its type behind it."""
    return serialised(type_, value) + b"\0" + type_.encode()


def _array(inner: str, values: list[Plain]) -> bytes:
    data, ends = b"", list[int]()
    for each in values:
        data += b"\0" * (-len(data) % alignment(inner)) + serialised(inner, each)
        ends.append(len(data))
    return data if fixed_size(inner) or not values else _framed(data, ends)


def _structure(type_: str, values: tuple[Plain, ...]) -> bytes:
    data, ends = b"", list[int]()
    types = members(type_)
    for number, (each, value) in enumerate(zip(types, values, strict=True)):
        data += b"\0" * (-len(data) % alignment(each)) + serialised(each, value)
        if not fixed_size(each) and number < len(types) - 1:
            ends.append(len(data))
    if fixed_size(type_):
        return data + b"\0" * (fixed_size(type_) - len(data))
    return _framed(data, ends[::-1])


def _framed(data: bytes, ends: list[int]) -> bytes:
    """``data`` with where its parts end, each in as few bytes as the whole can be told in."""
    for width, form in ((1, "<B"), (2, "<H"), (4, "<I")):
        if len(data) + width * len(ends) <= 256**width - 1:
            return data + b"".join(struct.pack(form, end) for end in ends)
    raise BadValue("a value of more than 4 GiB")
