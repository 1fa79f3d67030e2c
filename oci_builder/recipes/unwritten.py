"""The recipe of a project that has none: what ``ocibuild .`` builds, and what ``ocibuild init`` writes down."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from oci_builder import inputs
from oci_builder.detection.choices import WORKDIR, Launch, init
from oci_builder.detection.detecting import detect
from oci_builder.detection.ignoring import left_out
from oci_builder.detection.project import KnownProject
from oci_builder.detection.requirements import installed_names
from oci_builder.detection.sources import SourceTree
from oci_builder.errors import UnclearCommand
from oci_builder.projects.folder import FoundProject, find_project, locks_beside
from oci_builder.recipes.image import VERBS
from oci_builder.recipes.values import Name, Version

_USUAL = ("main.py", "app.py", "manage.py")
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Unwritten:
    """The ``document`` of a recipe that nobody wrote, in the order in which it is written.

    Its paths lead from the project's folder. ``launch`` is what it starts, None where nothing was found; ``notes`` are
    lines for people, and ``comments`` stand above keys, by their path.
    """

    document: dict[str, Any]
    launch: Launch | None = None
    notes: tuple[str, ...] = ()
    comments: dict[str, str] = field(default_factory=dict)


def unwritten(folder: Path, *, app: str = "", words: tuple[str, ...] = ()) -> Unwritten | None:
    """The recipe of the project in ``folder``; None where it is nobody's project.

    ``app`` names what is started, where several things could be, and ``words`` are the command itself. Raises
    RecipeError for a project that does not say what it needs, UnclearCommand where nobody can tell what it starts.
    """
    found = find_project(folder)
    if found is None:
        return None
    if inputs.real(folder).parent.name == "build":
        # A recipe's folder, of which requirements.txt is all that was written: nothing else in it is meant.
        return Unwritten(document=_heading(found, folder) | _python(found, folder))
    patterns, ignoring = left_out(folder)
    tree = SourceTree(folder, left_out=patterns)
    project = KnownProject(
        tree,
        name=found.name or name_of(folder),
        packages=installed_names(folder, found.document, found.requirements),
        scripts=found.scripts,
        is_built=found.project is not None,
    )
    launch = Launch(words=words, why="as it was said") if words else detect(project, wanted=app)
    in_files = launch.in_files if launch is not None else _has_files(tree)
    if launch is None and tree.projects and found.project is None and not (found.name or found.requirements):
        raise _only_others(folder, tree)
    document = _heading(found, folder, is_named=in_files) | _python(found, folder)
    if launch is not None or in_files:
        document |= {"config": _config(launch, in_files=in_files)}
    if in_files:
        exclude = list(dict.fromkeys((*patterns, *tree.environments)))
        document["copy"] = [{"src": ".", "dest": WORKDIR, "exclude": exclude, "owner": "user"}]
    comments = {"copy[0]": f"all files but those of tools{f', and what {ignoring} says' if ignoring else ''}"}
    if launch is not None:
        comments["config.entrypoint" if launch.is_entrypoint else "config.cmd"] = launch.why
    return Unwritten(document=document, launch=launch, notes=tuple(_notes(launch, project)), comments=comments)


def _only_others(folder: Path, tree: SourceTree) -> UnclearCommand:
    """The error of a folder that only holds projects of their own, as the root of a workspace does."""
    shown = ", ".join(tree.projects[:_SHOWN])
    why = f"it is no project itself; projects of their own lie in {shown}"
    return UnclearCommand(str(folder), why, hint=f"name one: {init(folder / tree.projects[0])}")


def name_of(folder: Path) -> str:
    """The name of an image that is nearest to that of a folder; "" where none is near."""
    return re.sub(r"[^a-z0-9]+", "-", inputs.real(folder).name.lower()).strip("-")


def _heading(found: FoundProject, folder: Path, *, is_named: bool = False) -> dict[str, Any]:
    """The name and version of the project. Of a folder that ``is_named`` like no image it is the nearest name."""
    name = found.name if _fits(found.name, Name) else ""
    # An image whose folder's name will do needs no other.
    called = inputs.real(folder).name
    if is_named and not name and not (_fits(called, Name) and called not in VERBS):
        name = name_of(folder)
    heading = {"name": f"{name}-image" if name in VERBS else name}
    heading["version"] = found.version if _fits(found.version, Version) else ""
    return {key: value for key, value in heading.items() if value}


def _fits(text: str, kind: Any) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return bool(text)


def _python(found: FoundProject, folder: Path) -> dict[str, Any]:
    locks = locks_beside(folder)
    requirements = list(found.requirements)
    if locks and found.project is None and requirements in ([], ["requirements.txt"]):
        requirements = [locks[0].name]
    table: dict[str, Any] = {"requirements": requirements} if requirements or not found.project else {}
    return {"python": table | ({"project": found.project} if found.project else {})}


def _has_files(tree: SourceTree) -> bool:
    return bool(tree.modules) or any(path.endswith((".ipynb", ".py")) for path in tree.paths)


def _config(launch: Launch | None, *, in_files: bool) -> dict[str, Any]:
    table: dict[str, Any] = {}
    if in_files:
        table["workdir"] = launch.workdir if launch is not None else WORKDIR
    if launch is None:
        return table
    env = dict(launch.env)
    if launch.paths:
        env["PYTHONPATH"] = ":".join(posixpath.normpath(posixpath.join(WORKDIR, path)) for path in launch.paths)
    if env:
        table["env"] = env
    if launch.port is not None:
        table["exposed-ports"] = [launch.port]
    table["entrypoint" if launch.is_entrypoint else "cmd"] = list(launch.words)
    if launch.port is not None:
        table["healthcheck"] = {"test": _test(launch), "interval": "30s", "timeout": "5s", "start-period": "30s"}
    return table


def _test(launch: Launch) -> list[str]:
    """Whether it answers, asked by the image's own Python; where no path is known that does, whether it listens."""
    port, begin = str(launch.port), ""
    if "PORT" in launch.env:
        port, begin = "int(os.environ['PORT'])", "import os; "
    if launch.health:
        code = (
            f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:%d{launch.health}' % {port}, timeout=4)"
        )
    else:
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=4)"
    # Isolated: a module of the project that is called like one of these is not meant.
    return ["python3", "-I", "-c", begin + code]


def _notes(launch: Launch | None, project: KnownProject) -> Iterator[str]:
    tree = project.tree
    if launch is not None:
        yield f"command: {launch.command} ({launch.why})"
        yield from launch.remarks
    else:
        yield f"command: python3 (nothing here says what is started; {init(project.folder)} --cmd '…' says it)"
        old = [
            path for path in _USUAL if path in tree and (module := project.module(path)) is not None and module.is_old
        ]
        yield from (f"{path} is Python 2, which no base has" for path in old)
        if tree.projects:
            shown = ", ".join(tree.projects[:_SHOWN])
            yield f"projects of their own lie in {shown}: ocibuild init ./{tree.projects[0]} for that one"
    if not tree.is_whole:
        yield "not all files were looked at: there are too many, or too large ones"
