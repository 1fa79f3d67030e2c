"""The options of requirements files: all that pip knows there, and what ocibuild takes of them.

An allow-list: what is not in ``TAKEN`` is refused, with a way out. A line is split as pip splits it, so that nothing
is an option for pip and a word for us: at spaces, from the first word that begins with a dash, then by ``shlex``, then
by ``optparse``, whose options may be abbreviated, bundled, repeated, and have their value in the same word or the next.
"""

from __future__ import annotations

import optparse
import re
import shlex
from dataclasses import dataclass
from functools import cache
from typing import NoReturn

FLAGS = ("--no-index", "--prefer-binary", "--require-hashes", "--no-require-hashes", "--pre")
"""Options without a value."""

VALUES: tuple[tuple[str, ...], ...] = (
    ("-i", "--index-url", "--pypi-url"),
    ("--extra-index-url",),
    ("-c", "--constraint"),
    ("-r", "--requirement"),
    ("-e", "--editable"),
    ("-f", "--find-links"),
    ("--no-binary",),
    ("--only-binary",),
    ("--all-releases",),
    ("--only-final",),
    ("--trusted-host",),
    ("--use-feature",),
    ("--hash",),
    ("-C", "--config-settings"),
)
"""Options with one; the long name that comes first is the one they are known by here."""

WHERE = frozenset({"--index-url", "--extra-index-url", "--no-index", "--find-links", "--trusted-host"})
"""Those that say where wheels are."""

NESTED = frozenset({"--requirement", "--constraint"})
IDLE = WHERE | NESTED | {"--prefer-binary", "--require-hashes", "--no-require-hashes", "--pre"}
"""Those that mean nothing beside a requirement."""

WHICH = frozenset(
    {"--prefer-binary", "--require-hashes", "--no-require-hashes", "--pre", "--all-releases", "--only-final"}
)
"""Those that say which versions and files may be chosen."""

WHEEL_OF = "build a wheel of it (beside this file: pip wheel --no-deps -w dist {}) and write its path, ./dist/NAME.whl"
PROJECT_OF = 'or have a project of yours built: project = "PATH" in image.toml, below [python], and no such line here'
# Not into wheels/: where that folder is, builds are offline.

REFUSED = {
    "--editable": (
        "an editable install points at this machine's files, which the image does not have",
        f"{WHEEL_OF.format('DIR')}; {PROJECT_OF}",
    ),
    "--no-binary": (
        "ocibuild installs wheels; building is asked for in the recipe",
        'name the projects in image.toml: [python] build = ["…"]',
    ),
    "--only-binary": (
        "with :none: it asks for source archives, and ocibuild installs wheels",
        'name the projects to build in image.toml: [python] build = ["…"]',
    ),
    "--config-settings": ("it is for building, and ocibuild installs wheels", "take it out of the file"),
    "--use-feature": ("it changes how pip works, which is ocibuild's affair here", "take it out of the file"),
}
"""Why an option is not taken, and what to do instead."""

_LISTS = ("--no-binary", "--only-binary", "--all-releases", "--only-final")
_PLAIN = re.compile(r"[\w@%+=:,./~${}-]+\Z", re.ASCII)
_HASH = re.compile(r"(?:sha256|sha384|sha512):[0-9A-Fa-f]+\Z")


@dataclass(frozen=True, slots=True)
class Option:
    """One option by its long name, with its value; "" for a flag."""

    name: str
    value: str = ""


def split(text: str) -> tuple[str, tuple[Option, ...]]:
    """The requirement and the options of a line.

    Raises ValueError for one that pip's parser would not take; its text is a clause and shows nothing of the line.
    """
    words = text.split(" ")
    at = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    if at == len(words):
        return text.strip(), ()
    try:
        options = shlex.split(" ".join(words[at:]))
    except ValueError as error:
        raise ValueError("a quote is not closed") from error
    # As pip does, words that belong to no option are passed over.
    values, _ = _parser().parse_args(options, optparse.Values({"found": []}))
    return " ".join(words[:at]).strip(), tuple(values.found)


def check_hash(option: Option) -> str:
    """The value of a ``--hash``. Raises ValueError."""
    if not _HASH.match(option.value):
        raise ValueError("--hash takes sha256:, sha384: or sha512: and hex digits")
    return option.value


def written(option: Option) -> str:
    """The option as a line of a requirements file."""
    if option.name in FLAGS:
        return option.name
    # pip fills in variables before it looks at quotes: those need none.
    value = option.value if _PLAIN.match(option.value) else shlex.quote(option.value)
    return f"{option.name} {value}"


class _Parser(optparse.OptionParser):
    def error(self, msg: str) -> NoReturn:
        # The message quotes the line, which may be of any file.
        raise ValueError("not options that pip takes in a requirements file")


@cache
def _parser() -> _Parser:
    parser = _Parser(add_help_option=False)

    def keep(option: object, spelt: str, value: str | None, parser: _Parser, name: str) -> None:
        assert parser.values is not None
        if name in _LISTS and value is not None and value.startswith("-"):
            raise ValueError("an option stands where the value of another was expected")
        parser.values.found.append(Option(name, value or ""))

    for names in VALUES:
        long = next(name for name in names if name.startswith("--"))
        parser.add_option(*names, action="callback", type="string", callback=keep, callback_args=(long,))
    for name in FLAGS:
        parser.add_option(name, action="callback", callback=keep, callback_args=(name,))
    return parser
