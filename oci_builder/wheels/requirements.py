"""Requirements, read as far as ocibuild has something to say: what it refuses, and what a lock depends on.

pip is given the same lines again to resolve them, in a file made for it: what it reads is what was read here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from oci_builder import inputs
from oci_builder.digest import digest_file
from oci_builder.redaction import redact_text
from oci_builder.wheels import options, slips
from oci_builder.wheels.lines import Line, Reader
from oci_builder.wheels.options import PROJECT_OF, WHEEL_OF, Option
from oci_builder.wheels.project_requirements import ProjectRequirements
from oci_builder.wheels.wheelurl import local_path, parse_wheel_url

LONGEST = 4096
"""Characters of a requirement without its options."""

_GAP = re.compile(r"\s{100}")
_VCS = re.compile(r"(git|hg|svn|bzr)\+", re.IGNORECASE)
_SCHEME = re.compile(r"(https?|ftp|file):|(git|hg|svn|bzr)\+", re.IGNORECASE)
_EXTRAS = re.compile(r"(\[[^\[\]]*\])$")
# Those that pip takes for archives, wherever they stand.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """All that is asked for: requirements and constraints, and the options beside them, as lines for pip."""

    lines: tuple[RequirementLine, ...]
    options: tuple[str, ...]
    where: tuple[str, ...]
    """Those of ``options`` that say where wheels are; they may hold credentials."""
    made: tuple[Path, ...] = ()
    """Files of constraints that locking makes (``closure``), and that say nothing here."""


def read(
    files: Sequence[Path | ProjectRequirements],
    *,
    constraints: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
) -> Requirements:
    """Every requirement, constraint and option of ``files`` and of what they include, in order of reading.

    Relative paths of local wheels are taken from the folder of the first file, where pip is run too; relative folders
    of options are made absolute. ``environ`` fills ``${NAME}``. Raises UnsupportedRequirement (VCS, editable, local
    project, source archive, an option that would build), RecipeError (a line that does not parse, or too much),
    NotFound (a missing file).
    """
    tasks = [*((file, False) for file in files), *((file, True) for file in constraints)]
    reader = Reader(_place(tasks[0][0]) if tasks else Path(), environ or {})
    found: list[RequirementLine] = []
    every: list[Option] = []
    for file, constraint in tasks:
        for line in _read(reader, file, constraint):
            if not line.text:
                every += _options(line)
                continue
            asked = _requirement(line)
            found.append(replace(asked, raw="") if isinstance(file, ProjectRequirements) and file.project else asked)
    written = [(each.name, options.written(each)) for each in every]
    return Requirements(
        lines=tuple(found),
        options=tuple(text for _, text in written),
        where=tuple(text for name, text in written if name in options.WHERE),
        made=tuple(dict.fromkeys(reader.made)),
    )


def scan(
    files: Sequence[Path | ProjectRequirements],
    *,
    constraints: Sequence[Path] = (),
    environ: Mapping[str, str] | None = None,
) -> tuple[RequirementLine, ...]:
    """The lines of ``read``."""
    return read(files, constraints=constraints, environ=environ).lines


def index_options(
    files: Sequence[Path | ProjectRequirements], *, environ: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The options of ``read`` that say where wheels are (``--index-url`` …). They may hold credentials."""
    return read(files, environ=environ).where


def fingerprint(
    lines: Iterable[RequirementLine],
    *,
    build: Collection[str] = (),
    targets: Collection[str] = (),
    project: Collection[str] = (),
) -> str:
    """A hex digest of all that decides a resolution, but not of when it is made nor of the index it asks.

    Comments, spacing, order and the division into files do not count; the bytes of local wheels do.
    ``project`` is whatever else of a project built here decides.
    """
    asked = [
        [line.text, line.constraint, sorted(line.hashes), digest_file(str(line.wheel))[0].hex if line.wheel else ""]
        for line in lines
    ]
    document = {"lines": sorted(asked), "build": sorted(map(canonicalize_name, build)), "targets": sorted(targets)}
    document |= {"project": sorted(project)} if project else {}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def wheel_folders(lines: Iterable[RequirementLine]) -> tuple[Path, ...]:
    """The folders that requirements name local wheels in: where ``fetch_wheels`` may find them again."""
    return tuple(sorted({line.wheel.parent for line in lines if line.wheel}))


def _place(first: Path | ProjectRequirements) -> Path:
    return (first.file if isinstance(first, ProjectRequirements) else first).absolute().parent


def _read(reader: Reader, file: Path | ProjectRequirements, constraint: bool) -> Iterator[Line]:
    if isinstance(file, ProjectRequirements):
        yield from (reader.line(file.file, number, text, hashed=file.complete) for number, text in file.lines)
    else:
        yield from reader.read(file, constraint=constraint)


