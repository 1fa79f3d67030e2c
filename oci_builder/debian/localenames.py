"""Names of locales as the C library reads them, and which of them a root filesystem has (setlocale(3), locale(7))."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind
from oci_builder.tree.tree import Tree

FOLDER = "usr/lib/locale"
ARCHIVE = f"{FOLDER}/locale-archive"
UTF8 = "utf8"

_NAME = re.compile(r"([A-Za-z]+(?:_[A-Za-z]+)?)(?:\.([A-Za-z0-9:_-]+))?(?:@([A-Za-z0-9]+))?\Z")
_CODESET = 14
"""Where LC_CTYPE has the name of its character set (``_NL_CTYPE_CODESET_NAME`` of langinfo.h)."""

_MAX_CTYPE = 16 << 20
_MAX_ARCHIVE = 8 << 20
"""Bytes of a file that is read for what it is called: an archive has its names at the beginning."""

_ARCHIVE_MAGIC = 0xDE020109
_MOST_NAMES = 20_000


@dataclass(frozen=True, slots=True)
class LocaleName:
    """A name in its parts: ``language`` with its territory, the normal spelling of the ``charset``, the ``modifier``.

    What was not written is empty; ``written`` is the charset as it stood there.
    """

    language: str
    charset: str
    modifier: str
    written: str

    @classmethod
    def parse(cls, text: str) -> LocaleName | None:
        """The name that ``text`` is; None where it is none."""
        match = _NAME.match(text)
        if match is None:
            return None
        return cls(match[1], normal_charset(match[2] or ""), match[3] or "", match[2] or "")

    @property
    def is_built_in(self) -> bool:
        """Whether the C library has it without a file: the C locale, since 2.35 in UTF-8 too."""
        known = {"C": ("", UTF8), "POSIX": ("",)}.get(self.language, ())
        return self.charset in known and not self.modifier

    @property
    def folders(self) -> Sequence[tuple[str, bool]]:
        """Where the C library looks, in its order; whether it has to be told by the file that the charset is right."""
        tail = f"@{self.modifier}" if self.modifier else ""
        named = [f"{self.language}.{each}{tail}" for each in dict.fromkeys((self.written, self.charset)) if each]
        return [*((name, False) for name in named), (f"{self.language}{tail}", bool(named))]


def is_built_in(text: str) -> bool:
    """Whether a locale of that name needs no file."""
    name = LocaleName.parse(text)
    return name is not None and name.is_built_in


def normal_charset(text: str) -> str:
    """A character set as folders are called after it: ``UTF-8`` as utf8, ``ISO-8859-15`` as iso885915."""
    plain = _plain(text)
    return f"iso{plain}" if plain.isdigit() else plain


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def find_locale(tree: Tree, text: str, sources: MappedFiles) -> str | None:
    """The folder that the C library would take for the locale ``text``; None where ``tree`` has none."""
    name = LocaleName.parse(text)
    for folder, is_asked in name.folders if name is not None else ():
        entry = tree.get(tree.resolve(f"{FOLDER}/{folder}/LC_CTYPE"))
        if entry is None or entry.kind is not Kind.FILE:
            continue
        if not is_asked or (name is not None and _plain(charset_of(entry, sources)) == _plain(name.written)):
            return folder
    return None


def charset_of(entry: Entry, sources: MappedFiles) -> str:
    """The character set that a file LC_CTYPE is for; nothing where it is no such file."""
    if entry.content is None or entry.size > _MAX_CTYPE:
        return ""
    data = sources.read(entry.content, what=entry.path)
    try:
        _, count = struct.unpack_from("<II", data)
        (start,) = struct.unpack_from("<I", data, 8 + 4 * _CODESET) if count > _CODESET else (len(data),)
    except struct.error:
        return ""
    return data[start : data.find(b"\0", start)].decode("ascii", "replace")


def has_locale(tree: Tree, text: str, sources: MappedFiles, *, speaks_utf8: bool = True) -> bool:
    """Whether containers of ``tree`` have the locale ``text``, as a folder, in the archive, or built in.

    Of a C library that is older than 2.35 C.UTF-8 is no locale of its own: it is none that ``speaks_utf8``.
    """
    name = LocaleName.parse(text)
    if name is None:
        return False
    is_built_in = name.is_built_in and (speaks_utf8 or not name.charset)
    if is_built_in or find_locale(tree, text, sources) is not None:
        return True
    return not {folder for folder, is_asked in name.folders if not is_asked}.isdisjoint(_archived(tree, sources))


def _archived(tree: Tree, sources: MappedFiles) -> Iterator[str]:
    """The names in the archive that localedef makes (glibc's locarchive.h)."""
    entry = tree.get(tree.resolve(ARCHIVE))
    if entry is None or entry.content is None:
        return
    data = bytearray()
    for chunk in sources.chunks(entry.content, what=ARCHIVE):
        data += chunk
        if len(data) >= _MAX_ARCHIVE:
            break
    try:
        magic, _, at, _, size = struct.unpack_from("<5I", data)
        if magic == _ARCHIVE_MAGIC:
            for number in range(min(size, _MOST_NAMES)):
                _, name, record = struct.unpack_from("<3I", data, at + 12 * number)
                if record:
                    yield data[name : data.find(b"\0", name)].decode("ascii", "replace")
    except struct.error:
        return


def names_in(tree: Tree) -> list[str]:
    """The locales that ``tree`` has as folders, as people write them."""
    start = f"{FOLDER}/"
    found = {path[len(start) :].partition("/")[0] for path in tree.paths if path.startswith(start)}
    return sorted(re.sub(r"\.utf8(?=@|\Z)", ".UTF-8", name) for name in found)


def nearest(text: str, names: Iterable[str]) -> list[str]:
    """Which of ``names`` may have been meant by ``text``, the likeliest first."""
    known = sorted(names)
    plain = {name: _plain(name) for name in known}
    wanted = _plain(text)
    same = [name for each in (f"{wanted}{UTF8}", wanted) for name in known if plain[name] == each]
    language = re.split(r"[_.@-]", text.lower())[0]
    # Of a language alone the country that is called like it, as de_DE is, comes first.
    spoken = [name for name in known if name.lower().startswith(f"{language}_") and name.endswith(".UTF-8")]
    spoken.sort(key=lambda name: name[3:5].lower() != language)
    place = re.split(r"[.@]", text.lower())[0]
    there = [name for name in known if re.split(r"[.@]", name.lower())[0] == place]
    there.sort(key=lambda name: (not name.endswith(".UTF-8"), name))
    close = get_close_matches(wanted, plain.values(), n=3, cutoff=0.8)
    alike = [name for name in known if plain[name] in close]
    ordered = [*same, *there, *(spoken if wanted == language else []), *alike, *spoken]
    return list(dict.fromkeys(ordered))[:3]
