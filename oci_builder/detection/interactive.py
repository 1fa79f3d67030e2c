"""Programs that show themselves in a browser: Streamlit, Gradio and their like, which serve themselves."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from oci_builder.detection.choices import Launch, Startable, is_port
from oci_builder.detection.modules import Module
from oci_builder.detection.project import KnownProject
from oci_builder.detection.starting import start_file

_STREAMLIT = ("streamlit_app", "app", "main", "home", "hello", "index", "dashboard")
_OTHERS = ("app", "main", "demo", "ui", "web", "server", "run")
_PAGES = "pages"
_PORT = re.compile(r"""^\s*port\s*=\s*(\d{1,5})\s*(?:#.*)?$""", re.MULTILINE)


@dataclass(frozen=True)
class _Tool:
    """How a program of a package is known: by a call that it makes while it starts, if by more than its import."""

    package: str
    name: str
    calls: tuple[str, ...] = ()


_TOOLS = (
    _Tool("chainlit", "Chainlit"),
    _Tool("gradio", "Gradio", ("launch",)),
    _Tool("nicegui", "NiceGUI", ("ui.run",)),
)


def interactive(project: KnownProject) -> list[Startable]:
    """The programs of the kind, those that are most likely meant."""
    found = _streamlit(project)
    for tool in _TOOLS:
        users = [each for each in project.modules if each.uses(tool.package)]
        users = [each for each in users if not tool.calls or each.calling(*tool.calls) is not None]
        for each in _nearest(users, _OTHERS, project):
            start = functools.partial(_start, each, tool, project)
            found.append(Startable(name=each.path, what=f"{each.path}: {tool.name}", start=start))
    return found


def _streamlit(project: KnownProject) -> list[Startable]:
    # Its pages are found by itself, and started by what they stand beside.
    users = [each for each in project.modules if each.uses("streamlit") and _PAGES not in each.path.split("/")[:-1]]
    if not users:
        return []
    parts = project.imported(project.modules)
    alone = [each for each in users if each.path not in parts] or users
    with_pages = [
        each for each in alone if project.tree.has_folder(posixpath.join(posixpath.dirname(each.path), _PAGES))
    ]
    named = _nearest(with_pages or alone, _STREAMLIT, project)
    return [
        Startable(
            name=each.path, what=f"{each.path}: Streamlit", start=functools.partial(_start_streamlit, each, project)
        )
        for each in named
    ]


def _nearest(users: Sequence[Module], names: Sequence[str], project: KnownProject) -> list[Module]:
    """Those of a usual name, the least deep; where none has one, all that nothing else imports."""
    if len(users) < 2:
        return list(users)
    parts = project.imported(users)
    users = [each for each in users if each.path not in parts] or list(users)
    usual = [each for each in users if _plain(each.path) in names]
    found = usual or users
    nearest = min(each.path.count("/") for each in found)
    return [each for each in found if each.path.count("/") == nearest]


def _plain(path: str) -> str:
    """The name of a file without what tells its place among pages: ``1_🏠_Home.py`` is home."""
    return re.sub(r"^[\W\d_]+", "", posixpath.basename(path).removesuffix(".py")).lower()


def _start_streamlit(module: Module, project: KnownProject) -> Launch:
    said = _PORT.search(project.tree.hidden(".streamlit/config.toml"))
    port = int(said[1]) if said and 0 < int(said[1]) < 65536 else 8501
    words = ("streamlit", "run", module.path, "--server.address=0.0.0.0")
    started = start_file(module, project)
    # It looks for modules beside the file alone.
    paths = started.paths or ((started.root or ".",) if started.words[1] == "-m" else ())
    return Launch(words=words, why=f"{module.path}: Streamlit", port=port, health="/_stcore/health", paths=paths)


def _start(module: Module, tool: _Tool, project: KnownProject) -> Launch:
    why = f"{module.path}: {tool.name}"
    said = module.calling(*tool.calls) if tool.calls else {}
    if tool.package == "chainlit":
        words = ("chainlit", "run", module.path, "--host", "0.0.0.0", "--port", "8000", "--headless")
        return Launch(words=words, why=why, port=8000)
    key, default = ("server_port", 7860) if tool.package == "gradio" else ("port", 8080)
    port = (said or {}).get(key)
    env = {"GRADIO_SERVER_NAME": "0.0.0.0"} if tool.package == "gradio" else {}
    return replace(start_file(module, project), why=why, port=port if is_port(port) else default, env=env)