def _options(line: Line) -> Iterator[Option]:
    """The options of a line of options, as they are given to pip: with variables as they stand there."""
    first = True
    pairs = zip(line.options, line.plain[1], strict=True)
    # Of one line pip hears the index before those that are beside it; they are lines of their own here.
    for option, plain in sorted(pairs, key=lambda pair: pair[0].name != "--index-url"):
        if not _is_taken(line, option) or option.name == "--hash":
            continue
        if option.name in ("--index-url", "--extra-index-url") and not _is_index(line, option.value):
            raise line.wrong(
                f"{option.name} leads to no address", f"write it whole, as in {option.name} https://…/simple"
            )
        if option.name != "--find-links":
            yield plain
        elif first:
            # Of several on a line pip looks at the first alone.
            yield _links(line, option, plain)
            first = False


def _is_taken(line: Line, option: Option) -> bool:
    """Whether an option says more than is so anyway. Raises UnsupportedRequirement for what is not taken."""
    if option.name == "--only-binary" and ":none:" not in option.value:
        return False  # nothing else is chosen
    if option.name in options.REFUSED:
        raise line.refused(option.name, *options.REFUSED[option.name])
    return True


def _is_index(line: Line, value: str) -> bool:
    """Whether an index can be there: at an address, or, as pip has it too, in a folder."""
    return "://" in value or value.startswith("file:") or "${" in value or bool(_mode(line.folder.absolute() / value))


def _links(line: Line, option: Option, plain: Option) -> Option:
    """The place of wheels that a line names, absolute where it is one of this machine."""
    value = option.value
    with contextlib.suppress(ValueError):
        value = local_path(value) if value.startswith("file:") else value
    # As in pip: a folder beside the file goes before one where pip is run.
    for path in (line.file.absolute().parent / option.value, line.folder.absolute() / value):
        mode = _mode(path)
        if mode and not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise line.wrong("--find-links leads to a pipe or a device")
        if mode:
            return Option(option.name, str(path))
    return plain


def _requirement(line: Line) -> RequirementLine:
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
    if line.text.startswith("//"):
        raise line.wrong("not a requirement", slips.hint_of_line(line.text))
    if (path := _path(line, line.text)) is not None:
        return _local(line, text, path, hashes)
    try:
        parsed = _parsed(line.text)
    except (InvalidRequirement, RecursionError, ValueError) as error:
        # What packaging says of it shows the line from the second line on.
        why = f"not a requirement: {str(error).splitlines()[0]}" if isinstance(error, InvalidRequirement) else ""
        # The line itself is not shown: one with a single = may be NAME=SECRET of a file read by mistake.
        raise line.wrong(why or "not a requirement", slips.hint_of_line(line.text)) from error
    if not line.constraint and (never := slips.why_not(parsed)) is not None:
        raise line.wrong(*never)
    if parsed.url is not None and slips.is_version(parsed.url):
        raise line.wrong("not a requirement", slips.hint_of_line(f"NAME@{parsed.url}"))
    if parsed.url is not None:
        return _direct(line, text, parsed.url, hashes, name=canonicalize_name(parsed.name))
    return _line(line, text, canonicalize_name(parsed.name), hashes, specifier=str(parsed.specifier))


def _parsed(text: str) -> Requirement:
    """As pip has it: what begins with a name ends at its first semicolon, whatever stands before that."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        asked, semicolon, marker = text.partition(";")
        if not semicolon or "@" not in asked:
            raise
        return Requirement(f"{asked.strip()} ; {marker.strip()}")


def _is_heard(line: Line, option: Option) -> bool:
    """Whether an option beside a requirement means something there: pip hears hashes, and passes over most others."""
    if not _is_taken(line, option) or option.name in options.IDLE:
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
    shown = redact_text(text)
    if _VCS.match(url):
        raise line.refused(
            shown,
            "a version control checkout is not a wheel",
            WHEEL_OF.format("URL"),
        )
    try:
        found = parse_wheel_url(url)
    except ValueError as error:
        if "name of a wheel" in str(error):
            raise line.wrong(str(error)) from error
        raise line.refused(
            shown if _SCHEME.match(url) else "a URL",
            f"a URL must lead to a wheel: {error}",
            WHEEL_OF.format("URL"),
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
    mode = _mode(path)
    if ("/" in name or name.startswith(".")) and stat.S_ISDIR(mode):
        return path
    if path.name.lower().endswith(_ARCHIVES):
        before, at, _ = name.partition("@")
        if stat.S_ISREG(mode) or not at or "/" in before or before.startswith("."):
            return path
    # Not for pip, which would say that it is no requirement; what a person means is a path.
    return path if name.startswith((".", "/", "~")) else None


def _local(line: Line, text: str, path: Path, hashes: tuple[str, ...]) -> RequirementLine:
    mode = _mode(path)
    exists = mode != 0
    if stat.S_ISDIR(mode) or path.suffix != ".whl":
        raise line.refused(
            text if exists else "a path",
            "a local project or archive is not a wheel",
            f"{WHEEL_OF.format('PATH')}; {PROJECT_OF}",
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


def _mode(path: Path) -> int:
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
