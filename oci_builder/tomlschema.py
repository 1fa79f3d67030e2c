"""What a struct's types say of themselves: the keys it has, and a person's words for what goes into one.

Loaded only to explain a mistake or to print a schema: ``msgspec.inspect`` is not cheap.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect

_WORDS: dict[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.VarTupleType: "a list",
    inspect.ListType: "a list",
    inspect.DictType: "a table",
    inspect.StructType: "a table",
}


@functools.cache
def _type_info(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


def expected(kind: type, steps: list[str | int]) -> str | None:
    """What may stand at ``steps``, as a noun phrase: the type's description, or the type in plain words."""
    found = _walk(_type_info(kind), steps)
    return _words(found) if found is not None else None


def type_at(kind: type, steps: list[str | int]) -> inspect.Type | None:
    """The type of what may stand at ``steps``; None where nothing may."""
    return _walk(_type_info(kind), steps)


def options_of(found: inspect.Type) -> tuple[inspect.Type, ...]:
    """The types of a union, each with its description; of another type, itself."""
    inner = bare(found)
    return inner.types if isinstance(inner, inspect.UnionType) else (found,)


def bare(found: inspect.Type) -> inspect.Type:
    """The type without its description."""
    return found.type if isinstance(found, inspect.Metadata) else found


def needed(kind: type, steps: list[str | int]) -> list[str]:
    """The keys that a table of the list at ``steps`` must have; none where no list of tables is."""
    found = _walk(_type_info(kind), [*steps, 0])
    struct = found and _only(found, inspect.StructType)
    fields = struct.fields if isinstance(struct, inspect.StructType) else ()
    return [field.encode_name for field in fields if field.required]


def instead(kind: type, steps: list[str | int], value: object) -> str | None:
    """What to write at another place, where the struct that is at ``steps`` knows who writes ``value`` for it."""
    found = _walk(_type_info(kind), steps)
    struct = found and _only(found, inspect.StructType)
    said = getattr(struct.cls, "instead", None) if isinstance(struct, inspect.StructType) else None
    return said(value) if said is not None else None


def suggestion(kind: type, steps: list[str | int], value: object, table: Mapping[str, Any]) -> list[str] | None:
    """The list that somebody may have meant by a text, where the type knows how such is split; None elsewhere."""
    if not isinstance(value, str):
        return None
    found = _walk(_type_info(kind), steps)
    options = found.types if isinstance(found, inspect.UnionType) else (found,)
    for option in options:
        split = (option.extra or {}).get("split") if isinstance(option, inspect.Metadata) else None
        if split is not None:
            words: list[str] | None = split(value, table)
            return words
    return None


def expected_name(kind: type, steps: list[str | int]) -> str | None:
    """What a key of the free table at ``steps`` may be called."""
    found = _walk(_type_info(kind), steps)
    table = found and _only(found, inspect.DictType)
    return _words(table.key_type) if isinstance(table, inspect.DictType) else None


def bad_name(kind: type, steps: list[str | int], table: Any) -> str:
    """The first key of the free table at ``steps`` that its type does not allow."""
    found = _walk(_type_info(kind), steps)
    free = found and _only(found, inspect.DictType)
    name = bare(free.key_type) if isinstance(free, inspect.DictType) else None
    pattern = name.pattern if isinstance(name, inspect.StrType) else None
    names = [key for key in table if pattern and not re.search(pattern, key)] if isinstance(table, Mapping) else []
    return names[0] if names else "*"


def nearest(kind: type, steps: list[str | int], name: str) -> str:
    """A hint for an unknown key: the known one it resembles, the table it belongs to, or all that are known.

    A struct's ``foreign`` has hints for what other programs call things.
    """
    root = _type_info(kind)
    here = _walk(root, steps)
    struct = here and _only(here, inspect.StructType)
    known = [field.encode_name for field in struct.fields] if isinstance(struct, inspect.StructType) else []
    plain = name.lower().replace("_", "-")
    foreign = getattr(struct.cls, "foreign", {}) if isinstance(struct, inspect.StructType) else {}
    if plain in foreign:
        return str(foreign[plain])
    if close := get_close_matches(plain, known, n=1):
        return f"did you mean {close[0]!r}?"
    if steps and plain in _own_keys(root):
        return f"{plain!r} belongs in the lines above the first [table]"
    for table, key in _nested_keys(root, ""):
        if key == plain:
            return f"{key!r} belongs in {table}"
    return f"the keys known here are {', '.join(sorted(known))}"


def json_schema(kind: type, *, title: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of files that are read as ``kind``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **msgspec.json.schema(kind)}


def _own_keys(root: inspect.Type) -> list[str]:
    """The keys of the file itself that are no tables: what stands below a header is that table's."""
    struct = _only(root, inspect.StructType)
    fields = struct.fields if isinstance(struct, inspect.StructType) else ()
    return [field.encode_name for field in fields if any(map(_is_plain, options_of(field.type)))]


def _is_plain(option: inspect.Type) -> bool:
    """Whether it is written as a value, and not as a table or several."""
    kind = bare(option)
    item = bare(kind.item_type) if isinstance(kind, inspect.VarTupleType) else kind
    return not isinstance(item, inspect.StructType | inspect.DictType | inspect.NoneType)


def _nested_keys(found: inspect.Type, above: str) -> Iterator[tuple[str, str]]:
    """Every key of every table below, with the header it stands under."""
    struct = _only(found, inspect.StructType)
    for field in struct.fields if isinstance(struct, inspect.StructType) else ():
        many = _only(field.type, inspect.VarTupleType)
        item = many.item_type if isinstance(many, inspect.VarTupleType) else field.type
        name = f"{above}{field.encode_name}"
        inner = _only(item, inspect.StructType)
        for key in inner.fields if isinstance(inner, inspect.StructType) else ():
            yield f"[[{name}]]" if many else f"[{name}]", key.encode_name
        yield from _nested_keys(item, f"{name}.")


def _walk(found: inspect.Type, steps: list[str | int]) -> inspect.Type | None:
    for step in steps:
        inner = _step(found, step)
        if inner is None:
            return None
        found = inner
    return found


def _step(found: inspect.Type, step: str | int) -> inspect.Type | None:
    if isinstance(step, int):
        many = _only(found, inspect.VarTupleType, inspect.ListType)
        return many.item_type if isinstance(many, inspect.VarTupleType | inspect.ListType) else None
    table = _only(found, inspect.StructType, inspect.DictType)
    if isinstance(table, inspect.StructType):
        return next((field.type for field in table.fields if field.encode_name == step), None)
    return table.value_type if isinstance(table, inspect.DictType) else None


def _only(found: inspect.Type, *kinds: type[inspect.Type]) -> inspect.Type | None:
    """The type itself, or that member of a union, which is one of ``kinds``."""
    return next((bare(option) for option in options_of(found) if isinstance(bare(option), kinds)), None)


def _words(found: inspect.Type) -> str:
    if isinstance(found, inspect.Metadata):
        description = (found.extra_json_schema or {}).get("description")
        return str(description) if description else _words(found.type)
    if isinstance(found, inspect.UnionType):
        return " or ".join(_words(option) for option in found.types if not isinstance(option, inspect.NoneType))
    if isinstance(found, inspect.LiteralType):
        return " or ".join(f'"{value}"' for value in found.values)
    return _WORDS.get(type(found), "another type")
