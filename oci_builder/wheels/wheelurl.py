"""URLs of wheels: what may be handed to pip as the place of one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

LONGEST = 4096
"""Characters of a URL."""

# What a URL consists of (RFC 3986), and letters that it should have in %: nothing that ends a word or a line, or is a
# variable, for whoever reads it next.
_CHARACTERS = re.compile(r"[\w.~:/?#\[\]@!$&'()*+,;=%\x80-\U0010ffff-]+\Z")

_SCHEMES = re.compile(r"(?i:https?:)|file:")


@dataclass(frozen=True, slots=True)
class WheelUrl:
    """A URL without its fragment, the name of the file it leads to, and that file where it is on this machine."""

    url: str
    filename: str
    path: Path | None

    @property
    def name(self) -> str:
        """The project's normalised name."""
        return parse_wheel_filename(self.filename)[0]

    def check_fits(self, name: str, version: str) -> None:
        """Raise ValueError, with a clause, where the file's name is another project's or version's."""
        check_filename(self.filename, name, version)


def parse_wheel_url(text: str) -> WheelUrl:
    """The URL in ``text``; it leads to a file with the name of a wheel, by http, https or on this machine.

    Raises ValueError, whose text is a clause.
    """
    if len(text) > LONGEST:
        raise ValueError(f"a URL of more than {LONGEST} characters")
    if not (_CHARACTERS.match(text) and text.isprintable()):
        raise ValueError("a URL with characters that no URL has")
    parts = urlsplit(text)
    # pip takes http and https however they are spelt, and file in small letters.
    if not _SCHEMES.match(text):
        raise ValueError("its URL is neither http, https nor a file of this machine")
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise ValueError("its URL is of a file on another machine")
    if parts.scheme != "file" and not parts.hostname:
        raise ValueError("its URL names no host")
    path = unquote(parts.path, errors="strict")
    filename = path.rpartition("/")[2]
    if not path.isprintable():
        raise ValueError("a URL with control characters")
    if not filename.endswith(".whl"):
        raise ValueError("its URL does not lead to a wheel")
    _parse(filename)
    return WheelUrl(parts._replace(fragment="").geturl(), filename, Path(path) if parts.scheme == "file" else None)


def local_path(url: str) -> str:
    """The path of a file: URL, which may be relative. Raises ValueError."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ValueError("its URL is of a file on another machine")
    path = unquote(parts.path, errors="strict")
    if not path or not path.isprintable():
        raise ValueError("its URL names no file")
    return path


def check_filename(filename: str, name: str, version: str) -> None:
    """Raise ValueError, with a clause, where ``filename`` is not that of a wheel of this project and version."""
    found, its, *_ = _parse(filename)
    if found != canonicalize_name(name):
        raise ValueError(f"{filename[:200]} is not the name of a wheel of {name}")
    if version and its != Version(version):
        raise ValueError(f"{filename[:200]} is not the name of a wheel of {name} {version}")


def _parse(filename: str) -> tuple[str, Version]:
    try:
        return parse_wheel_filename(filename)[:2]
    except InvalidWheelFilename as error:
        raise ValueError(f"{filename[:200]!r} is not the name of a wheel") from error
