"""The only door to the terminal: what is said to a person (stderr) and what is data (stdout).

Whatever text came from elsewhere (an image, a registry, a package, a file's name) passes here, and nothing in it moves
a cursor, changes a title or turns the letters after it round: such characters are shown as escapes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from oci_builder.errors import OcibuildError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_LONGEST = 4000
"""Letters of a line that is said."""

_WIDE = 400
"""Columns where there is no terminal: nothing is folded there, so that lines can be searched."""

_RAW = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON lets stand as it is, and a terminal acts upon."""


class Undelivered(OcibuildError):
    """Data that stdout did not take; ``reader_left`` where that is because nobody reads it any more (``| head``)."""

    def __init__(self, why: str, *, reader_left: bool) -> None:
        super().__init__(f"stdout: {why}")
        self.why, self.reader_left = why, reader_left


def printable(text: str, longest: int | None = None) -> str:
    """``text`` on one line, with an escape for every character that is not simply shown."""
    if longest is not None and len(text) > longest:
        return f"{printable(text[:longest])[: longest - 1]}…"
    safe = text if text.isprintable() else "".join(char if char.isprintable() else _escape(char) for char in text)
    return safe if longest is None or len(safe) <= longest else f"{safe[: longest - 1]}…"


def indented(text: str) -> str:
    """``text`` with all lines but the first moved in: none that somebody else wrote passes for one of ours."""
    first, *others = text.split("\n")
    return "\n".join([first, *(line if line.startswith("  ") or not line else f"  {line}" for line in others)])


def say(text: str, *, arranged: bool = False) -> None:
    """Talk: to stderr, where it mixes with no data; whoever cannot be told is not.

    Further lines are moved in, unless the text is ``arranged``: then they are the caller's own.
    """
    lines = (text if arranged else indented(text)).split("\n")
    _tried(sys.stderr, "".join(f"{printable(line, _LONGEST)}\n" for line in lines))


def tell(text: str = "") -> None:
    """A line of data. Raises Undelivered."""
    _deliver("".join(f"{printable(line)}\n" for line in indented(text).split("\n")))


def tell_json(document: Mapping[str, object] | Sequence[object]) -> None:
    """A document on one line, valid for every reader: no half of a surrogate pair, no NaN. Raises Undelivered."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        document = _valid(document)
    _deliver(json.dumps(document, allow_nan=False) + "\n")


def tell_document(document: bytes) -> None:
    """A JSON document as it is spelled, but for what a terminal would act upon. Raises Undelivered."""
    _deliver(_RAW.sub(lambda found: f"\\u{ord(found[0]):04x}", document.decode()))


def draw(shown: RenderableType) -> None:
    """Anything of rich's on stdout, without the blanks it fills lines up with; its text is printable already.

    Raises Undelivered.
    """
    from rich.console import Console

    terminal = sys.stdout is not None and sys.stdout.isatty()
    sheet = _Sheet(getattr(sys.stdout, "encoding", None) or "utf-8")
    width = None if terminal else _WIDE
    console = Console(file=sheet, force_terminal=terminal, highlight=False, emoji=False, width=width)
    console.print(shown)
    _deliver("".join(f"{line.rstrip()}\n" for line in sheet.getvalue().split("\n")[:-1]))


def console() -> Console:
    """A console of rich's that talks, for what moves; what it cannot write it does not."""
    from rich.console import Console

    return Console(file=_Tolerant(sys.stderr), highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]  # it is as much of a file as rich asks for


def is_terminal() -> bool:
    """Whether somebody watches what is said."""
    return sys.stderr is not None and sys.stderr.isatty()


def prepare() -> None:
    """Have three standard files, whatever we were started with, and letters that none of them can refuse.

    A file that is opened while one is missing would take its number: pip's warnings would be written into an image.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # What was closed cannot be written to or read from, and says so; but nobody misses what is said.
            made = os.open(os.devnull, mode)
            if made != number:
                os.dup2(made, number)
                os.close(made)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            raw = io.FileIO(1 if name == "stdout" else 2, "w", closefd=False)
            setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def finish() -> None:
    """Have all data delivered. Raises Undelivered."""
    _written(sys.stdout)


def forget() -> None:
    """Let go of what stdout did not take, or the interpreter would complain of it when it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        sys.stdout.flush()


def _deliver(text: str) -> None:
    _written(sys.stdout, text)


def _written(stream: IO[str] | None, text: str = "") -> None:
    if stream is None:
        raise Undelivered("it is closed", reader_left=False)
    try:
        if text:  # not even nothing can be written to a disk that is full
            stream.write(text)
        stream.flush()
    except BrokenPipeError as error:
        raise Undelivered("nobody reads it", reader_left=True) from error
    except (OSError, ValueError) as error:  # a ValueError of one that is closed
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is closed"
        raise Undelivered(why.lower(), reader_left=False) from error


def _tried(stream: IO[str] | None, text: str) -> None:
    with contextlib.suppress(Undelivered):
        _written(stream, text)


def _escape(char: str) -> str:
    # A tab in somebody's text is a blank; where it would lead depends on the terminal.
    return " " if char == "\t" else ascii(char)[1:-1]


def _valid(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_valid(key): _valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class _Sheet(io.StringIO):
    """What is drawn, for a stream of another encoding: rich asks for it, and draws no letters that it lacks."""

    encoding: str = ""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self.encoding = encoding


class _Tolerant:
    """A stream that may be full or gone."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or not."""
        _tried(self._stream, text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self._stream, name)
        return found
