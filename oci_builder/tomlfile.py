"""TOML files as typed values, and what to say when they do not fit: file, line, key, what was expected.

A struct may raise ``errors.BadKey`` in ``__post_init__`` for what types cannot say. A ``Meta(description=…)`` on a type
is a noun phrase ("an octal mode such as …"): it stands in the JSON Schema and after the word "expected" here.
"""

from __future__ import annotations

import bisect
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from oci_builder import bounded
from oci_builder.errors import BadKey, FileProblem, RecipeError
from oci_builder.files import open_regular

T = TypeVar("T")
LIMIT = 1 << 20
"""Bytes; nobody writes a longer recipe by hand."""

_STEP = re.compile(r"\[([0-9]{1,9}|\.\.\.)\]|\.?([^.\[\]]+)")
_PLACED = re.compile(r"(.*?)(?: - at (`(?:\$|key).*`.*))?\Z", re.DOTALL)
_LONGEST = 80
"""Letters of a key or a value that an error shows."""

_LONGEST_LIST = 2000
"""Letters of a list that a hint shows."""

_HEADER = re.compile(r"\s*\[(\[?)([^\[\]]+)\]")
_PAIR = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_PYTHON = {"str": str, "int": int, "float": float, "bool": bool, "array": list, "object": dict}


def load_toml(path: Path, kind: type[T], *, opened: BinaryIO | None = None) -> T:
    """The file as a ``kind`` (a msgspec Struct); it may be ``opened`` already, and is closed.

    Raises RecipeError, and FileProblem for what cannot be read.
    """
    return parse_toml(read_toml(path, opened=opened), kind, file=str(path))


def parse_toml(text: str, kind: type[T], *, file: str) -> T:
    """``text`` as a ``kind``; ``file`` is what the errors call it. Raises RecipeError."""
    return convert(_document(text, file), kind, file=file, text=text)


def convert(document: Mapping[str, Any], kind: type[T], *, file: str, text: str = "") -> T:
    """A parsed ``document`` as a ``kind``; errors give the lines of ``text``, if there is one. Raises RecipeError."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise _explained(error, document, text, kind, file) from error


def misplaced(path: Path, problem: BadKey) -> RecipeError:
    """The error about ``problem``, found after loading, with the file and, where it can be found, the line."""
    steps = _parsed(problem.key)
    try:
        line = line_of(read_toml(path), steps)
    except (FileProblem, RecipeError):
        line = None
    return RecipeError(str(path), problem.key, problem.why, line=line, hint=problem.hint)


def read_toml(path: Path, *, opened: BinaryIO | None = None) -> str:
    """The text of the file, which may be ``opened`` already, and is closed. Raises RecipeError, FileProblem."""
    try:
        with opened or open_regular(path) as stream:
            data = stream.read(LIMIT + 1)
    except OSError as error:
        raise FileProblem(str(path), (error.strerror or str(error)).lower()) from error
    if len(data) > LIMIT:
        raise RecipeError(str(path), "", f"longer than {LIMIT} bytes, which no recipe is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecipeError(str(path), "", "not UTF-8, which TOML has to be", line=line) from error


def _document(text: str, file: str) -> dict[str, Any]:
    try:
        return bounded.load_toml(text)
    except tomllib.TOMLDecodeError as error:
        from oci_builder import tomlslips

        why, _, place = str(error).partition(" (at ")
        found = re.match(r"line (\d+), column (\d+)", place)
        line, column = (int(found[1]), int(found[2])) if found else (_last_line(text), 0)
        hint = tomlslips.hint(text, why, line, column)
        raise RecipeError(file, "", f"not TOML: {tomlslips.clause(why)}", line=line, hint=hint) from error
    except ValueError as error:
        line_number = _line_of_fault(text)
        raise RecipeError(file, "", f"not TOML that anybody would write: {error}", line=line_number) from error


def _last_line(text: str) -> int:
    """The last line with something on it, where a reader came to the end too early."""
    return text.rstrip("\n").count("\n") + 1


def _line_of_fault(text: str) -> int:
    """The first line up to which a text goes past a limit: whoever reads from its beginning meets that there."""
    lines = text.split("\n")
    return bisect.bisect_left(range(1, len(lines)), True, key=lambda count: _is_too_much("\n".join(lines[:count]))) + 1


def _is_too_much(text: str) -> bool:
    try:
        bounded.load_toml(text)
    except tomllib.TOMLDecodeError:
        return False  # it ends in the middle of something
    except ValueError:
        return True
    return False


def _explained(error: msgspec.ValidationError, document: Any, text: str, kind: type, file: str) -> RecipeError:
    from oci_builder import tomlschema

    message, where = _PLACED.match(str(error)).groups("")  # type: ignore[union-attr]  # it matches whatever there is
    steps = _steps(where, document, message, kind)
    cause = error.__cause__
    if isinstance(cause, BadKey):
        steps += _parsed(cause.key)
        return RecipeError(file, dotted(steps), cause.why, line=line_of(text, steps), hint=cause.hint)
    if unknown := re.search(r"unknown field `(.*)`$", message, re.DOTALL):
        hint = tomlschema.nearest(kind, steps, unknown[1])
        steps.append(unknown[1])
        return RecipeError(file, dotted(steps), "unknown key", line=line_of(text, steps), hint=hint)
    if missing := re.search(r"missing required field `(.*)`$", message, re.DOTALL):
        expected = tomlschema.expected(kind, [*steps, missing[1]]) or "a value"
        key = dotted([*steps, missing[1]])
        return RecipeError(file, key, f"is missing; expected {expected}", line=line_of(text, steps))
    value = bounded.value_at(document, steps)
    described = None if where.startswith("`key`") else tomlschema.expected(kind, steps)
    why = f"expected {described or _plain(message)}, got {_shown(value)}"
    words = tomlschema.suggestion(kind, steps, value, bounded.value_at(document, steps[:-1])) if steps else None
    if words is not None:
        return RecipeError(file, dotted(steps), why, line=line_of(text, steps), hint=_as_list(steps[-1], words))
    if where.startswith("`key`"):
        why = f"not a name that may stand here; expected {tomlschema.expected_name(kind, steps[:-1]) or 'another'}"
        return RecipeError(file, dotted(steps), why, line=line_of(text, steps))
    meant = tomlschema.instead(kind, steps, value) or _meant(kind, document, steps, message)
    return RecipeError(file, dotted(steps), why, line=line_of(text, steps), hint=meant)


def dotted(steps: list[str | int]) -> str:
    """``["copy", 0, "src"]`` as a person writes it: ``copy[0].src``."""
    out = ""
    for step in steps:
        out += f"[{step}]" if isinstance(step, int) else f".{_brief(step)}" if out else _brief(step)
    return out


def line_of(text: str, steps: list[str | int]) -> int | None:
    """The line (from 1) of the key or of its table, found by eye as a reader would; None when it is not there."""
    names = [step for step in steps if isinstance(step, str)]
    index = next((step for step in steps if isinstance(step, int)), 0)
    table: list[str] = []
    items: dict[str, int] = {}
    other_item = False
    best: tuple[int, int] | None = None
    for number, line in enumerate(_outside_strings(text), 1):
        if header := _HEADER.match(line):
            found = table = _split(header[2])
            items[header[2]] = items.get(header[2], -1) + 1
            other_item = header[1] == "[" and items[header[2]] != index
        elif pair := _PAIR.match(line):
            found = table + _split(pair[1])
        else:
            continue
        if not other_item and names[: len(found)] == found and (best is None or len(found) > best[0]):
            best = (len(found), number)
    return best[1] if best else None


def _outside_strings(text: str) -> list[str]:
    """The lines, those inside a multi-line string emptied."""
    out, inside = [], ""
    for line in text.split("\n"):
        quotes = [mark for mark in ('"""', "'''") if line.count(mark) % 2]
        out.append("" if inside else line)
        if quotes and inside in ("", quotes[0]):
            inside = "" if inside else quotes[0]
    return out


