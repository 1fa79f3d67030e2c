"""``ocibuild init``: a recipe, and what of a Dockerfile is not in it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oci_builder.cli import options
from oci_builder.cli.messages import misused
from oci_builder.cli.request import CommandRequest, takes

if TYPE_CHECKING:
    from oci_builder.dockerfiles import Translation


class InitRequest(CommandRequest):
    """What ``ocibuild init`` is told: the image's name, the Dockerfile, the stage that is wanted."""

    name: str | None = None
    dockerfile: Path | None = None
    target: str = ""
    force: bool = False


@click.command("init")
@click.argument("name", required=False)
@click.option(
    "--from-dockerfile",
    "dockerfile",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The Dockerfile to translate; by default the one of the project's folder.",
)
@click.option("--target", metavar="STAGE", default="", help="The stage that is wanted; by default the last.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@options.project
@options.as_json
@options.talk
@takes(InitRequest)
def command(request: InitRequest) -> None:
    """Write the recipe of an image from a Dockerfile.

    It is build/NAME/image.toml below the Dockerfile, or below --project-dir.

    Nothing is run and nothing is asked for elsewhere. A report says of every line whether it is in the recipe, is not
    needed here, is a step to do by hand, or cannot be; where such a line is left, the exit code is 3.
    """
    from oci_builder.cli.terminal import say, tell, tell_json
    from oci_builder.dockerfiles import Verdict, translate
    from oci_builder.errors import CheckFailed

    file = request.dockerfile or (request.project_dir or Path()) / "Dockerfile"
    text, ignored = _read(file), _ignored(file)
    name = request.name or _name_of(file.absolute().parent.name)
    found = translate(text, what=str(file), target=request.target, context=file.parent, ignored=ignored)
    folder = (request.project_dir or file.parent) / "build" / name
    written = _write(found, folder, file.parent, force=request.force)
    if request.as_json:
        tell_json(_document(found, written))
    elif not request.quiet:
        for row in found.rows:
            tell(f"{row.line:>4}  {row.verdict.value:<10}  {row.text}")
        for remark in found.remarks:
            say(remark)
        say(f"{', '.join(map(str, written))}: written; next: ocibuild {name}")
    left = _unreadable(found, written[0])
    left += [f"line {row.line}: {row.text}" for row in found.rows if row.verdict is Verdict.CANNOT]
    if left:
        raise CheckFailed(f"{file}: not all of it is in {written[0]}", left)


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


def _write(found: Translation, folder: Path, context: Path, *, force: bool) -> list[Path]:
    """The recipe and what belongs to it, in ``folder``; what is there already is left alone."""
    from oci_builder.dockerfiles.writing import recipe_text
    from oci_builder.errors import FileProblem
    from oci_builder.files import explained
    from oci_builder.outputs import atomic

    up = Path(os.path.relpath(context.absolute(), folder.absolute())).as_posix()
    texts = {"image.toml": recipe_text(found, up=up), **found.files}
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
