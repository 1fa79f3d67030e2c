"""Every failure is one of ours, crosses processes whole, and is raised somewhere."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import oci_builder
from oci_builder import errors
from oci_builder.errors import OcibuildError

PACKAGE = Path(oci_builder.__file__).parent
# Never leave the room that raises them: each is turned into one of ours, or a finding, there.
PRIVATE = {
    *("BadArithmetic", "BadTest", "BadValue", "Damaged", "NotGzip", "NotKnown", "NotZstd", "Unfit", "Unwritable"),
    *("_BadSchema", "_Exit", "_Leaving", "_Next"),
}
PROGRAMS = {"oci_builder.__main__"}

KINDS = [
    kind
    for _, kind in sorted(vars(errors).items())
    if inspect.isclass(kind) and issubclass(kind, OcibuildError) and kind is not OcibuildError
]


def example(kind: type[OcibuildError]) -> OcibuildError:
    """An error of ``kind`` with a value in every field."""
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        annotation = str(parameter.annotation)
        fields[name] = ["one", "two"] if "Sequence" in annotation else 7 if annotation == "int" else f"<{name}>"
    positional = [
        fields.pop(name)
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    return kind(*positional, **fields)


def modules() -> Iterator[str]:
    for module in pkgutil.walk_packages([str(PACKAGE)], "oci_builder."):
        if module.name not in PROGRAMS:
            yield module.name


def raised_names() -> set[str]:
    """What ``raise X`` and calls of ``X(...)`` anywhere in the package name."""
    names: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                function = node.func
                names.add(function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", ""))
    return names


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_it_survives_a_pickle_with_all_its_fields(kind: type[OcibuildError]) -> None:
    error = example(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.args, vars(copy)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_its_message_leaves_the_hint_to_whoever_prints_it(kind: type[OcibuildError]) -> None:
    error = example(kind)
    assert error.hint in (None, "<hint>")
    assert str(error).strip() and "<hint>" not in str(error)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_it_has_an_exit_code_that_is_documented(kind: type[OcibuildError]) -> None:
    assert kind.exit_code in (1, 2, 3)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_something_raises_it(kind: type[OcibuildError]) -> None:
    assert kind.__name__ in raised_names()


@pytest.mark.parametrize("name", list(modules()))
def test_no_module_has_an_exception_beside_the_root(name: str) -> None:
    for found in vars(importlib.import_module(name)).values():
        if inspect.isclass(found) and issubclass(found, BaseException) and found.__module__ == name:
            assert issubclass(found, OcibuildError) or found.__name__ in PRIVATE, f"{name}.{found.__name__}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_raises_a_bare_exception_on_purpose(path: Path) -> None:
    # AssertionError, NotImplementedError and StopIteration speak to programmers; ValueError and the like to nobody.
    vague = {"Exception", "BaseException", "RuntimeError", "OSError", "KeyError", "TypeError"} & set(vars(builtins))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            assert getattr(node.exc.func, "id", "") not in vague, f"line {node.lineno}"
