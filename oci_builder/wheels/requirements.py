"""Requirements, read as far as ocibuild has something to say: what it refuses, and what a lock depends on.

pip is given the same lines again to resolve them, in a file made for it: what it reads is what was read here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from oci_builder.digest import digest_file
from oci_builder.wheels import options
from oci_builder.wheels.lines import Line, Reader
from oci_builder.wheels.options import Option
from oci_builder.wheels.project_requirements import ProjectRequirements
from oci_builder.wheels.requirement import RequirementLine, is_taken, mode_of, parse_requirement
from oci_builder.wheels.wheelurl import local_path

# Those that pip takes for archives, wherever they stand.


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
            asked = parse_requirement(line)
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
    """The lines that ``read`` finds. Raises what that raises."""
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
        yield from (reader.line(file.file, number, text) for number, text in file.lines)
    else:
        yield from reader.read(file, constraint=constraint)


def _options(line: Line) -> Iterator[Option]:
    """The options of a line of options, as they are given to pip: with variables as they stand there."""
    first = True
    pairs = zip(line.options, line.plain[1], strict=True)
    # Of one line pip hears the index before those that are beside it; they are lines of their own here.
    for option, plain in sorted(pairs, key=lambda pair: pair[0].name != "--index-url"):
        if not is_taken(line, option) or option.name == "--hash":
            continue
        if option.name != "--find-links":
            yield plain
        elif first:
            # Of several on a line pip looks at the first alone.
            yield _links(line, option, plain)
            first = False


def _links(line: Line, option: Option, plain: Option) -> Option:
    """The place of wheels that a line names, absolute where it is one of this machine."""
    value = option.value
    with contextlib.suppress(ValueError):
        value = local_path(value) if value.startswith("file:") else value
    # As in pip: a folder beside the file goes before one where pip is run.
    for path in (line.file.absolute().parent / option.value, line.folder.absolute() / value):
        mode = mode_of(path)
        if mode and not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise line.wrong("--find-links leads to a pipe or a device")
        if mode:
            return Option(option.name, str(path))
    return plain
