"""A document as the text of a TOML file, with comments above keys and tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_WIDTH = 118
"""Letters of a line, beyond which a list has one for each of its values."""


def document_text(document: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """The text of a document of two levels of tables.

    ``comments`` stand above what has their path: ``base``, ``config.cmd``, ``copy[0]``; that of "" above all.
    """
    return "\n".join(_lines(document, comments)) + "\n"


def _lines(document: Mapping[str, Any], comments: Mapping[str, str]) -> Iterator[str]:
    yield from _comment(comments.get(""))
    for key, value in document.items():
        if not isinstance(value, dict) and not _is_tables(value):
            yield from _comment(comments.get(key))
            yield _pair(key, value)
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _table(key, value, comments)
        elif _is_tables(value):
            for number, each in enumerate(value):
                yield ""
                yield from _comment(comments.get(f"{key}[{number}]"))
                yield f"[[{key}]]"
                yield from (_pair(name, inner) for name, inner in each.items())


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _table(key: str, table: Mapping[str, Any], comments: Mapping[str, str]) -> Iterator[str]:
    inner = {name: value for name, value in table.items() if name == "healthcheck"}
    yield ""
    yield from _comment(comments.get(key))
    yield f"[{key}]"
    for name, value in table.items():
        if name not in inner:
            yield from _comment(comments.get(f"{key}.{name}"))
            yield _pair(name, value)
    for name, value in inner.items():
        yield from _table(f"{key}.{name}", value, comments)


def _pair(name: str, value: object) -> str:
    line = f"{name} = {_value(value)}"
    if len(line) <= _WIDTH or not isinstance(value, list):
        return line
    return "\n".join([f"{name} = [", *(f"    {_value(each)}," for each in value), "]"])


def _comment(text: str | None) -> Iterator[str]:
    # A comment has no control characters (TOML 1.0); whoever wrote the text may have taken it from anywhere.
    for line in (text or "").split("\n") if text else ():
        yield f"# {''.join(char if char.isprintable() else '?' for char in line)}".rstrip()


def _value(value: object) -> str:
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(name)} = {_value(inner)}' for name, inner in value.items())} }}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else _value(name)