def _split(key: str) -> list[str]:
    return [part.strip("\"' ") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", key)]


def _steps(where: str, document: Any, message: str, kind: type) -> list[str | int]:
    """msgspec's path (``$.copy[0].src``) as steps; ``[...]``, some key of a free table, is looked for."""
    path = where.rsplit("`", 2)[-2].removeprefix("$") if where else ""
    steps: list[str | int] = []
    for step in _parsed(path):
        steps.append(_offender(bounded.value_at(document, steps), message) if step == "..." else step)
    if where.startswith("`key`"):
        from oci_builder import tomlschema

        steps.append(tomlschema.bad_name(kind, steps, bounded.value_at(document, steps)))
    return steps


def _parsed(path: str) -> list[str | int]:
    steps = ((index, index or name) for index, name in _STEP.findall(path))
    return [int(step) if index not in ("", "...") else step for index, step in steps]


def _offender(table: Any, message: str) -> str:
    got = re.search(r"got `(\w+)`", message)
    kind = _PYTHON.get(got[1]) if got else None
    names = [name for name, value in table.items() if type(value) is kind] if isinstance(table, Mapping) else []
    return names[0] if names else "*"


def _plain(message: str) -> str:
    """msgspec's own sentence in a person's words: ``Expected `int | str`, got `float``` → a whole number or text."""
    types = re.match(r"Expected `([\w| ]+)`", message)
    if not types:
        return f"another value ({_lower(message)})"
    bound = re.search(r"` (<=|>=|<|>) (-?\d+)", message)
    words = " or ".join(_WORDS.get(name, name) for name in types[1].split(" | ") if name != "null")
    return f"{words} {bound[1]} {bound[2]}" if bound else words


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return _brief(text)


def _brief(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _meant(kind: type, document: Any, steps: list[str | int], message: str) -> str | None:
    """What to write instead: one table where several go, or a value that was tried."""
    from oci_builder import tomlmeant, tomlschema

    value = bounded.value_at(document, steps)
    if isinstance(value, dict) and "Expected `array" in message and len(steps) == 1:
        return f"write [[{steps[0]}]], in double brackets: there may be several"
    if found := tomlmeant.proposal(kind, document, steps):
        return f"write {found}"
    key = [step for step in steps if isinstance(step, str)]
    needed = tomlschema.needed(kind, list(key[:1])) if len(key) == 1 else []
    values = " and ".join(f'{name} = "…"' for name in needed)
    return f"write [[{key[0]}]], and below it {values}" if needed else None


def _as_list(key: str | int, words: list[str]) -> str:
    """What to write: literally, or not at all."""
    shown = ", ".join(json.dumps(word, ensure_ascii=False).replace("\x7f", "\\u007F") for word in words)
    return f"write {key} = [{shown}]" if 0 < len(shown) <= _LONGEST_LIST else f"write {key} as a list of words"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence
