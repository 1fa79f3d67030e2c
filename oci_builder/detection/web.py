"""Applications of web frameworks: which of them is the project's, and what serves it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from oci_builder.detection.choices import PORT, Launch, Startable, init, is_port
from oci_builder.detection.frameworks import Framework, ServerKind
from oci_builder.detection.modules import Application, Module
from oci_builder.detection.places import SRC, ModulePlace
from oci_builder.detection.project import KnownProject
from oci_builder.detection.starting import start_file
from oci_builder.errors import UnclearCommand

_MODULES = ("main", "app", "application", "asgi", "wsgi", "server", "api", "__init__", "web", "run", "index")
_SAME = ("wsgi", "asgi", *_MODULES)
_VARIABLES = ("app", "application", "api", "asgi", "wsgi", "server", "create_app", "make_app", "get_app", "build_app")

_HEALTH = ("/health", "/healthz", "/healthcheck", "/health-check", "/livez", "/ping", "/api/health")
_ASGI, _WSGI = ("uvicorn", "hypercorn", "granian", "daphne"), ("gunicorn", "waitress", "granian")
_RUN = ("run", "run_server")
GUNICORN_CONF = "gunicorn.conf.py"


@dataclass(frozen=True, kw_only=True)
class Served:
    """An application, the module that it is in, and where that is imported from."""

    application: Application
    module: Module
    place: ModulePlace

    @property
    def name(self) -> str:
        """How servers and people call it: ``shop.main:app``, and ``shop:create_app`` for a factory."""
        return f"{self.place.module}:{self.application.name}"

    @property
    def what(self) -> str:
        """What it is, in words."""
        kind = "a factory of " if self.application.is_factory else ""
        return f"{self.module.path}: {kind}{self.application.framework.name}"


def applications(project: KnownProject) -> list[Startable]:
    """The applications that a server can be told of, those that are most likely meant and no others."""
    return [_candidate(each, project) for each in _nearest(_found(project), project)]


def every_application(project: KnownProject) -> list[Startable]:
    """All of them, however unlikely."""
    return [_candidate(each, project) for each in _found(project)]


def _found(project: KnownProject) -> list[Served]:
    found: list[Served] = []
    factories = {
        each.name: each.framework for module in project.modules for each in module.applications if each.is_factory
    }
    for module in project.modules:
        place = project.place(module)
        if place is None:
            continue
        for each in _of_module(module, factories):
            found.append(Served(application=each, module=module, place=place))
    return found


def _of_module(module: Module, factories: Mapping[str, Framework]) -> list[Application]:
    """The application of a module: its variables, with those that a factory elsewhere makes, before its factories."""
    served = [each for each in module.applications if each.framework.kind is not ServerKind.WORKER]
    variables = [each for each in served if not each.is_factory]
    known = {each.name for each in variables}
    for name, dotted in module.made.items():
        framework = factories.get(dotted.rpartition(".")[2])
        if framework is not None and framework.kind is not ServerKind.WORKER and name not in known:
            variables.append(Application(name=name, framework=framework))
    free = [each for each in variables if each.name not in module.mounted] or variables
    # Dash's own object is none that a WSGI server takes; what it serves with is.
    servers = {each.name for each in free if each.framework.name == "Dash"}
    if "server" in servers:
        return [each for each in free if each.name == "server"]
    return _by_name(free) or _by_name([each for each in served if each.is_factory])


def _by_name(found: Sequence[Application]) -> list[Application]:
    for name in _VARIABLES:
        if chosen := [each for each in found if each.name == name]:
            return chosen
    return list(found)


def _nearest(found: list[Served], project: KnownProject) -> list[Served]:
    variables = [each for each in found if not each.application.is_factory]
    found = variables or found
    if len(found) < 2:
        return found
    # What another one of them takes in is a part of that.
    parts = project.imported(each.module for each in found)
    found = [each for each in found if each.module.path not in parts] or found
    best = min(_rank(each, project) for each in found)
    found = [each for each in found if _rank(each, project) == best]
    makers = {each.module.made.get(each.application.name, "").rpartition(".")[2] for each in found}
    if len(makers) == 1 and makers != {""}:
        # One factory made them all: they are the same, and the name says for whom each is.
        return [
            min(found, key=lambda each: _SAME.index(_stem(each.module)) if _stem(each.module) in _SAME else len(_SAME))
        ]
    return found


def _rank(each: Served, project: KnownProject) -> tuple[int, int]:
    """How far from where people look first: a usual name in the project's folder, or in the package of its name."""
    *folders, name = each.module.path.removesuffix(".py").split("/")
    folders = folders[1:] if folders[:1] == [SRC] else folders
    if name not in _MODULES:
        return 2, 0
    if len(folders) > 1 or (folders and folders[0] not in (project.name, "app")):
        return 1, 0
    return 0, len(folders)


def _stem(module: Module) -> str:
    return module.path.rpartition("/")[2].removesuffix(".py")


def _candidate(each: Served, project: KnownProject) -> Startable:
    return Startable(name=each.name, what=each.what, start=functools.partial(serve, each, project))


def serve(each: Served, project: KnownProject) -> Launch:
    """How an application is served. Raises UnclearCommand where nothing that will be installed can do so."""
    if each.application.needs:
        names = ", ".join(each.application.needs)
        why = f"{each.what} in {each.application.name}() needs {names}, and no server gives that"
        hint = f"write a wsgi.py or asgi.py with app = {each.application.name}(…)"
        hint += f", or say the command: {init(project.folder)} --cmd '…'"
        raise UnclearCommand(str(project.folder), why, hint=hint)
    paths, root = project.paths_of(each.place)
    port = _port(each.module)
    found = next(_commands(each, project, port), None)
    if found is None:
        return _alone(each, project)
    return replace(
        found, root=root, paths=paths, health=next((path for path in _HEALTH if path in each.module.routes), "")
    )


def _commands(each: Served, project: KnownProject, port: int) -> Iterator[Launch]:
    """The servers that there are for an application, the usual one first."""
    kind, conf = each.application.framework.kind, gunicorn_conf(project, each.place.root)
    if kind is ServerKind.OWN and project.has("sanic"):
        words = (
            "sanic",
            each.name,
            "--host=0.0.0.0",
            f"--port={port}",
            *(("--factory",) if each.application.is_factory else ()),
        )
        yield Launch(words=words, why=each.what, port=port)
    if project.has("gunicorn") and (
        kind is ServerKind.WSGI or (kind is ServerKind.ASGI and conf is not None and project.has("uvicorn"))
    ):
        yield gunicorn(_called(each), f"{each.what}, with gunicorn", conf, is_asgi=kind is ServerKind.ASGI)
    for server in _ASGI if kind is ServerKind.ASGI else _WSGI if kind is ServerKind.WSGI else ():
        if project.has(server):
            words = _words(server, each.name, port, kind, is_factory=each.application.is_factory)
            if words:
                yield Launch(words=words, why=f"{each.what}, with {server}", port=port)


def _called(each: Served) -> str:
    """How gunicorn and hypercorn call it: a factory is called by them."""
    return f"{each.name}()" if each.application.is_factory else each.name


def _words(server: str, name: str, port: int, kind: ServerKind, *, is_factory: bool) -> tuple[str, ...]:
    factory = ("--factory",) if is_factory else ()
    called, address = f"{name}()" if is_factory else name, f"0.0.0.0:{port}"
    match server:
        case "uvicorn":
            return ("uvicorn", *factory, name, "--host", "0.0.0.0", "--port", str(port))
        case "hypercorn":
            return ("hypercorn", "--bind", address, called)
        case "granian":
            return (
                "granian",
                "--interface",
                kind.value.lower(),
                *factory,
                "--host",
                "0.0.0.0",
                "--port",
                str(port),
                name,
            )
        case "waitress":
            return ("waitress-serve", f"--listen={address}", *(("--call",) if is_factory else ()), name)
        case "daphne" if not is_factory:
            return ("daphne", "-b", "0.0.0.0", "-p", str(port), name)
    return ()


