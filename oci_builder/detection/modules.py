"""What a Python file says of what can be started in it, read as syntax; none of it is imported or run."""

from __future__ import annotations

import ast
import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from oci_builder.detection.frameworks import Framework, framework_of

_OLD = re.compile(
    rb"""^[ \t]*(?:print[ \t]+(?![=.(,)\]:])\S|except[ \t]+[\w.]+[ \t]*,[ \t]*\w+[ \t]*:|exec[ \t]+["'\w]"""
    rb"""|raise[ \t]+\w+[ \t]*,)""",
    re.MULTILINE,
)
"""Statements of Python 2 that no Python 3 reads."""

_BEGINS = re.compile(r"^(?=[^\s#)\]}'\"])", re.MULTILINE)
"""Where a statement of a module may begin."""

_MOST_PIECES, _MOST_BRACES = 3_000, 4_000
"""Statements of a module, and braces: the fields of one f-string take quadratic time in CPython 3.11."""

_HELD = frozenset({"app", "application", "api"})
"""What an object calls its application, and a module."""

_DEEPEST = 5
"""Functions that call each other, which are followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """An application: a variable of a module, or a function that makes one (a factory).

    ``needs`` are arguments without which the factory cannot be called.
    """

    name: str
    framework: Framework
    is_factory: bool = False
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedName:
    """One name that a module has from another: ``level`` dots, ``module``, and ``name``, "" for the module itself."""

    level: int
    module: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Module:
    """What was read of the file at ``path``.

    ``calls`` are functions that are called while it is started, by dotted name, with their keywords that are literals;
    ``made`` are variables by the function of another module that made them; ``strings`` are variables that are text,
    and ``assigned`` all variables; ``routes`` the paths that the application itself answers, ``mounted`` what another
    application takes in. ``is_old`` is true of Python 2, ``is_whole`` where all of it could be read by the Python that
    runs us.
    """

    path: str
    applications: tuple[Application, ...] = ()
    imports: tuple[ImportedName, ...] = ()
    calls: Mapping[str, Mapping[str, object]]
    made: Mapping[str, str]
    strings: Mapping[str, str]
    assigned: frozenset[str] = frozenset()
    routes: tuple[str, ...] = ()
    mounted: frozenset[str] = frozenset()
    has_main: bool = False
    is_old: bool = False
    is_whole: bool = True

    def uses(self, package: str) -> bool:
        """Whether it imports something of ``package``."""
        return any(not each.level and each.module.partition(".")[0] == package for each in self.imports)

    def calling(self, *names: str) -> Mapping[str, object] | None:
        """The keywords of the first of these functions that is called, by the end of its dotted name; None for none."""
        for dotted, keywords in self.calls.items():
            if any(dotted == name or dotted.endswith(f".{name}") for name in names):
                return keywords
        return None


def read_module(path: str, data: bytes) -> Module:
    """What the source ``data`` says. What cannot be read says nothing, piece by piece of the module."""
    body, whole = _statements(data)
    reader = _Reader()
    for statement in body:
        with contextlib.suppress(RecursionError):  # an elif after a thousand others
            reader.read(statement)
    reader.enter()
    return Module(
        path=path,
        applications=tuple(reader.applications()),
        imports=tuple(dict.fromkeys(reader.imports)),
        calls=reader.calls,
        made=reader.made,
        strings=reader.strings,
        assigned=frozenset(reader.assigned),
        routes=tuple(reader.routes),
        mounted=frozenset(reader.mounted),
        has_main=reader.has_main,
        is_old=not whole and _OLD.search(data) is not None,
        is_whole=whole,
    )


def _statements(data: bytes) -> tuple[list[ast.stmt], bool]:
    """The statements of a module, and whether these are all of them."""
    whole = _parsed(data)
    if whole is not None:
        return whole, True
    # Perhaps it is for a newer Python than runs us: what that alone reads is passed by.
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\0", "")
    starts = [found.start() for found in _BEGINS.finditer(text)][:_MOST_PIECES]
    found: list[ast.stmt] = []
    for begin, end in pairwise([*starts, len(text)]):
        found += _parsed(text[begin:end].encode()) or []
    return found, False


def _parsed(data: bytes) -> list[ast.stmt] | None:
    if data.count(b"{") > _MOST_BRACES:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that are none, which are not ours to speak of
            return ast.parse(data).body
    except (SyntaxError, ValueError, RecursionError, MemoryError, LookupError):
        return None


class _Reader:
    """Reads the statements of a module that are run when it is imported or started."""

    def __init__(self) -> None:
        self.imports: list[ImportedName] = []
        self.calls: dict[str, dict[str, object]] = {}
        self.made: dict[str, str] = {}
        self.strings: dict[str, str] = {}
        self.assigned: set[str] = set()
        self.routes: list[str] = []
        self.mounted: set[str] = set()
        self.has_main = False
        self._held: Framework | None = None
        self._names: dict[str, str] = {}
        self._stars: list[str] = []
        self._found: dict[str, Application] = {}
        self._factories: dict[str, Application] = {}
        self._functions: dict[str, ast.AST] = {}

    def applications(self) -> Iterator[Application]:
        """Variables, and the factories that none of them was made by."""
        yield from self._found.values()
        used = set(self.made.values())
        yield from (each for name, each in self._factories.items() if name not in used)

    def enter(self) -> None:
        """Note what is called in functions of the module that are called while it is started."""
        for _ in range(_DEEPEST):
            waiting = [name for name in self._functions if name in self.calls]
            for name in waiting:
                self._called(self._functions.pop(name))
            if not waiting:
                return

    def read(self, node: ast.stmt, *, started: bool = False) -> None:
        """Take in one statement; ``started`` tells what is run by starting alone, and no variable of the module."""
        match node:
            case ast.Import() | ast.ImportFrom():
                self._import(node)
            case ast.ClassDef(name=name, bases=bases):
                known = next((dotted for base in bases if framework_of(dotted := self._dotted(base))), "")
                self._names[name] = known or name
                self._held = self._held or self._made_in(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node)
            case ast.If(test=test, body=body, orelse=other):
                main = _is_main(test)
                self.has_main = self.has_main or main
                if not _is_for_types(test):
                    self._all(body, started=started or main)
                self._all(other, started=started)
            case ast.Try(body=body, handlers=handlers, orelse=other, finalbody=last):
                for each in (body, *(handler.body for handler in handlers), other, last):
                    self._all(each, started=started)
            case ast.With(items=items, body=body):
                for item in items:
                    self._assigned(item.optional_vars, item.context_expr, started)
                self._all(body, started=started)
            case ast.Assign(targets=[ast.Subscript()]):
                self._called(node)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assigned(target, value, started)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._assigned(target, value, started)
            case ast.Expr(value=value):
                self._called(value)
            case _:
                pass

    def _all(self, body: Sequence[ast.stmt], *, started: bool) -> None:
        for node in body:
            self.read(node, started=started)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.imports.append(ImportedName(level=0, module=alias.name))
                self._names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
            return
        module = node.module or ""
        for alias in node.names:
            self.imports.append(ImportedName(level=node.level, module=module, name=alias.name))
            if alias.name == "*":
                self._stars.append(module)
            else:
                self._names[alias.asname or alias.name] = f"{module}.{alias.name}" if not node.level else alias.name

    def _dotted(self, node: ast.AST) -> str:
        """The dotted name that an expression is, by what the module imported; "" for what is none."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        first = self._names.get(node.id)
        if first is None:
            star = next((each for each in self._stars if framework_of(f"{each}.{node.id}")), "")
            first = f"{star}.{node.id}" if star else node.id
        return ".".join([first, *reversed(parts)])

    def _made_by(self, value: ast.AST | None) -> tuple[Framework | None, str]:
        """The framework of what an expression makes, and the dotted name of the function that makes it."""
        if not isinstance(value, ast.Call):
            return None, ""
        dotted = self._dotted(value.func)
        framework = framework_of(dotted)
        if framework is None and isinstance(value.func, ast.Name) and value.func.id in self._factories:
            framework = self._factories[value.func.id].framework
        if framework is None:
            # Wrapped, as middleware does it: App(FastAPI()).
            inner = (*value.args, *(keyword.value for keyword in value.keywords))
            framework = next((found for each in inner if (found := self._made_by(each)[0])), None)
        return framework, dotted

    def _assigned(self, target: ast.AST | None, value: ast.AST, started: bool) -> None:
        self._called(value)
        if isinstance(target, ast.Tuple) and target.elts:
            values = value.elts if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts) else None
            for number, each in enumerate(target.elts if values else target.elts[:1]):
                self._assigned(each, values[number] if values else value, started)
            return
        if not isinstance(target, ast.Name):
            return
        self.assigned.add(target.id)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            self.strings[target.id] = value.value
        framework, dotted = self._made_by(value)
        if started:
            return
        if dotted:
            self.made[target.id] = dotted if framework is None or framework_of(dotted) is None else ""
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in self._factories:
                self.made[target.id] = value.func.id
        if framework is not None:
            self._found[target.id] = Application(name=target.id, framework=framework)
        elif isinstance(value, ast.Attribute) and value.attr == "server":
            self._server_of(target.id, value)
        elif isinstance(value, ast.Attribute) and value.attr in _HELD and target.id in _HELD and self._held:
            self._found[target.id] = Application(name=target.id, framework=self._held)

    def _made_in(self, node: ast.ClassDef) -> Framework | None:
        """The framework of the application that objects of a class have."""
        made = (self._made_by(each)[0] for each in ast.walk(node) if isinstance(each, ast.Call))
        return next((each for each in made if each is not None), None)

    def _server_of(self, name: str, value: ast.Attribute) -> None:
        """Dash's server, which is the WSGI application of it."""
        owner = value.value.id if isinstance(value.value, ast.Name) else ""
        if owner in self._found and self._found[owner].framework.name == "Dash":
            self._found[name] = Application(name=name, framework=self._found[owner].framework)

    def _called(self, node: ast.AST) -> None:
        """Note all that is called in an expression, or in a function."""
        for each in ast.walk(node):
            match each:
                case ast.Call():
                    self._one_call(each)
                case ast.Assign(
                    targets=[ast.Subscript(slice=ast.Constant(value=str(name)))], value=ast.Constant(value=str(text))
                ):
                    self.strings.setdefault(name, text)  # os.environ["NAME"] = "…"

    def _one_call(self, node: ast.Call) -> None:
        dotted = self._dotted(node.func) or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
        literal = {
            each.arg: each.value.value for each in node.keywords if each.arg and isinstance(each.value, ast.Constant)
        }
        self.calls.setdefault(dotted, {})
        self.calls[dotted] |= literal
        if dotted.endswith("listen") and node.args and isinstance(node.args[0], ast.Constant):
            self.calls[dotted]["port"] = node.args[0].value
        match node.args:
            case [ast.Tuple(elts=[_, ast.Constant(value=int(port))]), *_]:
                self.calls[dotted].setdefault("port", port)  # as socketserver's classes take it
            case _:
                pass
        texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        if dotted.endswith(".setdefault") and len(texts) == 2:
            self.strings.setdefault(*texts)
        if dotted.rpartition(".")[2] in ("mount", "include_router", "add_route"):
            values = (*node.args, *(keyword.value for keyword in node.keywords))
            self.mounted |= {each.id for each in values if isinstance(each, ast.Name)}

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for each in node.decorator_list:
            self._route(each)
        self._functions[node.name] = node
        framework = None if isinstance(node, ast.AsyncFunctionDef) else self._returned(node)
        if framework is not None:
            needs = _required(node.args)
            made = Application(name=node.name, framework=framework, is_factory=True, needs=needs)
            self._factories[node.name] = made

    def _returned(self, node: ast.FunctionDef) -> Framework | None:
        """The framework of the application that a function returns."""
        inside: dict[str, Framework] = {}
        for each in ast.walk(node):
            targets: list[ast.expr] = []
            match each:
                case ast.Import() | ast.ImportFrom():
                    self._import(each)
                case ast.Assign():
                    targets = each.targets
                case ast.AnnAssign():
                    targets = [each.target]
            if targets and isinstance(each, ast.Assign | ast.AnnAssign):
                framework = self._made_by(each.value)[0]
                inside |= {target.id: framework for target in targets if isinstance(target, ast.Name) and framework}
        for each in ast.walk(node):
            if isinstance(each, ast.Return) and each.value is not None:
                made = self._made_by(each.value)[0]
                made = made or (inside.get(each.value.id) if isinstance(each.value, ast.Name) else None)
                if made is not None:
                    return made
        return None

    def _route(self, node: ast.AST) -> None:
        """A path that an application of this module answers."""
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr="get" | "route"),
                args=[ast.Constant(value=str(path)), *_],
            ) if name in self._found:
                self.routes.append(path)


def _required(arguments: ast.arguments) -> tuple[str, ...]:
    plain = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    without = plain[: len(plain) - len(arguments.defaults)]
    return (*without, *(each.arg for each, default in named if default is None))


def _is_main(test: ast.AST) -> bool:
    if not isinstance(test, ast.Compare) or len(test.comparators) != 1:
        return False
    sides = (test.left, test.comparators[0])
    names = {each.id for each in sides if isinstance(each, ast.Name)}
    texts = {each.value for each in sides if isinstance(each, ast.Constant)}
    return "__name__" in names and "__main__" in texts


def _is_for_types(test: ast.AST) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"
