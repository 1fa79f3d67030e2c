"""Requirements files, read as far as ocibuild has something to say: what it refuses, and what a lock depends on.

pip reads the same files again to resolve them; its rules for lines, comments and continuations hold here too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from oci_builder.digest import digest_file
from oci_builder.errors import NotFound, RecipeError, UnsupportedRequirement
from oci_builder.files import open_regular
from oci_builder.wheels.listed import Listed
from oci_builder.wheels.pip import redact

LIMIT = 4 << 20
"""Bytes of a requirements file; the longest known ones, with hashes, have a tenth of that."""

_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_VCS = re.compile(r"(?:^|@\s*)(git|hg|svn|bzr)\+", re.IGNORECASE)
_URL = re.compile(r"(?:^|@\s*)((?:https?|file|ftp)://\S+)", re.IGNORECASE)
_EXTRAS = re.compile(r"\[[^\[\]]*\]$")
_FOLDERS = ("-f", "--find-links")
_WHERE = ("-i", "--index-url", "--pypi-url", "--extra-index-url", "--no-index", "--trusted-host", *_FOLDERS)
_NESTED = {"-r": "requirement", "-c": "constraint"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementLine:
    """One line that asks for, or limits, a project.

    ``name`` is normalised; ``wheel`` is the local wheel it names; ``text`` is the line without its hashes.
    """

    file: Path
    line: int
    text: str
    name: str
    constraint: bool
    wheel: Path | None = None
    specifier: str = ""
    hashes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """``requirements.txt:3``."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class _Line:
    file: Path
    number: int
    text: str
    constraint: bool
    folder: Path

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"

    def refused(self, why: str, hint: str) -> UnsupportedRequirement:
        return UnsupportedRequirement(redact(self.text), self.place, why, hint=hint)

    def wrong(self, why: str, hint: str | None = None) -> RecipeError:
        return RecipeError(str(self.file), "", f"{redact(self.text)}: {why}", line=self.number, hint=hint)


def scan(
    files: Sequence[Path | Listed], *, constraints: Sequence[Path] = (), environ: Mapping[str, str] | None = None
) -> tuple[RequirementLine, ...]:
    """Every requirement and constraint of ``files`` and of what they include, in order of reading.

    Relative paths of local wheels are taken from the folder of the first file, where pip is run too. ``environ``
    fills ``${NAME}`` in the paths of included files. Raises UnsupportedRequirement (VCS, editable, local project,
    source archive), RecipeError (a line that does not parse), NotFound (a missing file).
    """
    found: list[RequirementLine] = []
    tasks = [*((file, False) for file in files), *((file, True) for file in constraints)]
    folder = _place(tasks[0][0]) if tasks else Path()
    for file, constraint in tasks:
        if isinstance(file, Listed):
            found += [_requirement(_Line(file.file, number, text, False, folder)) for number, text in file.lines]
            continue
        for line in _lines(file, constraint, folder, environ or {}, ()):
            if not line.text.startswith("-"):
                found.append(_requirement(line))
    return tuple(found)


def _place(first: Path | Listed) -> Path:
    return (first.file if isinstance(first, Listed) else first).absolute().parent


