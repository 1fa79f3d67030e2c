"""glib-compile-schemas: the settings that programs have, with their defaults, in the table that GLib reads (GVDB)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from oci_builder.debian import gvariant
from oci_builder.debian.shell import Call

SCHEMAS = "/usr/share/glib-2.0/schemas"
_RANGES = {
    "y": ("0", "255"),
    "n": ("-32768", "32767"),
    "q": ("0", "65535"),
    "i": ("-2147483648", "2147483647"),
    "u": ("0", "4294967295"),
    "x": ("-9223372036854775808", "9223372036854775807"),
    "t": ("0", "18446744073709551615"),
    "d": ("-inf", "inf"),
}
_KNOWN = frozenset(("summary", "description", "default", "range", "choices", "aliases"))
_MAX_WORDS = 16_000

Table = dict[str, "bytes | Table"]
"""What GVDB holds: values by name, and tables in tables."""


class _BadSchema(ValueError):
    pass


@dataclass
class _Schemas:
    """What the files say: enumerations with the words of each, and schemas by name."""

    enums: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    elements: dict[str, ElementTree.Element] = field(default_factory=dict)


def compile_schemas(call: Call) -> int:
    """Write gschemas.compiled, where there are schemas. Raises NotKnown."""
    folders = [word for word in call.arguments if not word.startswith("-")]
    if len(folders) != 1 or set(call.arguments) - {*folders, "--strict"}:
        raise call.unknown("what it is to do is not known here")
    (folder,) = folders
    names = call.tree.children(folder) if call.tree.is_folder(folder) else []
    files = [name for name in names if name.endswith((".gschema.xml", ".enums.xml"))]
    if not files:
        return 0
    found = _Schemas()
    try:
        for name in files:
            text = call.tree.read(f"{folder}/{name}")
            call.shell.spend(len(text) // 10)
            _read(found, text)
        for name in (each for each in names if each.endswith(".gschema.override")):
            _override(found, call.tree.read(f"{folder}/{name}"))
        data = gvdb({name: _keys(found, element) for name, element in found.elements.items()})
    except (_BadSchema, gvariant.BadValue, ElementTree.ParseError) as error:
        raise call.unknown(f"the settings in {folder}: {error}") from error
    call.tree.write(f"{folder}/gschemas.compiled", data)
    return 0


def _read(found: _Schemas, text: str) -> None:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise _BadSchema("a document type is not known here")
    root = ElementTree.fromstring(text.encode("utf-8", "surrogateescape"))
    domain = root.get("gettext-domain")
    for element in root:
        if element.tag in ("enum", "flags"):
            words = b"".join(_word(v.get("nick", ""), _number(v.get("value", ""))) for v in element)
            found.enums[element.get("id", "")] = ("e" if element.tag == "enum" else "f", words)
        elif element.tag == "schema":
            if domain is not None and element.get("gettext-domain") is None:
                element.set("gettext-domain", domain)
            found.elements[element.get("id", "")] = element
        else:
            raise _BadSchema(f"a {element.tag} is not known here")


def _number(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError as error:
        raise _BadSchema(f"{text!r:.40} is no number") from error
    if not -(1 << 31) <= number < 1 << 32:
        raise _BadSchema(f"{text!r:.40} is no number of 32 bits")
    return number


def _word(nick: str, value: int) -> bytes:
    """A choice as GSettings looks for it: its number, and its name between two bytes of ones, in words of four."""
    data = b"\xff" + nick.encode() + b"\0"
    size = (len(nick.encode()) + 6) // 4 * 4
    if size > _MAX_WORDS:
        raise _BadSchema("a name that is too long")
    return struct.pack("<I", value & 0xFFFFFFFF) + data.ljust(size - 1, b"\0") + b"\xff"


def _override(found: _Schemas, text: str) -> None:
    """Other defaults for some keys (glib-compile-schemas(1))."""
    schema: ElementTree.Element | None = None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("["):
            name = line.strip()[1:-1]
            if ":" in name:
                raise _BadSchema("defaults of one desktop are not known here")
            schema = found.elements.get(name)
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise _BadSchema("a line of an override that is not known")
        element = None if schema is None else next((k for k in schema if k.get("name") == key.strip()), None)
        default = None if element is None else element.find("default")
        if default is not None:
            default.text = value.strip()
            default.attrib.clear()


def _keys(found: _Schemas, schema: ElementTree.Element) -> Table:
    table: Table = {}
    for attribute in ("path", "gettext-domain"):
        if schema.get(attribute) is not None:
            table[f".{attribute}"] = gvariant.as_variant("s", schema.get(attribute))
    if schema.get("extends") is not None or schema.get("list-of") is not None:
        raise _BadSchema("a schema that extends another is not known here")
    for element in schema:
        name = element.get("name", "")
        if element.tag == "child":
            table[f"{name}/"] = gvariant.as_variant("s", element.get("schema", ""))
        elif element.tag == "key":
            table[name] = _key(found, element, domain=schema.get("gettext-domain"))
        else:
            raise _BadSchema(f"a {element.tag} is not known here")
    return table


def _key(found: _Schemas, element: ElementTree.Element, *, domain: str | None) -> bytes:
    """A key: its default, and what is to be known of it, each with a letter before it."""
    type_, extra = element.get("type", ""), list[tuple[str, gvariant.Plain]]()
    if {child.tag for child in element} - _KNOWN:
        raise _BadSchema("a key with what is not known here")
    words = b""
    letter = "c"
    if not type_:
        enum = element.get("enum") or element.get("flags") or ""
        if enum not in found.enums:
            raise _BadSchema(f"there is no {enum}")
        letter, words = found.enums[enum]
        type_ = "s" if letter == "e" else "as"
    default = element.find("default")
    if default is None:
        raise _BadSchema("a key without a default")
    text = default.text or ""
    if default.get("l10n") is not None:
        if domain is None:
            raise _BadSchema("a key that is translated nowhere")
        context = f"{default.get('context')}\x04" if default.get("context") is not None else ""
        extra.append(("(y(ys))", (ord("l"), (ord(default.get("l10n", "m")[0]), context + text.strip()))))
    for choices in element.findall("choices"):
        words += b"".join(_word(each.get("value", ""), 0) for each in choices)
    if element.find("aliases") is not None:
        raise _BadSchema("a key with aliases is not known here")
    if words:
        numbers: list[gvariant.Plain] = list(struct.unpack(f"<{len(words) // 4}I", words))
        extra.append(("(yau)", (ord(letter), numbers)))
    bounds = element.find("range")
    if bounds is not None:
        if type_ not in _RANGES:
            raise _BadSchema(f"a range of {type_}")
        least, most = (bounds.get(end, usual) for end, usual in zip(("min", "max"), _RANGES[type_], strict=True))
        ends = (gvariant.parsed(type_, least), gvariant.parsed(type_, most))
        extra.append((f"(y({type_}{type_}))", (ord("r"), ends)))
    whole = f"({type_}{''.join(each for each, _ in extra)})"
    return gvariant.as_variant(whole, (gvariant.parsed(type_, text), *(value for _, value in extra)))


# GVDB: hash tables one after the other, with names and values after each.

_HEADER = b"GVariant\0\0\0\0\0\0\0\0"
_NOTHING = 0xFFFFFFFF


def gvdb(root: Mapping[str, bytes | Table]) -> bytes:
    """The table of schemas: each is a table of its own, whose keys and the schemas themselves have a root."""
    file = _File()
    start, end = file.table(root)
    return _HEADER + struct.pack("<II", start, end) + bytes(file.data[24:])


class _File:
    def __init__(self) -> None:
        self.data = bytearray(24)

    def table(self, items: Mapping[str, bytes | Table]) -> tuple[int, int]:
        """Add a table, and give where it begins and ends."""
        names = ["", *items]
        buckets: list[list[str]] = [[] for _ in names]
        for name in names:
            buckets[_hash(name) % len(names)].insert(0, name)
        order = [name for bucket in buckets for name in bucket]
        index = {name: number for number, name in enumerate(order)}
        self.data += b"\0" * (-len(self.data) % 4)
        start = len(self.data)
        size = 8 + 4 * len(names) + 24 * len(names)
        self.data += bytes(size)
        struct.pack_into("<II", self.data, start, 5 << 27, len(names))
        at = 0
        for number, bucket in enumerate(buckets):
            struct.pack_into("<I", self.data, start + 8 + 4 * number, at)
            at += len(bucket)
        where = start + 8 + 4 * len(names)
        for name in order:
            self._item(where + 24 * index[name], name, items, index)
        return start, start + size

    def _item(self, where: int, name: str, items: Mapping[str, bytes | Table], index: Mapping[str, int]) -> None:
        # What begins with a dot is about the schema, and no key of it.
        parent = _NOTHING if not name or name.startswith(".") else index[""]
        text = name.encode()
        begin = len(self.data)
        self.data += text
        if not name:
            kind = b"L"
            children = [index[each] for each in sorted(items) if not each.startswith(".")]
            self.data += b"\0" * (-len(self.data) % 4)
            start = len(self.data)
            self.data += struct.pack(f"<{len(children)}I", *children)
            end = len(self.data)
        else:
            value = items[name]
            if isinstance(value, bytes):
                kind = b"v"
                self.data += b"\0" * (-len(self.data) % 8)
                start, end = len(self.data), len(self.data) + len(value)
                self.data += value
            else:
                kind = b"H"
                start, end = self.table(value)
        struct.pack_into("<IIIHcxII", self.data, where, _hash(name), parent, begin, len(text), kind, start, end)


def _hash(name: str) -> int:
    found = 5381
    for letter in name.encode():
        # The builder takes bytes for signed.
        found = (found * 33 + (letter - 256 if letter > 127 else letter)) & 0xFFFFFFFF
    return found
