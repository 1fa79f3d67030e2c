"""Modules of an image and what they import, read as text (by AST), never run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_CATCHES = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_LONGEST_NAME = 255
_MAX_SOURCE = 8 << 20
"""Bytes of a module that is still read: data written as Python is longer."""


@dataclass(frozen=True, slots=True)
class Import:
    """``import module`` or ``from module import name`` (``name`` is empty in the former), with ``module`` absolute."""

    module: str
    name: str = ""


def imports(source: bytes, module: str, *, package: bool, calls: bool = False) -> list[Import]:
    """What importing ``module`` imports whatever happens: not in functions, under conditions or in guarded tries.

    ``package`` tells that it is an ``__init__``. With ``calls``, functions of its own that it calls on the way count
    too, and so do the names it gives importlib. Source that does not parse imports nothing.
    """
    body = _parsed(source)
    walk = _Walk(module if package else module.rpartition(".")[0], body, calls=calls)
    return list(dict.fromkeys(walk.imports(body)))


def mentions(source: bytes, module: str, *, package: bool) -> list[Import]:
    """All that ``module`` imports anywhere: in functions, under conditions and in guarded tries too."""
    walk = _Walk(module if package else module.rpartition(".")[0], (), calls=False)
    nodes = (node for statement in _parsed(source) for node in ast.walk(statement))
    found = walk.imports(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
    return list(dict.fromkeys(found))


def texts(source: bytes) -> set[str]:
    """All the texts that stand in a module, each without what comes before its last slash."""
    nodes = (node for statement in _parsed(source) for node in ast.walk(statement))
    values = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {value.rpartition("/")[2] for value in values if len(value) <= _LONGEST_NAME}


def _parsed(source: bytes) -> list[ast.stmt]:
    if len(source) > _MAX_SOURCE:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


class _Walk:
    """One walk over the statements that run on import."""

    def __init__(self, package: str, body: Sequence[ast.stmt], *, calls: bool) -> None:
        self._package, self._calls = package, calls
        self._functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}

    def imports(self, body: Iterable[ast.stmt]) -> Iterator[Import]:
        """The imports of statements that all run."""
        for node in body:
            match node:
                case ast.Import():
                    yield from (Import(alias.name) for alias in node.names)
                case ast.ImportFrom():
                    yield from self._from(node)
                case ast.ClassDef():
                    yield from self.imports(node.body)
                case ast.Try():
                    yield from self.imports([*([] if _guarded(node) else node.body), *node.finalbody])
                case ast.With() if not any("suppress" in ast.unparse(item.context_expr) for item in node.items):
                    yield from self.imports(node.body)
                case ast.Expr() | ast.Assign() if self._calls:
                    yield from self._called(node)

    def _from(self, node: ast.ImportFrom) -> Iterator[Import]:
        module = node.module or ""
        if node.level:
            parts = self._package.split(".")
            parts = parts[: len(parts) - node.level + 1]
            module = ".".join([*parts, *([module] if module else [])])
        yield from (Import(module, "" if alias.name == "*" else alias.name) for alias in node.names)

    def _called(self, node: ast.Expr | ast.Assign) -> Iterator[Import]:
        value = node.value
        if isinstance(value, ast.Call):
            if isinstance(value.func, ast.Name) and (function := self._functions.pop(value.func.id, None)):
                yield from self.imports(function.body)
            if ast.unparse(value.func).endswith(("import_module", "__import__")) and value.args:
                name = value.args[0]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    yield Import(name.value if name.value[:1] != "." else f"{self._package}{name.value}")


def _guarded(node: ast.Try) -> bool:
    for handler in node.handlers:
        if handler.type is None:
            return True
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        if any(ast.unparse(kind).rpartition(".")[2] in _CATCHES for kind in kinds):
            return True
    return False
