"""Django: its manage.py leads to the settings, and those to what a server is told of."""

from __future__ import annotations

import functools
import posixpath
from dataclasses import replace

from oci_builder.detection.choices import PORT, Launch, Startable, init
from oci_builder.detection.modules import Module
from oci_builder.detection.project import KnownProject
from oci_builder.detection.web import gunicorn, gunicorn_conf
from oci_builder.errors import UnclearCommand

MANAGE = "manage.py"
SETTINGS = "DJANGO_SETTINGS_MODULE"
_ASGI = ("daphne", "uvicorn", "hypercorn", "granian")
_WSGI = ("gunicorn", "waitress", "granian")


def sites(project: KnownProject) -> list[Startable]:
    """The sites of Django: one for each manage.py, the nearest."""
    found = []
    for path in project.tree.modules:
        if posixpath.basename(path) == MANAGE:
            module = project.module(path)
            if module is not None and module.uses("django") | (SETTINGS in module.strings):
                found.append(module)
    nearest = min((each.path.count("/") for each in found), default=0)
    return [
        Startable(name=each.path, what="Django", start=functools.partial(_site, each, project))
        for each in found
        if each.path.count("/") == nearest
    ]


def _site(manage: Module, project: KnownProject) -> Launch:
    root = posixpath.dirname(manage.path)
    settings = manage.strings.get(SETTINGS, "")
    asgi = _application("asgi", settings, root, project)
    wsgi = _application("wsgi", settings, root, project)
    says_asgi = bool(_said("ASGI_APPLICATION", settings, root, project))
    asgi_server, wsgi_server = project.has(*_ASGI), project.has(*_WSGI)
    if asgi and asgi_server and (says_asgi or not (wsgi and wsgi_server)):
        launch = _served(asgi_server, asgi, manage, project, is_asgi=True)
    elif wsgi and wsgi_server:
        launch = _served(wsgi_server, wsgi, manage, project, is_asgi=False)
    else:
        raise _unserved(manage, wsgi or asgi, project)
    env = _env(launch.words, settings, root, project)
    return replace(launch, root=root, env=env, remarks=(*launch.remarks, *_remarks(settings, root, project)))


def _unserved(manage: Module, application: str, project: KnownProject) -> UnclearCommand:
    other = f"say the command: {init(project.folder)} --cmd 'gunicorn --bind 0.0.0.0:{PORT} SITE.wsgi'"
    if not application:
        why = f"{manage.path} is Django's, and neither WSGI_APPLICATION nor the one wsgi.py was found for it"
        return UnclearCommand(str(project.folder), why, hint=other)
    why = f"{manage.path} is Django's ({application}), and no server is among what it requires"
    server = "gunicorn" if ".wsgi" in application or "wsgi" in application else "uvicorn"
    return UnclearCommand(str(project.folder), why, hint=f"{project.add(server)}, or {other}")


def _served(server: str, name: str, manage: Module, project: KnownProject, *, is_asgi: bool) -> Launch:
    why = f"{manage.path}: Django, with {server}"
    root, address = posixpath.dirname(manage.path), f"0.0.0.0:{PORT}"
    short = name.removesuffix(":application")
    words: tuple[str, ...]
    match server:
        case "gunicorn":
            return gunicorn(short, why, gunicorn_conf(project, root))
        case "waitress":
            words = ("waitress-serve", f"--listen={address}", name)
        case "granian":
            words = (
                "granian",
                "--interface",
                "asgi" if is_asgi else "wsgi",
                "--host",
                "0.0.0.0",
                "--port",
                str(PORT),
                name,
            )
        case "daphne":
            words = ("daphne", "-b", "0.0.0.0", "-p", str(PORT), name)
        case "hypercorn":
            words = ("hypercorn", "--bind", address, name)
        case _:
            words = ("uvicorn", name, "--host", "0.0.0.0", "--port", str(PORT))
    return Launch(words=words, why=why, port=PORT)


def _application(kind: str, settings: str, root: str, project: KnownProject) -> str:
    """What a server is told of, as ``site.wsgi:application``: what the settings say, else the usual file."""
    said = _said(f"{kind.upper()}_APPLICATION", settings, root, project)
    module, _, variable = said.rpartition(".")
    if module and _file(module, root, project):
        return f"{module}:{variable}"
    package = settings.partition(".settings")[0] if ".settings" in settings else settings.rpartition(".")[0]
    if package and _file(f"{package}.{kind}", root, project):
        return f"{package}.{kind}:application"
    below = f"{root}/" if root else ""
    found = [path for path in project.tree.paths if path.startswith(below) and posixpath.basename(path) == f"{kind}.py"]
    if len(found) == 1:
        return f"{found[0].removeprefix(below).removesuffix('.py').replace('/', '.')}:application"
    return ""


def _file(module: str, root: str, project: KnownProject) -> str:
    path = posixpath.join(root, module.replace(".", "/"))
    return next((each for each in (f"{path}.py", f"{path}/__init__.py") if each in project.tree), "")


def _settings(settings: str, root: str, project: KnownProject) -> list[Module]:
    """The settings, and what lies beside them: those of production and of development share a file there."""
    file = _file(settings, root, project) if settings else ""
    if not file:
        return []
    beside = project.tree.beside(posixpath.dirname(file))
    first = [file, *(path for path in beside if path != file and "settings" in posixpath.dirname(path).split("/"))]
    found = (project.module(path) for path in first if path.endswith(".py"))
    return [each for each in found if each is not None]


def _said(name: str, settings: str, root: str, project: KnownProject) -> str:
    return next((each.strings[name] for each in _settings(settings, root, project) if name in each.strings), "")


def _env(words: tuple[str, ...], settings: str, root: str, project: KnownProject) -> dict[str, str]:
    """The settings' module, where the application does not say it by itself as startproject writes it."""
    name = next((word.partition(":")[0] for word in words if _file(word.partition(":")[0], root, project)), "")
    module = project.module(_file(name, root, project)) if name else None
    if not settings or module is None or SETTINGS in module.strings:
        return {}
    return {SETTINGS: settings}


def _remarks(settings: str, root: str, project: KnownProject) -> tuple[str, ...]:
    modules = _settings(settings, root, project)
    if not any("STATIC_ROOT" in each.assigned for each in modules):
        return ()
    where = posixpath.join(root, MANAGE)
    return (f"static files: run python {where} collectstatic before the build, so that what it makes is copied too",)
