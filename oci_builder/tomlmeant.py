"""What somebody meant by a value that does not fit, as TOML that does: every proposal was tried before it is made.

A type says what is meant by other values with ``Meta(extra={"meant": function})``, a struct with a ``meant`` of its
class; both give candidates, the likeliest first. Loaded only to explain a mistake.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect

from oci_builder.bounded import load_texts, value_at
from oci_builder.tomlschema import bare, options_of, type_at

_LONGEST = 2000
"""Letters of a value that a hint shows."""

_MOST = 50
"""Items of a list that are looked at; whoever wrote more sees the first ones' mistake."""

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_NOTHING = ("none", "off", "no", "false")


def proposal(kind: type, document: Any, steps: list[str | int]) -> str | None:
    """``KEY = VALUE`` that may stand in place of what is at ``steps``; None where nobody knows one."""
    where = steps[: max((number for number, step in enumerate(steps) if isinstance(step, str)), default=-1) + 1]
    found = type_at(kind, where)
    if not where or found is None:
        return None
    whole = value_at(document, where)
    accepts = _Trial(kind, document, where)
    for candidate in _candidates(found, whole, accepts):
        text = _toml(candidate)
        if len(text) <= _LONGEST and accepts(candidate):
            return f"{_key(where[-1])} = {text}"
    return None


class _Trial:
    """Whether a value may stand at a place, found out by reading the document with it."""

    def __init__(self, kind: type, document: Any, steps: list[str | int]) -> None:
        self._kind, self._document, self._steps = kind, document, steps

    def __call__(self, value: object) -> bool:
        try:
            msgspec.convert(_replaced(self._document, self._steps, value), self._kind)
        except msgspec.ValidationError as error:
            return not self._is_here(error)
        return True

    def _is_here(self, error: msgspec.ValidationError) -> bool:
        """Whether what is still wrong is wrong here: there may be other mistakes."""
        path = str(error).rpartition(" - at `$")[2].rstrip("`") if " - at `$" in str(error) else ""
        cause = error.__cause__
        path += f".{getattr(cause, 'key', '')}" if cause is not None else ""
        mine = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self._steps)
        return f"{path}.".replace("[", ".[").startswith(f"{mine}.".replace("[", ".[")) or "key` in" in str(error)


def _candidates(found: inspect.Type, value: object, accepts: Callable[[object], bool]) -> Iterator[object]:
    options = options_of(found)
    for option in options:
        meant = (option.extra or {}).get("meant") if isinstance(option, inspect.Metadata) else None
        meant = meant or getattr(getattr(bare(option), "cls", None), "meant", None)
        if meant is not None:
            yield from meant(value)
    for option in options:
        of_kind = _OF_KIND.get(type(bare(option)))
        if of_kind is not None:
            yield from of_kind(bare(option), value)
        elif isinstance(bare(option), inspect.VarTupleType | inspect.ListType):
            yield from _lists(bare(option), value, accepts)


def _texts(found: inspect.Type, value: object) -> Iterator[object]:
    if isinstance(value, str):
        yield value.strip()
        yield value.strip().lower()
    elif isinstance(value, bool):
        yield str(value).lower()
    elif value is not None and not isinstance(value, dict | list):
        yield str(value)


def _numbers(found: inspect.Type, value: object) -> Iterator[object]:
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", value, re.ASCII):
        yield int(value)


def _switches(found: inspect.Type, value: object) -> Iterator[object]:
    plain = str(value).strip().lower()
    if plain in _TRUE or plain in _FALSE:
        yield plain in _TRUE


def _choices(found: inspect.Type, value: object) -> Iterator[object]:
    known = [str(each) for each in getattr(found, "values", ())]
    plain = str(value).strip().lower()
    if plain in _FALSE:
        yield from (each for each in _NOTHING if each in known)
    elif plain in _TRUE:
        yield from known[:1]
    elif isinstance(value, str):
        yield from get_close_matches(plain, known, n=1)


def _tables(found: inspect.Type, value: object) -> Iterator[object]:
    """``["A=B"]`` and ``"A=B"`` as a table of texts, as docker writes variables and labels."""
    for lines in (_pairs(value), [value]) if isinstance(value, str) else (value,):
        if not (isinstance(lines, list) and lines and all(isinstance(line, str) and "=" in line for line in lines)):
            continue
        yield {name.strip(): text for name, _, text in (line.partition("=") for line in lines)}
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        yield {name: text for each in value for name, text in each.items()}


def _pairs(text: str) -> list[str]:
    """``A=1 B="2 3"``, as Dockerfiles have it, in parts; none of a text that is no such row."""
    try:
        words = shlex.split(text)
    except ValueError:
        return []
    return words if all(re.match(r"[\w.-]+=", word) for word in words) else []


_OF_KIND: Mapping[type, Callable[[inspect.Type, object], Iterator[object]]] = {
    inspect.StrType: _texts,
    inspect.IntType: _numbers,
    inspect.BoolType: _switches,
    inspect.LiteralType: _choices,
    inspect.DictType: _tables,
}


def _lists(found: Any, value: object, accepts: Callable[[object], bool]) -> Iterator[object]:
    if isinstance(value, dict) or value is None or (isinstance(value, list) and len(value) > _MOST):
        return
    if isinstance(value, str):
        readings = _readings(value)
    else:
        readings = [_parted(value, accepts), value] if isinstance(value, list) else [[value]]
    # What fits as it stands was meant before what has to be mended.
    yield from (items for items in readings if items and all(accepts([item]) for item in items))
    for items in readings:
        mended = [_item(found.item_type, item, accepts) for item in items]
        # An empty list says nothing of what was meant.
        if mended and None not in mended:
            yield mended


def _parted(items: list[Any], accepts: Callable[[object], bool]) -> list[Any]:
    """The items, with a text that is several by a blank or a comma between them taken apart."""
    found: list[Any] = []
    for item in items:
        readings = _readings(item) if isinstance(item, str) and not accepts([item]) else []
        several = (words for words in readings if len(words) > 1 and all(accepts([word]) for word in words))
        found += next(several, [item])
    return found


def _readings(text: str) -> list[list[Any]]:
    """The lists that one text may be meant for, the likeliest first: JSON, commas, a shell's words, itself."""
    parts = [part.strip() for part in text.split(",") if part.strip()] if "," in text else []
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    # "my list.txt" is one name with a blank in it, "a.txt b.txt" are two.
    alike = len(words) > 1 and len({("." in word, "/" in word) for word in words}) == 1
    readings = [load_texts(text), parts, *([words, [text]] if alike else [[text], words])]
    return [items for items in readings if 0 < len(items) <= _MOST]


def _item(found: inspect.Type, item: object, accepts: Callable[[object], bool]) -> object:
    """The item, if it may stand there alone, else the first that was meant; None where none may."""
    return next((each for each in (item, *_candidates(found, item, accepts)) if accepts([each])), None)


def _replaced(document: Any, steps: list[str | int], value: object) -> Any:
    if not steps:
        return value
    copied = list(document) if isinstance(document, list) else dict(document)
    copied[steps[0]] = _replaced(copied[steps[0]], steps[1:], value)  # type: ignore[index]  # it was found there
    return copied


def _key(name: str | int) -> str:
    text = str(name)
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else json.dumps(text, ensure_ascii=False)


def _toml(value: object) -> str:
    """A value as it stands behind an equals sign. What TOML has no word for is never a candidate."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(name)} = {_toml(each)}' for name, each in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007F")
