"""One requirement: what a line asks for, and the refusal of what is no wheel."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from oci_builder import inputs
from oci_builder.wheels import options
from oci_builder.wheels.lines import Line
from oci_builder.wheels.options import Option
from oci_builder.wheels.pip import redact
from oci_builder.wheels.wheelurl import parse_wheel_url

LONGEST = 4096
"""Characters of a requirement without its options."""


_GAP = re.compile(r"\s{100}")


_VCS = re.compile(r"(git|hg|svn|bzr)\+", re.IGNORECASE)


_SCHEME = re.compile(r"(https?|ftp|file):|(git|hg|svn|bzr)\+", re.IGNORECASE)


_EXTRAS = re.compile(r"(\[[^\[\]]*\])$")


_ARCHIVES = (
    *(".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz"),
    *(".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementLine:
    """One line that asks for, or limits, a project.

    ``name`` is normalised; ``wheel`` is the local wheel it names; ``text`` is the line without its hashes. ``raw`` is
    what pip is given, "" where it finds that in the wheel of a project built here.
    """

    file: Path
    line: int
    text: str
    raw: str
    name: str
    constraint: bool
    wheel: Path | None = None
    specifier: str = ""
    hashes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """``requirements.txt:3``."""
        return f"{self.file}:{self.line}"


def is_taken(line: Line, option: Option) -> bool:
    """Whether an option says more than is so anyway. Raises UnsupportedRequirement for what is not taken."""
    if option.name == "--only-binary" and ":none:" not in option.value:
        return False  # nothing else is chosen
    if option.name in options.REFUSED:
        raise line.refused(option.name, *options.REFUSED[option.name])
    return True


def parse_requirement(line: Line) -> RequirementLine:
    """The requirement of a line. Nothing of the line is shown before it has turned out to be one."""
    if len(line.text) > LONGEST:
        raise line.wrong(f"a requirement of more than {LONGEST} characters")
    if _GAP.search(line.text):
        # pip's pattern for comments takes quadratic time for it.
        raise line.wrong("a gap of a hundred blanks")
    hashes = tuple(_hash(line, option) for option in line.options if _is_heard(line, option))
    text = " ".join(line.text.split())
    if _SCHEME.match(line.text):
        url, _, _ = line.text.partition("; ")
        return _direct(line, text, url.strip(), hashes)
    if (path := _path(line, line.text)) is not None:
        return _local(line, text, path, hashes)
    try:
        parsed = Requirement(line.text)
    except (InvalidRequirement, RecursionError, ValueError) as error:
        # What packaging says of it shows the line from the second line on.
        why = f"not a requirement: {str(error).splitlines()[0]}" if isinstance(error, InvalidRequirement) else ""
        hint = "a version is set with ==" if re.match(r"[\w.\[\]-]+\s*=[^=]", text) else None
        raise line.wrong(why or "not a requirement", hint) from error
    if parsed.url is not None:
        return _direct(line, text, parsed.url, hashes, name=canonicalize_name(parsed.name))
    return _line(line, text, canonicalize_name(parsed.name), hashes, specifier=str(parsed.specifier))


def _is_heard(line: Line, option: Option) -> bool:
    """Whether an option beside a requirement means something there: pip hears hashes, and passes over most others."""
    if not is_taken(line, option) or option.name in options.IDLE:
        return False
    if option.name != "--hash":
        raise line.wrong(f"{option.name} beside a requirement", "give it a line of its own")
    return True


def _hash(line: Line, option: Option) -> str:
    try:
        return options.check_hash(option)
    except ValueError as error:
        raise line.wrong(str(error)) from error


def _direct(line: Line, text: str, url: str, hashes: tuple[str, ...], *, name: str = "") -> RequirementLine:
    shown = redact(text)
    if _VCS.match(url):
        raise line.refused(
            shown,
            "a version control checkout is not a wheel",
            "build a wheel of that commit (pip wheel --no-deps -w wheels URL) and require NAME==VERSION",
        )
    try:
        found = parse_wheel_url(url)
    except ValueError as error:
        if "name of a wheel" in str(error):
            raise line.wrong(str(error)) from error
        raise line.refused(
            shown if _SCHEME.match(url) else "a URL",
            f"a URL must lead to a wheel: {error}",
            "build a wheel of it (pip wheel --no-deps -w wheels URL) and require NAME==VERSION, or name the .whl",
        ) from error
    if name and found.name != name:
        raise line.wrong(f"the URL of {name} leads to a wheel of {found.name}")
    if found.path is not None:
        return _local(line, shown, line.folder / found.path, hashes)
    return _line(line, shown, found.name, hashes)


def _path(line: Line, text: str) -> Path | None:
    """The file or folder that pip takes the requirement for, or None where it is none."""
    name = text.partition(";")[0].strip()
    path = Path(_EXTRAS.sub("", os.path.normpath(line.folder / name)))
    mode = mode_of(path)
    if ("/" in name or name.startswith(".")) and stat.S_ISDIR(mode):
        return path
    if path.name.lower().endswith(_ARCHIVES):
        before, at, _ = name.partition("@")
        if stat.S_ISREG(mode) or not at or "/" in before or before.startswith("."):
            return path
    # Not for pip, which would say that it is no requirement; what a person means is a path.
    return path if name.startswith((".", "/", "~")) else None


def _local(line: Line, text: str, path: Path, hashes: tuple[str, ...]) -> RequirementLine:
    mode = mode_of(path)
    exists = mode != 0
    if stat.S_ISDIR(mode) or path.suffix != ".whl":
        raise line.refused(
            text if exists else "a path",
            "a local project or archive is not a wheel",
            "build a wheel of it (pip wheel --no-deps -w wheels PATH) and require that wheel",
        )
    try:
        name = parse_wheel_filename(path.name)[0]
    except InvalidWheelFilename as error:
        shown = f"{path.name!r} is" if exists else "this is"
        raise line.wrong(f"{shown} not the name of a wheel") from error
    if not stat.S_ISREG(mode):
        why = f"{path} is not a file" if exists else f"there is no {path}"
        raise line.wrong(why, f"paths are taken from {line.folder}")
    return _line(line, text, name, hashes, wheel=path)


def mode_of(path: Path) -> int:
    """What is at ``path``; 0 where there is nothing, or nothing could be."""
    try:
        return inputs.mode_of(path)
    except (OSError, ValueError):
        return 0


def _line(
    line: Line, text: str, name: str, hashes: tuple[str, ...], *, wheel: Path | None = None, specifier: str = ""
) -> RequirementLine:
    return RequirementLine(
        file=line.file,
        line=line.number,
        text=text,
        raw=" ".join([line.plain[0], *(f"--hash={text}" for text in hashes)]),
        name=name,
        constraint=line.constraint,
        wheel=wheel,
        specifier=specifier,
        hashes=hashes,
    )
