"""``ocibuild init``: the recipe of a project, or of a Dockerfile, and what of that is not in it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli import options
from oci_builder.cli.messages import misused
from oci_builder.cli.request import CommandRequest, takes

if TYPE_CHECKING:
    from oci_builder.dockerfiles import Translation
    from oci_builder.recipes.unwritten import Unwritten

_DOCKERFILE = "Dockerfile"


class InitRequest(CommandRequest):
    """What ``ocibuild init`` is told.

    ``place`` is the project's folder, or the name of the image; ``app`` and ``cmd`` say what it starts, ``dockerfile``
    and ``target`` which Dockerfile, and which stage of it, are translated.
    """

    place: str | None = None
    name: str | None = None
    app: str = ""
    cmd: str = ""
    dockerfile: Path | None = None
    target: str = ""
    force: bool = False


@click.command("init")
@click.argument("place", metavar="[FOLDER|NAME]", required=False)
@click.option("--name", metavar="NAME", help="What the image is called. [as the project]")
@click.option(
    "--app",
    metavar="WHAT",
    default="",
    help="What is started, where it could be several: the name that the message gives, such as shop.main:app.",
)
@click.option("--cmd", metavar="COMMAND", default="", help="The command that is started, as you would type it.")
@click.option(
    "--from-dockerfile",
    "dockerfile",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The Dockerfile to translate. [the one of the folder, where there is one]",
)
@click.option("--target", metavar="STAGE", default="", help="The stage that is wanted; by default the last.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@options.project
@options.as_json
@options.talk
@takes(InitRequest)
def command(request: InitRequest) -> None:
    """Write the recipe of a project, or of its Dockerfile.

    It is build/NAME/image.toml below the project's folder, or below --project-dir.

    Nothing is run, and nothing is asked: what the image needs is told by locks and requirements, what it starts by the
    Procfile, the project's scripts and its sources, and a line says why. Of two answers that are equally right none is
    taken: --app or --cmd says which.

    Where there is a Dockerfile, that is translated, unless --app or --cmd is given. A report says of every line whether
    it is in the recipe, is not needed here, is a step to do by hand, or cannot be; where such a line is left, the exit
    code is 3.
    """
    folder, name = _folder(request)
    told = bool(request.app or request.cmd)
    if told and (request.dockerfile is not None or request.target):
        raise misused("--app and --cmd say what a project starts; a Dockerfile says so itself")
    if request.dockerfile is not None or request.target or (not told and (folder / _DOCKERFILE).is_file()):
        _from_dockerfile(request, request.dockerfile or folder / _DOCKERFILE, name)
    else:
        _from_project(request, folder, name)


def _folder(request: InitRequest) -> tuple[Path, str | None]:
    """The folder of the project, and the image's name where one is given.

    A word is a folder where it has a slash, or where a project lies there; any other is a name.
    """
    from oci_builder.catalog import is_project

    here, place = request.project_dir or Path(), request.place
    if place is None:
        return here, request.name
    is_path = "/" in place or place in (".", "..")
    if not is_path and (request.dockerfile is not None or not is_project(Path(place))):
        if request.name:
            raise misused(f"{place} and --name {request.name} are two names")
        return here, place
    if not Path(place).is_dir():
        raise misused(f"{place} is no folder")
    return Path(place), request.name


def _from_project(request: InitRequest, folder: Path, name: str | None) -> None:
    """Write the recipe of a project as it is built without one."""
    from oci_builder.cli.terminal import say, tell_json
    from oci_builder.errors import FileProblem, NotFound
    from oci_builder.recipes import FILE
    from oci_builder.recipes.unwritten import unwritten

    if (folder / FILE).is_file():
        raise FileProblem(str(folder / FILE), "it is there already", hint=f"build it: ocibuild {_called(folder)}")
    found = unwritten(folder, app=request.app, words=_words(request.cmd))
    if found is None:
        places = [str(folder.absolute())]
        hint = _no_project_hint(folder)
        raise NotFound("project", folder.absolute().name, searched=places, hint=hint)
    name = name or str(found.document.get("name", "")) or _name_of(folder.absolute().name)
    document = {**({"name": name} if found.document.get("name", name) != name else {}), **found.document}
    document |= {"name": name} if "name" in document else {}
    below = (request.project_dir or folder) / "build" / name
    texts = {FILE: _text(document, found, up=_up(folder, below))}
    written = _write(texts, below, force=request.force)
    if request.as_json:
        launch = found.launch
        tell_json(
            {
                "whole": True,
                "recipe": document,
                "files": [str(path) for path in written],
                "command": list(launch.words) if launch is not None else [],
                "why": launch.why if launch is not None else "",
                "remarks": list(found.notes),
            }
        )
    elif not request.quiet:
        for note in found.notes:
            say(note)
        _say_written(written, below, folder)


def _words(text: str) -> tuple[str, ...]:
    """The words of a command, with a shell before it where it needs one."""
    from oci_builder.shellwords import needs_shell

    if not text:
        return ()
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise misused(f"--cmd {text}: {error}") from error
    return ("/bin/sh", "-c", text) if needs_shell(text) else tuple(words)


def _text(document: Mapping[str, Any], found: Unwritten, *, up: str) -> str:
    from oci_builder.dockerfiles.writing import moved
    from oci_builder.tomltext import document_text

    head = "Written by ocibuild init from what lies in the project; all of it may be changed.\n"
    head += 'base = "python-3.13" is another Python, base-packages = ["libgl1"] adds packages of Debian.\n'
    head += "Every key: docs/reference/image-toml.md"
    return document_text(moved(document, up, ()), {"": head, **found.comments})


def _no_project_hint(folder: Path) -> str:
    from oci_builder.catalog import projects_below

    below = projects_below(folder)
    if below:
        return f"name the one that is meant: ocibuild init {_called(below[0])}"
    return "name the folder of a project, or translate a Dockerfile: ocibuild init --from-dockerfile FILE"


def _from_dockerfile(request: InitRequest, file: Path, name: str | None) -> None:
    """Translate a Dockerfile, and report on each of its lines."""
    from oci_builder.cli.terminal import say, tell, tell_json
    from oci_builder.dockerfiles import Verdict, translate
    from oci_builder.dockerfiles.writing import recipe_text
    from oci_builder.errors import CheckFailed

    text, ignored = _read(file), _ignored(file)
    name = name or _name_of(file.absolute().parent.name)
    found = translate(text, what=str(file), target=request.target, context=file.parent, ignored=ignored)
    folder = (request.project_dir or file.parent) / "build" / name
    texts = {"image.toml": recipe_text(found, up=_up(file.parent, folder)), **found.files}
    written = _write(texts, folder, force=request.force)
    if request.as_json:
        tell_json(_document(found, written))
    elif not request.quiet:
        for row in found.rows:
            tell(f"{row.line:>4}  {row.verdict.value:<10}  {row.text}")
        for remark in found.remarks:
            say(remark)
        _say_written(written, folder, file.parent)
    left = _unreadable(found, written[0])
    left += [f"line {row.line}: {row.text}" for row in found.rows if row.verdict is Verdict.CANNOT]
    if left:
        raise CheckFailed(f"{file}: not all of it is in {written[0]}", left)


def _say_written(written: list[Path], folder: Path, project: Path) -> None:
    from oci_builder.cli.terminal import say
    from oci_builder.detection.ignoring import is_ignored_by_git
    from oci_builder.wording import called

    below = os.path.relpath(written[0].absolute(), project.absolute())
    if is_ignored_by_git(project, below):
        say(f".gitignore keeps {below} out of the repository: git add --force {shlex.quote(str(written[0]))}")
    say(f"{', '.join(map(str, written))}: written; next: ocibuild {called(folder)}")


def _called(folder: Path) -> str:
    path = str(folder)
    return shlex.quote(path if "/" in path or path == "." else f"./{path}")


def _up(context: Path, folder: Path) -> str:
    """The way from the recipe's folder to that of the files."""
    return Path(os.path.relpath(context.absolute(), folder.absolute())).as_posix()


