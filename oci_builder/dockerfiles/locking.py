"""uv, poetry, pdm and pipenv in a RUN: their lock decides, with the extras and groups that are asked for."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oci_builder.dockerfiles.draft import Place, Verdict
from oci_builder.dockerfiles.installing import drop_beside, install_project, install_with_pip, project_of
from oci_builder.errors import OcibuildError
from oci_builder.projects.folder import read_project
from oci_builder.projects.layouts import has_package, table_of
from oci_builder.projects.packages import TOOLS

LOCKS = {"uv": "uv.lock", "poetry": "poetry.lock", "pdm": "pdm.lock", "pipenv": "Pipfile.lock"}

_VERBS = {
    "uv": ("sync", "export"),
    "poetry": ("install", "sync", "export"),
    "pdm": ("install", "sync", "export"),
    "pipenv": ("install", "sync", "requirements", "lock"),
}
_INSTALL = frozenset({"sync", "install"})
_EXTRAS, _ALL_EXTRAS = ("--extra", "--extras", "-E"), "--all-extras"
_GROUPS = ("--group", "--with", "--only-group", "--only", "--categories", "-G")
_OUTPUTS = ("-o", "--output", "--output-file")
_WITHOUT_PROJECT = frozenset(
    {"--no-install-project", "--no-install-workspace", "--no-root", "--no-self", "--only-deps"}
)
_WITHOUT_DEVELOPERS = frozenset(
    (
        *("--no-dev", "--no-default-groups", "--only-group", "--only", "--without", "--prod", "--production", "--main"),
        *("-P", "--deploy", "--categories"),
    )
)
_MAIN = frozenset({"main", "default", "packages", ":all"})


@dataclass
class _Said:
    """What a command line says: flags, and values by the flag before them."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)

    def named(self, flags: Collection[str]) -> list[str]:
        """The names that follow some flags, which may be several behind one."""
        found = [each for flag in flags for each in self.values.get(flag, [])]
        return [name for each in found for name in each.replace(",", " ").split()]


def install_with_tool(tool: str, words: list[str], line: int, place: Place, *, output: str = "") -> None:
    """What a command of a tool has of its lock; ``output`` is the file that it writes to, if a shell says so."""
    draft, rest = place.draft, words[1:]
    if tool == "uv" and rest[:1] == ["pip"]:
        install_with_pip(["pip", *rest[1:]], line, place)
        return
    if tool == "uv" and rest[:1] == ["venv"]:
        folders = [place.path(word) for word in rest[1:] if not word.startswith("-")]
        place.environments += folders or [place.path(".venv")]
        draft.say(line, Verdict.NOT_NEEDED, "a virtual environment: wheels go to the image's own Python")
        return
    verb = next((word for word in rest if not word.startswith("-")), "")
    if verb not in _VERBS[tool]:
        draft.say(line, Verdict.NOT_NEEDED, f"{tool} {' '.join(rest[:2])}: no installer is in the image")
        return
    said = _read(rest[rest.index(verb) + 1 :])
    place.environments.append(place.path(".venv"))
    folder = project_of(place.workdir, place, (LOCKS[tool], "Pipfile")) or "."
    lock = posixpath.normpath(posixpath.join(folder, LOCKS[tool]))
    _take(lock, line, place)
    if verb not in _INSTALL:
        target = next((name for flag in _OUTPUTS for name in said.values.get(flag, [])), output)
        if target:
            place.exported[place.path(target)] = lock
    document = _document(folder, place)
    _choose(tool, said, document, line, place)
    whole = not said.flags & _WITHOUT_PROJECT and tool != "pipenv"
    if verb in _INSTALL and whole and _is_package(tool, folder, document, place):
        install_project(".", line, place)


def _take(lock: str, line: int, place: Place) -> None:
    """Have a lock decide, as it lies there."""
    draft = place.draft
    if lock in draft.requirements:
        return
    draft.requirements.append(lock)
    if draft.context is None or (draft.context / lock).is_file():
        draft.say(line, Verdict.DONE, f"[python] requirements: {lock}, as it is")
    else:
        draft.say(
            line, Verdict.BY_HAND, f"there is no {lock} here; before the build: {TOOLS[posixpath.basename(lock)]}"
        )
    drop_beside(place)


def _choose(tool: str, said: _Said, document: Mapping[str, Any] | None, line: int, place: Place) -> None:
    """The extras and groups that are asked for; those of developers are left out unless they are named."""
    draft = place.draft
    extras = said.named(_EXTRAS)
    known = table_of(document or {}, "project", "optional-dependencies") or {}
    if _ALL_EXTRAS in said.flags:
        extras += list(known)
        if not known:
            draft.say(line, Verdict.BY_HAND, f"{_ALL_EXTRAS}: write their names into extras of [python]")
    named = [name for name in said.named(_GROUPS) if name not in _MAIN]
    # pdm has one word for both.
    extras += [name for name in named if tool == "pdm" and name in known]
    groups = [name for name in named if name not in extras]
    draft.extras += [each for each in extras if each not in draft.extras]
    draft.groups += [each for each in groups if each not in draft.groups]
    if "--all-groups" in said.flags:
        draft.say(line, Verdict.BY_HAND, "--all-groups: write those that the image is to have into groups of [python]")
    elif not (said.flags | said.values.keys()) & _WITHOUT_DEVELOPERS and tool != "pipenv":
        remark = "developers' groups of the lock are left out: groups of [python] brings those that are named there"
        if remark not in draft.remarks:
            draft.remarks.append(remark)


def _is_package(tool: str, folder: str, document: Mapping[str, Any] | None, place: Place) -> bool:
    """Whether the tool installs the project itself: where its pyproject.toml is not here, that is what it does."""
    if document is None or place.draft.context is None:
        return True
    if (table_of(document, "tool", "uv") or {}).get("package") is False:
        return False
    if (table_of(document, "tool", "poetry") or {}).get("package-mode") is False:
        return False
    name = (table_of(document, "project") or table_of(document, "tool", "poetry") or {}).get("name", "")
    if table_of(document, "build-system") is None and tool != "poetry":
        return False
    return has_package(document, place.draft.context / folder, str(name))


def _document(folder: str, place: Place) -> Mapping[str, Any] | None:
    """The pyproject.toml of the project; None where it is not here, or cannot be read."""
    context = place.draft.context
    try:
        return read_project(context / folder) if context is not None else None
    except OcibuildError:
        return None  # whoever builds says what is wrong with it


def _read(words: Sequence[str]) -> _Said:
    said, rest = _Said(), iter(words)
    valued = {*_EXTRAS, *_GROUPS, *_OUTPUTS, "--without"}
    for word in rest:
        flag, equals, value = word.partition("=") if word.startswith("-") else ("", "", "")
        if flag in valued:
            said.values.setdefault(flag, []).append(value if equals else next(rest, ""))
        elif flag:
            said.flags.add(flag)
    return said
