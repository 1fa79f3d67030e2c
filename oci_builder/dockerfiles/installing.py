"""pip in a RUN: which wheels an image is to have."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from oci_builder.dockerfiles.draft import Copied, Place, Verdict

_VALUED = frozenset(
    {
        *(
            "-c",
            "--constraint",
            "-i",
            "--index-url",
            "--extra-index-url",
            "-f",
            "--find-links",
            "-t",
            "--target",
        ),
        *(
            "--prefix",
            "--root",
            "--python",
            "--proxy",
            "--timeout",
            "--retries",
            "--trusted-host",
            "--cache-dir",
        ),
        *(
            "--upgrade-strategy",
            "--platform",
            "--only-binary",
            "--no-binary",
            "--src",
            "-e",
            "--editable",
            "-r",
        ),
        *("--requirement", "--progress-bar", "--log", "--cert", "--client-cert", "--config-settings"),
    }
)
_TOOLS = frozenset(
    {
        *(
            "pip",
            "setuptools",
            "wheel",
            "uv",
            "poetry",
            "poetry-core",
            "pipenv",
            "pdm",
            "virtualenv",
            "build",
        ),
        *("pipx"),
    }
)
_PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
_BESIDE = frozenset(
    {
        *(
            "pyproject.toml",
            "poetry.lock",
            "uv.lock",
            "pdm.lock",
            "Pipfile",
            "Pipfile.lock",
            "setup.py",
        ),
        *("setup.cfg", "README.md", "README.rst", "LICENSE", "MANIFEST.in", ".python-version"),
    }
)


def install_with_pip(words: list[str], line: int, place: Place) -> None:
    """``pip install``: requirements files, projects and names; other verbs of pip put nothing into an image."""
    if "install" not in words[1:]:
        place.draft.say(line, Verdict.NOT_NEEDED, f"{' '.join(words[:3])}: nothing of it ends in the image")
        return
    rest = iter(words[words.index("install") + 1 :])
    draft, names = place.draft, list[str]()
    for word in rest:
        flag, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if word.startswith("-r") and len(word) > 2:
            flag, equals, value = "-r", "=", word[2:]
        if flag in _VALUED:
            value = value if equals else next(rest, "")
        if flag in ("-r", "--requirement"):
            _require(value, line, place)
        elif flag in ("-e", "--editable"):
            install_project(value, line, place)
        elif flag in ("-i", "--index-url", "--extra-index-url", "-f", "--find-links"):
            draft.say(line, Verdict.BY_HAND, f"{flag} {value}: write it into the requirements file")
        elif not word.startswith("-"):
            names.append(word)
    for name in names:
        if name.startswith((".", "/")):
            install_project(name, line, place)
        elif name.lower() in _TOOLS or name.lower().partition("==")[0] in _TOOLS:
            draft.say(line, Verdict.NOT_NEEDED, f"{name}: no installer is in the image")
        elif name not in draft.pins:
            draft.pins.append(name)
            draft.say(line, Verdict.DONE, f"requirement {name}")


def _require(name: str, line: int, place: Place) -> None:
    path = place.path(name)
    if path in place.exported:
        place.draft.say(line, Verdict.NOT_NEEDED, f"{path}: it has what {place.exported[path]} says")
        return
    source = place.source(path)
    if source is None:
        source = posixpath.basename(name)
        place.draft.say(line, Verdict.BY_HAND, f"{path} is not copied here: look whether {source} is the file")
    if source not in place.draft.requirements:
        place.draft.requirements.append(source)
        place.draft.say(line, Verdict.DONE, f"[python] requirements: {source}")
    _drop(place, source)


def install_project(name: str, line: int, place: Place) -> None:
    """A project: the folder that it is installed from."""
    word, _, extras = name.partition("[")
    path = place.path(word)
    folder = project_of(path, place)
    if folder is None:
        folder = "." if word in (".", "./") else posixpath.basename(path)
        place.draft.say(line, Verdict.BY_HAND, f"{path} is not copied here: look whether {folder} is the project")
    place.draft.project = folder
    place.draft.extras += [each.strip() for each in extras.rstrip("]").split(",") if each.strip()]
    place.draft.say(line, Verdict.DONE, f"[python] project: {folder}")
    for copy in place.copies:
        inside = folder == "." or copy.src == folder or copy.src.startswith(f"{folder}/")
        whole = posixpath.normpath(copy.src) == folder
        if whole and folder != ".":
            continue
        if inside and (posixpath.normpath(copy.place) + "/").startswith(f"{path.rstrip('/')}/"):
            copy.is_dropped = True
            copy.note = "the wheel of the project has what is in its packages; this is for what it reads beside them"


def project_of(path: str, place: Place, more: Sequence[str] = ()) -> str | None:
    """The folder, below that of the Dockerfile, whose project lies at ``path`` of the image.

    It is known by what projects have, and by ``more`` files of a tool.
    """
    direct = place.source(path)
    if direct is not None:
        return posixpath.normpath(direct)
    for name in (*_PROJECT_FILES, *more):
        found = place.source(posixpath.join(path, name))
        if found is not None:
            return posixpath.dirname(found) or "."
    return None


def _drop(place: Place, source: str) -> None:
    """A file that pip read is nothing that the image needs, nor are others for pip that were copied with it."""
    read = [copy for copy in place.copies if copy.src == source and not copy.is_folder]
    lines = {copy.line for copy in read}
    for copy in place.copies:
        if copy in read or (copy.line in lines and not copy.is_folder and _is_for_pip(copy)):
            copy.is_dropped = True


def drop_beside(place: Place) -> None:
    """Files that installers read are nothing that the image needs."""
    for copy in place.copies:
        if not copy.is_folder and _is_for_pip(copy):
            copy.is_dropped = True


def _is_for_pip(copy: Copied) -> bool:
    name = posixpath.basename(copy.src)
    return name in _BESIDE or name.endswith((".txt", ".in", ".lock")) or "requirements" in copy.src