def index_options(files: Sequence[Path | Listed], *, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The option lines of ``files``, and of what they include, that say where wheels are (``--index-url`` …).

    They may hold credentials. Relative folders are made absolute. Raises what ``scan`` does.
    """
    paths = [file for file in files if isinstance(file, Path)]
    lines = [line for file in paths for line in _lines(file, False, file.absolute().parent, environ or {}, ())]
    options = [_option(line.text) for line in lines if line.text.startswith("-")]
    places = [line.file.absolute().parent for line in lines if line.text.startswith("-")]
    return tuple(
        " ".join([name, _beside(place, value) if name in _FOLDERS else value]).strip()
        for (name, value), place in zip(options, places, strict=True)
        if name in _WHERE
    )


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


def _lines(
    file: Path, constraint: bool, folder: Path, environ: Mapping[str, str], above: tuple[Path, ...]
) -> Iterator[_Line]:
    for number, text in _logical_lines(_read(file, above)):
        line = _Line(file, number, text, constraint, folder)
        if not text.startswith("-"):
            yield line
            continue
        option, value = _option(text)
        if option in _NESTED:
            nested = _included(line, value, environ)
            if nested.resolve() in [path.resolve() for path in (*above, file)]:
                raise line.wrong("a file cannot include itself")
            yield from _lines(nested, constraint or option == "-c", folder, environ, (*above, file))
        else:
            _check_option(line, option)
            yield line


def _included(line: _Line, value: str, environ: Mapping[str, str]) -> Path:
    if "://" in value:
        raise line.refused(
            "an included file must lie on this machine, where a lock can watch it",
            f"download it beside {line.file.name} and name the copy",
        )
    path = _VARIABLE.sub(lambda found: environ.get(found[1], found[0]), value)
    return line.file.parent / path


def _option(text: str) -> tuple[str, str]:
    """``-r x``, ``-rx``, ``--requirement=x`` and ``--requirement x`` as ("-r", "x")."""
    name, _, value = text.partition(" ")
    if name.startswith("--"):
        name, equals, inline = name.partition("=")
        value = inline if equals else value
        name = {"--requirement": "-r", "--constraint": "-c", "--editable": "-e"}.get(name, name)
    elif len(name) > 2:
        name, value = name[:2], name[2:].lstrip("=") or value
    return name, value.strip().strip("\"'")


def _check_option(line: _Line, option: str) -> None:
    if option == "-e":
        raise line.refused(
            "an editable install points at this machine's files, which the image does not have",
            "build a wheel of it (pip wheel --no-deps -w wheels DIR) and require that wheel",
        )
    if option == "--no-binary":
        raise line.refused(
            "ocibuild installs wheels; building is asked for in the recipe",
            'name the projects in image.toml: [python] build = ["…"]',
        )


def _requirement(line: _Line) -> RequirementLine:
    text, hashes = _without_options(line.text)
    if _VCS.search(text):
        raise line.refused(
            "a version control checkout is not a wheel",
            "build a wheel of that commit (pip wheel --no-deps -w wheels URL) and require NAME==VERSION",
        )
    if (url := _URL.search(text)) and "://" in text.split(";")[0]:
        return _direct(line, text, url[1], hashes)
    if _is_path(text):
        return _local(line, text, line.folder / _EXTRAS.sub("", _unmarked(text)), hashes)
    parsed = _parsed(line, text)
    return _line(line, text, canonicalize_name(parsed.name), hashes, specifier=str(parsed.specifier))


def _direct(line: _Line, text: str, url: str, hashes: tuple[str, ...]) -> RequirementLine:
    parts = urlsplit(url.rstrip(";"))
    path = unquote(parts.path)
    if parts.scheme.lower() == "file":
        return _local(line, text, Path(path), hashes)
    if not path.endswith(".whl"):
        raise line.refused(
            "a URL must lead to a wheel",
            "build a wheel of it (pip wheel --no-deps -w wheels URL) and require NAME==VERSION, or name the .whl",
        )
    return _line(line, redact(text), _wheel_name(line, path.rpartition("/")[2]), hashes)


def _local(line: _Line, text: str, path: Path, hashes: tuple[str, ...]) -> RequirementLine:
    if path.is_dir() or path.suffix != ".whl":
        raise line.refused(
            "a local project or archive is not a wheel",
            f"build a wheel of it (pip wheel --no-deps -w wheels {path.name or '.'}) and require that wheel",
        )
    if not path.is_file():
        raise line.wrong(f"there is no {path}", f"paths are taken from {line.folder}")
    return _line(line, text, _wheel_name(line, path.name), hashes, wheel=path)


def _line(
    line: _Line, text: str, name: str, hashes: tuple[str, ...], *, wheel: Path | None = None, specifier: str = ""
) -> RequirementLine:
    return RequirementLine(
        file=line.file,
        line=line.number,
        text=text,
        name=name,
        constraint=line.constraint,
        wheel=wheel,
        specifier=specifier,
        hashes=hashes,
    )


def _parsed(line: _Line, text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise line.wrong(f"not a requirement: {str(error).splitlines()[0]}") from error


def _wheel_name(line: _Line, filename: str) -> str:
    try:
        return parse_wheel_filename(filename)[0]
    except InvalidWheelFilename as error:
        raise line.wrong(f"{filename!r} is not the name of a wheel") from error


def _without_options(text: str) -> tuple[str, tuple[str, ...]]:
    # As in pip: the first word with a dash in front begins the options.
    words = text.split()
    end = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    return " ".join(words[:end]), tuple(re.findall(r"--hash[= ](\S+)", " ".join(words[end:])))


def _beside(folder: Path, value: str) -> str:
    # As in pip: a folder beside the file goes before one where pip is run.
    return str(folder / value) if "://" not in value and (folder / value).exists() else value


def _is_path(text: str) -> bool:
    first = _EXTRAS.sub("", _unmarked(text))
    return (
        first.startswith((".", "/", "~")) or ("/" in first and "@" not in first) or first.endswith((".whl", ".tar.gz"))
    )


def _unmarked(text: str) -> str:
    return text.partition(";")[0].strip()


def _read(file: Path, above: tuple[Path, ...]) -> str:
    try:
        with open_regular(file) as stream:
            data = stream.read(LIMIT + 1)
    except OSError as error:
        asked = f"included by {above[-1]}" if above else "named by the recipe"
        raise NotFound("requirements file", file.name, searched=[str(file.parent)], hint=f"it is {asked}") from error
    if len(data) > LIMIT:
        raise RecipeError(str(file), "", f"longer than {LIMIT} bytes")
    # What PowerShell's > writes; pip reads it as well.
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise RecipeError(str(file), "", f"not {encoding} text: {error.reason} at byte {error.start}") from error


def _logical_lines(content: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined and comments dropped, by the number of their first line (as pip does it)."""
    start, parts = 0, list[str]()
    for number, line in enumerate(content.splitlines(), start=1):
        start = start if parts else number
        is_comment = re.match(r"\s*#", line) is not None
        if line.endswith("\\") and not is_comment:
            parts.append(line.rstrip("\\"))
            continue
        # A comment ends a continued line, and is none of it.
        parts.append("" if is_comment and parts else line)
        yield from _cleaned(start, "".join(parts))
        parts = []
    yield from _cleaned(start, "".join(parts))


def _cleaned(number: int, line: str) -> Iterator[tuple[int, str]]:
    if text := _COMMENT.sub("", line).strip():
        yield number, text