def gunicorn(name: str, why: str, conf: Module | None, *, is_asgi: bool = False) -> Launch:
    """The command of gunicorn, which reads its gunicorn.conf.py by itself: what stands there is not said again."""
    if conf is None:
        worker = ("--worker-class", "uvicorn.workers.UvicornWorker") if is_asgi else ()
        return Launch(words=("gunicorn", "--bind", f"0.0.0.0:{PORT}", *worker, name), why=why, port=PORT)
    worker = (
        ("--worker-class", "uvicorn.workers.UvicornWorker") if is_asgi and "worker_class" not in conf.strings else ()
    )
    bind, remarks = conf.strings.get("bind", ""), tuple[str, ...]()
    host, _, number = bind.rpartition(":")
    port = int(number) if number.isascii() and number.isdigit() and 0 < len(number) < 6 else None
    binding: tuple[str, ...] = ()
    if (not bind and "bind" not in conf.assigned) or host in ("127.0.0.1", "localhost"):
        port = port or PORT
        binding = ("--bind", f"0.0.0.0:{port}")
    elif port is None:
        remarks = (
            f"{conf.path} says where it listens, in a way that is known when it runs: exposed-ports is left to you",
        )
    application = () if "wsgi_app" in conf.strings else (name,)
    return Launch(
        words=("gunicorn", *binding, *worker, *application), why=f"{why} and {conf.path}", port=port, remarks=remarks
    )


def gunicorn_conf(project: KnownProject, root: str) -> Module | None:
    """The gunicorn.conf.py that gunicorn reads where it starts."""
    path = f"{root}/{GUNICORN_CONF}".lstrip("/") if root != SRC else GUNICORN_CONF
    return project.module(path) if path in project.tree else None


def _port(module: Module) -> int:
    """The port that a file would listen on if it was started itself."""
    said = module.calling("uvicorn.run", "run", "serve") or {}
    port = said.get("port")
    return port if is_port(port) else PORT


def _runner(module: Module, project: KnownProject) -> Module | None:
    """The module that has the application of a framework serve itself: its own, or one that imports it."""
    others = (each for each in project.modules if module.path in project.imports(each))
    return next((each for each in (module, *others) if each.calling(*_RUN) is not None), None)


def _alone(each: Served, project: KnownProject) -> Launch:
    """The file itself, where it serves its application to others; else what is missing."""
    framework, module = each.application.framework, each.module
    started = _runner(module, project) if framework.kind is ServerKind.WSGI else None
    if started is not None:
        said = started.calling(*_RUN) or {}
        default = {"Flask": 5000, "Bottle": 8080, "Dash": 8050}.get(framework.name, PORT)
        port = said.get("port", default)
        port = port if is_port(port) else default
        if framework.name == "Dash":
            env = {"HOST": "0.0.0.0", "PORT": str(port)}
            return replace(start_file(started, project), port=port, env=env, why=f"{started.path}: Dash")
        if said.get("host") in ("0.0.0.0", "::"):
            remark = (
                f"{framework.name}'s own server is for developers: {project.add('gunicorn')}, and gunicorn is started"
            )
            why = f"{started.path}: {framework.name}, which it serves by itself"
            return replace(start_file(started, project), why=why, port=port, remarks=(remark,))
    server = _ASGI[0] if framework.kind is ServerKind.ASGI else _WSGI[0]
    why = f"{each.what} ({each.name}), and no server is among what it requires"
    hint = f"{project.add(server)}, or say the command: {init(project.folder)} --cmd 'python3 {module.path}'"
    raise UnclearCommand(str(project.folder), why, hint=hint)
