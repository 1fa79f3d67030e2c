"""What commands of maintainer scripts read and say: lines of files of the tree, or of what is piped into them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from oci_builder.debian.shell import Call

MAX_NUMBER = 1_000_000


def lines_of(text: str) -> list[str]:
    """The lines of a text, without their newlines; the last one may have none."""
    return text.removesuffix("\n").split("\n") if text else []


def words_of(text: str) -> list[str]:
    """The words of a text between blanks of the C locale; those of Unicode are letters as others are."""
    return re.findall(r"[^ \t\n\v\f\r]+", text)


def texts_of(call: Call, paths: Sequence[str]) -> list[str] | None:
    """What the files hold, or what is piped; None where one is not there."""
    found = [call.stdin if path == "-" else text_at(call, path) for path in paths] if paths else [call.stdin]
    texts = [text for text in found if text is not None]
    call.shell.spend(sum(map(len, texts)))
    return texts if len(texts) == len(found) else None


def text_at(call: Call, path: str) -> str | None:
    """What a file holds; None where it is not there."""
    return call.tree.read(path) if path == "/dev/null" or call.tree.has(path) else None


def all_lines(call: Call, paths: Sequence[str]) -> list[str] | None:
    """The lines of the files, or of what is piped; None where one is not there."""
    texts = texts_of(call, paths)
    return None if texts is None else [line for text in texts for line in lines_of(text)]


def say_lines(call: Call, lines: Iterable[str]) -> int:
    """Say lines, and be content."""
    call.say("".join(f"{line}\n" for line in lines))
    return 0


def number_in(call: Call, text: str) -> int:
    """The number that is written, or the largest one that counts. Raises NotKnown for what is none."""
    if not re.fullmatch(r"[0-9]{1,7}", text):
        raise call.unknown(f"the number {text!r} is not known here")
    return min(int(text), MAX_NUMBER)


def bytes_of(line: str) -> bytes:
    """The bytes that a text was read from."""
    return line.encode("utf-8", "surrogateescape")
