"""The lines of requirements files and of what they include, as pip would read them, within limits.

What a line says is shown to nobody here: an include may lead to any file of this machine.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from oci_builder import inputs
from oci_builder.errors import NotFound, RecipeError, UnsupportedRequirement
from oci_builder.files import open_regular
from oci_builder.wheels import options
from oci_builder.wheels.closure import is_made
from oci_builder.wheels.options import Option
from oci_builder.wheels.slips import hint_of_options
from oci_builder.wheels.wheelurl import local_path

LIMIT = 4 << 20
"""Bytes of a requirements file; the longest known ones, with hashes, have a tenth of that."""

TOTAL = 16 << 20
"""Bytes of all files together, each counted as often as it is included."""

FILES, DEPTH = 1000, 40
"""Files that are read, each counted as often as it is included, and how deep they may include each other."""

LINES = 20_000
"""Lines that say something, in all files together: pip takes a step for each pair of those about one project."""

LINE = 1 << 16
"""Characters of a line; the hashes of the largest project take a tenth."""

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_SETTINGS = ("PIP_", "_PIP_", "PYTHON")
_REMOTE, _FILE = re.compile(r"https?:", re.IGNORECASE), re.compile(r"file:", re.IGNORECASE)
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_HIDING = ("utf-7", "unicode_escape", "raw_unicode_escape", "punycode", "idna", "undefined", "unicode-escape")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line without its comment.

    ``text`` is what it requires, "" for a line of options; in it and in ``options`` variables are filled in, in
    ``plain`` they stand as they are written. ``folder`` is where relative paths of wheels begin.
    """

    file: Path
    number: int
    text: str
    options: tuple[Option, ...]
    plain: tuple[str, tuple[Option, ...]]
    constraint: bool
    folder: Path

    @property
    def place(self) -> str:
        """``requirements.txt:3``."""
        return f"{self.file}:{self.number}"

    def refused(self, what: str, why: str, hint: str) -> UnsupportedRequirement:
        """The error for what pip would take and ocibuild does not."""
        return UnsupportedRequirement(what, self.place, why, hint=hint)

    def wrong(self, why: str, hint: str | None = None) -> RecipeError:
        """The error for a line that says nothing; it does not show the line, which may be of any file."""
        return RecipeError(str(self.file), "", why, line=self.number, hint=hint)


class Reader:
    """Reads files; what it has read counts against the limits as long as it lives.

    ``made`` are the files of constraints that were made with a lock, which say nothing here.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder, self._environ = folder, environ
        self._files = self._bytes = self._lines = 0
        self.made: list[Path] = []

    def read(self, file: Path, *, constraint: bool, above: tuple[Path, ...] = ()) -> Iterator[Line]:
        """The lines of ``file`` and, in their place, of what it includes; options that include are not among them.

        Raises RecipeError (a line that pip would not take, too much), UnsupportedRequirement, NotFound.
        """
        content = self._content(file, above)
        if constraint and above and is_made(content):
            self.made.append(file)
            return
        for number, raw in _logical_lines(content):
            self._lines += 1
            if self._lines > LINES:
                raise RecipeError(str(file), "", f"with it there are more than {LINES} lines", line=number)
            line = self._line(file, number, raw, constraint)
            nested = None if line.text else _nested(line.options)
            if nested is None:
                yield line
                continue
            inner = _included(line, nested.value)
            if len(above) >= DEPTH:
                raise line.wrong(f"files include each other more than {DEPTH} deep")
            if _resolved(inner) in map(_resolved, (*above, file)):
                raise line.wrong("a file cannot include itself")
            # As in pip: what a file of constraints requires with -r is required.
            yield from self.read(inner, constraint=nested.name == "--constraint", above=(*above, file))

    def line(self, file: Path, number: int, raw: str, *, hashed: bool = False) -> Line:
        """A requirement that stands in no requirements file, as pip will read it in one made for it.

        With ``hashed`` it may have hashes, as in a lock.
        """
        found = [text for _, text in _logical_lines(raw)]
        line = self._line(file, number, found[0] if len(found) == 1 else "", constraint=False)
        if not line.text or any(not hashed or option.name != "--hash" for option in line.options):
            raise line.wrong("not a requirement")
        return line

    def _line(self, file: Path, number: int, raw: str, constraint: bool) -> Line:
        nothing = ("", ())
        bare = Line(
            file=file, number=number, text="", options=(), plain=nothing, constraint=constraint, folder=self._folder
        )
        if len(raw) > LINE:
            raise bare.wrong(f"a line of more than {LINE} characters")
        if not _is_text(raw):
            raise bare.wrong("a line with control characters")
        try:
            if "${" not in raw:
                text, found = plain = options.split(raw)
            else:
                text, found = options.split(self._filled(bare, raw))
                plain = self._plain(bare, raw, text, found)
        except ValueError as error:
            raise bare.wrong(str(error), hint_of_options(raw)) from error
        if not text and raw.startswith(("- ", "-\t")):
            raise bare.wrong("not a requirement", hint_of_options(raw))
        return replace(bare, text=text, options=found, plain=plain)

    def _plain(self, line: Line, raw: str, text: str, found: tuple[Option, ...]) -> tuple[str, tuple[Option, ...]]:
        """The line as it is given to pip, which fills in variables itself: then nothing they hold is written down."""
        # But for those that are settings of pip and Python: they are not run with the user's.
        written = self._filled(line, raw, only=_SETTINGS)
        plain = None
        with contextlib.suppress(ValueError):
            plain = options.split(written)
        if plain is not None and bool(plain[0]) == bool(text) and _names(plain[1]) == _names(found):
            known = set(_VARIABLE.findall(raw))
        else:
            # A variable stands for options, or for a whole line: what pip would find behind it was read here.
            known, written, plain = set(), self._filled(line, raw), (text, found)
        if any(inputs.variable(self._environ, name) for name in set(_VARIABLE.findall(written)) - known):
            raise line.wrong("a variable holds another, which pip would fill in here and nowhere else")
        return plain

    def _filled(self, line: Line, raw: str, *, only: tuple[str, ...] = ("",)) -> str:
        """The line with its variables, but for those that are not set. As in pip, a value may name another of them."""
        text = raw
        for name in _VARIABLE.findall(raw):
            if name.startswith(only) and (value := inputs.variable(self._environ, name)):
                text = text.replace(f"${{{name}}}", value)
                if len(text) > LINE or not _is_text(text):
                    raise line.wrong("with its variables filled in it is too long, or no text")
        return text

    def _content(self, file: Path, above: tuple[Path, ...]) -> str:
        data = _read(file, above)
        self._files += 1
        self._bytes += len(data)
        if len(data) > LIMIT:
            raise RecipeError(str(file), "", f"longer than {LIMIT} bytes")
        if self._files > FILES or self._bytes > TOTAL:
            most = f"{FILES} files" if self._files > FILES else f"{TOTAL} bytes"
            raise RecipeError(str(above[0] if above else file), "", f"it and what it includes come to more than {most}")
        return _decoded(data, file)


def _names(found: tuple[Option, ...]) -> list[str]:
    return [option.name for option in found]


def _nested(found: tuple[Option, ...]) -> Option | None:
    """The include of a line of options, which is all that pip looks at then: the first -r, else the first -c."""
    for name in ("--requirement", "--constraint"):
        for option in found:
            if option.name == name:
                return option
    return None


def _included(line: Line, value: str) -> Path:
    if _REMOTE.match(value):
        raise line.refused(
            "an include",
            "an included file must lie on this machine, where a lock can watch it",
            f"download it beside {line.file.name} and name the copy",
        )
    if _FILE.match(value):
        try:
            return Path("/", local_path(value))
        except ValueError as error:
            raise line.wrong(str(error)) from error
    # As pip does it, by its letters: ".." is what stands before it, also behind a link.
    return Path(os.path.normpath(line.file.parent / value))


def _resolved(path: Path) -> Path:
    try:
        return inputs.real(path)
    except (OSError, RuntimeError, ValueError):
        return path  # reading it tells what is the matter


def _read(file: Path, above: tuple[Path, ...]) -> bytes:
    try:
        with open_regular(file) as stream:
            return stream.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        asked = f"included by {above[-1]}" if above else "named by the recipe"
        why = "" if isinstance(error, FileNotFoundError) else f": {getattr(error, 'strerror', None) or error}"
        hint = f"it is {asked}{why}"
        raise NotFound("requirements file", file.name, searched=[str(file.parent)], hint=hint) from error


def _decoded(data: bytes, file: Path) -> str:
    """The text as pip decodes it: by its byte order mark, else by what a comment in its first lines says, else UTF-8.

    Encodings whose text is not what it looks like are refused: they can hide lines.
    """
    mark, encoding = next(((mark, name) for mark, name in _BOMS if data.startswith(mark)), (b"", "utf-8"))
    if not mark:
        for line in data.split(b"\n", 2)[:2]:
            if line[:1] == b"#" and (found := _CODING.search(line)):
                encoding = _encoding(found[1].decode("ascii"), file)
                break
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        hint = "write it in UTF-8, or say which encoding it has in the first line: # -*- coding: latin-1 -*-"
        why = f"not {encoding} text: {error.reason} at byte {error.start}"
        raise RecipeError(str(file), "", why, hint=hint) from error
    except (LookupError, ValueError) as error:  # codecs that make no text of bytes, or no sense
        raise RecipeError(str(file), "", f"{encoding} is no encoding of text", hint="write it in UTF-8") from error


def _encoding(name: str, file: Path) -> str:
    try:
        known = codecs.lookup(name).name
    except (LookupError, ValueError):
        known = ""
    if known in _HIDING or not known:
        what = "an encoding that nobody knows" if not known else "an encoding that can hide lines"
        raise RecipeError(str(file), "", f"its first lines name {what}", hint="write it in UTF-8")
    return known


def _logical_lines(content: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined and comments dropped, by the number of their first line (as pip does it)."""
    start, parts = 0, list[str]()
    for number, line in enumerate(content.splitlines(), start=1):
        start = start if parts else number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        # A comment ends a continued line, and is none of it.
        parts.append("" if is_comment and parts else line)
        yield from _cleaned(start, "".join(parts))
        parts = []
    yield from _cleaned(start, "".join(parts))


def _cleaned(number: int, line: str) -> Iterator[tuple[int, str]]:
    if text := _COMMENT.sub("", line).strip():
        yield number, text


def _is_text(text: str) -> bool:
    """Whether ``text`` has no control characters but tabs, and nothing that ends a line for anybody."""
    return text.replace("\t", " ").isprintable() or not re.search(
        r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", text
    )
