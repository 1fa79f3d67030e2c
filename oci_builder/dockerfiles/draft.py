"""What is known so far of an image, while its Dockerfile is read: the recipe to be, and what is said of each line."""

from __future__ import annotations

import enum
import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path

from oci_builder.bounded import parse_decimal
from oci_builder.dockerfiles.parsing import Expanding
from oci_builder.errors import InvalidValue

RECIPE = "image.toml"
INSTALLERS_OWN = re.compile(r"(PIP|UV|POETRY|PDM|PIPENV|VIRTUALENV)_\w+|VIRTUAL_ENV|DEBIAN_FRONTEND")
"""Variables that installers read, and nothing that runs in an image."""

_LAST_ID = 4_294_967_294
_LONGEST_PATH = 4096
"""Linux, limits.h: PATH_MAX."""


class Verdict(enum.Enum):
    """What becomes of a line of a Dockerfile."""

    DONE = "done"
    NOT_NEEDED = "not needed"
    BY_HAND = "by hand"
    CANNOT = "cannot"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is said of one line."""

    line: int
    verdict: Verdict
    text: str


@dataclass(kw_only=True)
class Copied:
    """One thing that is copied: from ``src`` below the folder of the Dockerfile to ``dest`` in the image."""

    src: str
    dest: str
    line: int
    is_folder: bool
    image: str = ""
    """The image that it comes out of; empty for files of the folder that the Dockerfile lies in."""

    include: str = ""
    owner: str = ""
    mode: str = ""
    note: str = ""
    is_dropped: bool = False
    exclude: list[str] = field(default_factory=list)
    """Patterns of what is removed again."""

    @property
    def place(self) -> str:
        """Where it lies: a file that is copied into a folder has its own name there."""
        return posixpath.join(self.dest, posixpath.basename(self.src)) if self.dest.endswith("/") else self.dest


@dataclass(kw_only=True)
class Account:
    """A user that is made."""

    name: str
    uid: int | None = None
    gid: int | None = None
    home: str = ""
    shell: str = ""
    group: str = ""
    groups: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Draft:
    """The recipe to be. ``context`` is the folder of the Dockerfile, whose files are looked at where they are there."""

    context: Path | None = None
    rows: list[Row] = field(default_factory=list)
    base: str = ""
    user: str = ""
    packages: dict[str, int] = field(default_factory=dict)
    """Debian packages, and the line of each."""

    requirements: list[str] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    project: str = ""
    extras: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    copies: list[Copied] = field(default_factory=list)
    folders: dict[str, dict[str, str]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    group_ids: dict[str, int | None] = field(default_factory=dict)
    config: dict[str, object] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    locales: list[str] = field(default_factory=list)
    """Locales that are made."""

    ignored: list[str] = field(default_factory=list)
    """Lines of a .dockerignore."""

    owned: list[tuple[str, str]] = field(default_factory=list)
    """Paths of the image that are given to a user, by name, with all in them."""

    def say(self, line: int, verdict: Verdict, text: str) -> None:
        """Say something of a line."""
        self.rows.append(Row(line=line, verdict=verdict, text=text))

    def write(self, name: str, text: str) -> str:
        """Have a file beside the recipe; its name there, which is no other's and not the recipe's own."""
        free, count = name, 1
        while free == RECIPE or free in self.files:
            count += 1
            free = f"{count}-{name}"
        self.files[free] = text
        return free

    def is_folder(self, src: str) -> bool:
        """Whether what is copied is a folder: as it lies there, else by what it is called."""
        if self.context is not None and (self.context / src).exists():
            return (self.context / src).is_dir()
        name = posixpath.basename(posixpath.normpath(src))
        return src.endswith("/") or name == "." or ("." not in name.lstrip(".") and not name.isupper())


def number_of(text: str, *, most: int = _LAST_ID) -> int | None:
    """The number that ``text`` is, by default a user's or group's; None for what is none, or is too large."""
    try:
        return parse_decimal(text, most=most)
    except ValueError:
        return None


@dataclass(kw_only=True)
class Place:
    """Where a stage stands while its lines are read. ``is_final`` tells what ends in the image from what only helps."""

    draft: Draft
    expanding: Expanding = field(default_factory=Expanding)
    is_final: bool = True
    workdir: str = "/"
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    user: str = ""
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    copies: list[Copied] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)
    """Files of requirements that a tool makes of a lock, and that."""

    environments: list[str] = field(default_factory=list)
    """Folders of virtual environments: of the image's own Python here."""

    def expand(self, word: str) -> str:
        """A word with the variables that are set; PATH is what the base says."""
        return self.expanding.expand(word, {"PATH": "${PATH}", **self.args, **self.env})

    def path(self, word: str) -> str:
        """An absolute path of the image. Raises InvalidValue for one that no system has."""
        path = posixpath.normpath(posixpath.join(self.workdir, word))
        if len(path) > _LONGEST_PATH:
            why = f"below its WORKDIR it has more than {_LONGEST_PATH} letters"
            raise InvalidValue("path of a Dockerfile", word[:100], why)
        return f"/{path.lstrip('/')}"

    def source(self, path: str) -> str | None:
        """What was copied to ``path`` of the image, below the folder of the Dockerfile; None for nothing."""
        for copy in reversed(self.copies):
            place = posixpath.normpath(copy.place)
            if path == place:
                return copy.src
            if copy.is_folder and path.startswith(f"{place.rstrip('/')}/"):
                return posixpath.normpath(posixpath.join(copy.src, path[len(place.rstrip("/")) + 1 :]))
        return None

    def removed(self, path: str) -> list[str]:
        """Patterns of what was removed again of the folder that was copied to ``path``."""
        found = (copy for copy in self.copies if posixpath.normpath(copy.place) == path)
        return [each for copy in found for each in copy.exclude]