def _unreadable(found: Translation, path: Path) -> list[str]:
    """What of the recipe no recipe can say: a name or a path of the Dockerfile that is none here."""
    from oci_builder.dockerfiles.writing import recipe_text
    from oci_builder.errors import RecipeError
    from oci_builder.recipes import ImageToml
    from oci_builder.tomlfile import parse_toml

    try:
        parse_toml(recipe_text(found), ImageToml, file=str(path))
    except RecipeError as error:
        return [str(error)]
    return []


def _read(file: Path) -> str:
    from oci_builder.dockerfiles.parsing import MOST
    from oci_builder.errors import FileProblem, NotFound
    from oci_builder.files import explained, open_regular

    with explained(file):
        if not file.exists():
            hint = "name it: ocibuild init --from-dockerfile FILE"
            raise NotFound("Dockerfile", file.name, searched=[str(file)], hint=hint)
        with open_regular(file) as stream:
            data = stream.read(MOST + 1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileProblem(str(file), "it is not UTF-8", hint="is this a Dockerfile?") from error


def _ignored(file: Path) -> list[str]:
    """The lines of the .dockerignore that docker would take: one called like the Dockerfile goes first."""
    for place in (file.with_name(f"{file.name}.dockerignore"), file.with_name(".dockerignore")):
        if place.is_file():
            return _read(place).splitlines()
    return []


def _name_of(folder: str) -> str:
    """The nearest name of an image to that of a folder."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")
    if not name:
        raise misused(f"the folder is called {folder!r}, and no image can be: ocibuild init NAME")
    return name


def _write(texts: Mapping[str, str], folder: Path, *, force: bool) -> list[Path]:
    """The recipe and what belongs to it, in ``folder``; what is there already is left alone."""
    from oci_builder.errors import FileProblem
    from oci_builder.files import explained
    from oci_builder.outputs import atomic

    for name in texts:
        if not force and os.path.lexists(folder / name):
            raise FileProblem(str(folder / name), "it is there already", hint="--force replaces it")
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with atomic(folder / name) as sink:
            sink.write(text.encode())
    return [folder / name for name in texts]


def _document(found: Translation, written: list[Path]) -> dict[str, object]:
    return {
        "whole": found.is_whole,
        "recipe": found.recipe,
        "files": [str(path) for path in written],
        "lines": [{"line": row.line, "verdict": row.verdict.value, "text": row.text} for row in found.rows],
        "remarks": list(found.remarks),
    }
