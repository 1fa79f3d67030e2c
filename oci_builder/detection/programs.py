"""What is started as a program: workers, packages with a __main__, and files."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from oci_builder.detection.choices import Launch, Startable, init, is_port
from oci_builder.detection.frameworks import ServerKind
from oci_builder.detection.modules import Module
from oci_builder.detection.places import SRC
from oci_builder.detection.project import KnownProject
from oci_builder.detection.starting import is_installed, start_file
from oci_builder.errors import UnclearCommand

_USUAL = ("main", "app")
MAIN_FILES = tuple(f"{name}.py" for name in _USUAL)
"""What people call the program of a project."""

_OTHERS = ("run", "start", "server", "bot", "worker", "job", "pipeline", "etl", "cli", "hello", "index", "manage")
_PYTHON = re.compile(rb"#!.*\bpython[0-9.]*\b")
_SERVED = ("fastapi", "starlette", "litestar", "quart", "flask")
_SERVES = ("run", "serve", "run_app", "run_simple", "serve_forever", "launch", "main", "start", "cli", "app", "execute")
_BIN = "bin"
_MAIN = "__main__"


def workers(project: KnownProject) -> list[Startable]:
    """Applications of Celery, which its workers are told of."""
    found = []
    for module in project.modules:
        names = [
            each.name
            for each in module.applications
            if each.framework.kind is ServerKind.WORKER and not each.is_factory
        ]
        place = project.place(module)
        if names and place is not None and project.has("celery"):
            name = names[0] if len(names) == 1 or "app" not in names else "app"
            target = place.module if name in ("app", "celery") else f"{place.module}:{name}"
            paths, root = project.paths_of(place)
            launch = Launch(
                words=("celery", "-A", target, "worker", "--loglevel=INFO"),
                why=f"{module.path}: Celery",
                root=root,
                paths=paths,
            )
            found.append(Startable(name=target, what=launch.why, start=functools.partial(_same, launch)))
    return found


def scripts(project: KnownProject) -> list[Startable]:
    """The commands that the project brings: the one of its name, else all."""
    found = every_script(project)
    return [each for each in found if re.sub(r"[-_.]+", "_", each.name).lower() == project.name] or found


def every_script(project: KnownProject) -> list[Startable]:
    """All of them."""
    what = "a command of the project"
    return [Startable(name=name, what=what, start=functools.partial(_script, name)) for name in project.scripts]


def _script(name: str) -> Launch:
    return Launch(words=(name,), why=f"{name} is the project's command", is_entrypoint=True, in_files=False)


def packages(project: KnownProject) -> list[Startable]:
    """Packages that are started with ``-m``: the one of the project's name, else all that are not in another."""
    found = [path for path in project.tree.modules if posixpath.basename(path) == f"{_MAIN}.py" and "/" in path]
    roots = {path: posixpath.dirname(path).removeprefix(f"{SRC}/") for path in found}
    own = [path for path in found if roots[path] == project.name]
    outer = [path for path in found if "/" not in roots[path]]
    candidates = []
    for path in own or outer or found:
        module = project.module(path)
        if module is not None and not module.is_old and project.place(module) is not None:
            start = functools.partial(_package, module, project)
            candidates.append(Startable(name=posixpath.dirname(path).replace("/", "."), what=path, start=start))
    return candidates


def _package(module: Module, project: KnownProject) -> Launch:
    place = project.place(module)
    assert place is not None
    paths, root = project.paths_of(place)
    return Launch(
        words=("python", "-m", place.module.removesuffix(f".{_MAIN}")),
        why=f"{posixpath.dirname(module.path)} has a __main__.py",
        root=root,
        paths=paths,
        in_files=not is_installed(module, project),
    )


def files(project: KnownProject) -> list[Startable]:
    """Files that are programs: main.py and app.py before all others, in the project's folder before those below."""
    for folder in ("", SRC, *([project.name] if project.tree.has_folder(project.name) else []), "app"):
        found = _programs(folder, project)
        if found:
            return [_file(each, project) for each in found]
    return _in_bin(project) or [_file(each, project) for each in _deeper(project)]


def _programs(folder: str, project: KnownProject) -> list[Module]:
    """What somebody would start in a folder: what has a usual name, or says so and is imported by no other."""
    modules = _modules([path for path in project.tree.beside(folder) if path in project.tree.modules], project)
    main = [each for each in modules if _stem(each) == _MAIN] if not folder else []
    parts = project.imported(each for each in modules)
    for names in (_USUAL, _OTHERS):
        usual = [each for each in modules if _stem(each) in names and (not folder or each.has_main or names is _USUAL)]
        free = [each for each in usual if each.path not in parts]
        if usual:
            return free or usual
    if main:
        return main
    if project.is_built:
        return []  # what lies beside a package serves those who develop it
    free = [each for each in modules if each.path not in parts and not _stem(each).startswith("__")]
    started = [each for each in free if each.has_main]
    if started:
        return started
    return free if len(free) == 1 and not folder else []


def _deeper(project: KnownProject) -> list[Module]:
    """Programs of a usual name in any folder, where there is none nearer."""
    paths = [path for path in project.tree.modules if path.count("/") == 1]
    found = [each for each in _modules(paths, project) if _stem(each) in _USUAL and each.has_main]
    parts = project.imported(found)
    return [each for each in found if each.path not in parts]


def _in_bin(project: KnownProject) -> list[Startable]:
    found = []
    for path in project.tree.beside(_BIN):
        data = project.tree.read(path) or b""
        if path.endswith(".py") or _PYTHON.match(data.split(b"\n", 1)[0]):
            launch = Launch(words=("python", path), why=f"{path} is the program of {_BIN}", paths=(".",))
            found.append(Startable(name=path, what=f"a program in {_BIN}", start=functools.partial(_same, launch)))
    return found


def _modules(paths: Sequence[str], project: KnownProject) -> list[Module]:
    found = (project.module(path) for path in paths)
    return [each for each in found if each is not None and not each.is_old]


def _stem(module: Module) -> str:
    return posixpath.basename(module.path).removesuffix(".py")


def _file(module: Module, project: KnownProject) -> Startable:
    return Startable(name=module.path, what="a program", start=functools.partial(_start_file, module, project))


def _start_file(module: Module, project: KnownProject) -> Launch:
    launch = start_file(module, project)
    framework = next((name for name in _SERVED if module.uses(name)), "")
    if framework and module.calling(*_SERVES) is None:
        why = f"{module.path} uses {framework}, and no application of it was found, nor anything that serves one"
        hint = f"say the command: {init(project.folder)} --cmd '…'"
        raise UnclearCommand(str(project.folder), why, hint=hint)
    said = module.calling("run_app", "run", "listen", "HTTPServer", "ThreadingHTTPServer", "TCPServer")
    default = {"aiohttp": 8080, "tornado": 8888}
    port = (said or {}).get("port") or next(
        (number for name, number in default.items() if said is not None and module.uses(name)), None
    )
    return replace(launch, port=port) if is_port(port) else launch


def _same(launch: Launch) -> Launch:
    return launch
