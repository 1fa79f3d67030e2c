"""Every message of the program with its hint, read from its code: what `generate.py` makes reference/errors.md of."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import oci_builder
from oci_builder import errors
from oci_builder.errors import OcibuildError

GAP = "…"
"""What stands for a file, a name or a number."""

_NUMBERS = {"status": -9}
"""What stands for a number by its name: of a process, the signal that ended it."""

_MOST = 8
"""Wordings of one place in the code that are told apart."""

_HEAD = """# Errors

What the program says when something fails, by kind; `docs/generate.py` writes this page from the program's code. Look
for words of the screen: … stands for the names, paths and numbers of your case. What stands on the right is the hint
that follows the message. The exit code is in brackets; [cli.md](cli.md) says what the codes mean.
"""

_SHORT = {
    "wrong": (("RecipeError",), 0, 1),
    "refused": (("UnsupportedRequirement",), 1, 2),
    "Breakage": (("RegistryError", "TransportError"), 0, 1),
}
"""What makes an error: of which classes, and which of its arguments are the cause and the hint."""

WAYS: Mapping[str, str] = {
    "ArchiveIndexError": "Try again later or another mirror (`--mirror`); see that this machine's clock is right.",
    "BadKey": "Change the key in image.toml or layer.toml: the message names the file, the line and what fits.",
    "CacheEmptied": "Let whatever empties the cache end, then build again.",
    "CheckFailed": "Read the lines below the message: each is a finding. What is right as it is can be allowed.",
    "CorruptBlob": "Run the same command again: what was dropped is made or fetched anew.",
    "DamagedElf": "Get the wheel or package that holds the file again, or another version of it.",
    "DigestMismatch": "Find out who changed the bytes; get them again, or lock again if the change is meant.",
    "FileProblem": "Mend the file or folder, its permissions or its disk, or name another.",
    "ImagesFailed": "Above it stands of each image what went wrong; the others were made.",
    "InvalidValue": "Write it as the message says.",
    "LoadFailed": "Install docker or podman, start its daemon, or write a file with `--out`.",
    "MachineExhausted": "Raise the limit that is named, or work with fewer processes (`--jobs 1`).",
    "MissingLibrary": "Add the Debian package that has it to `base-packages`, or allow the finding.",
    "NoMatchingWheel": "Ask for another version, choose another base, or bring a wheel of your own.",
    "NoPython": "Choose a base that has a CPython, or one of those in layers/.",
    "NotFound": "Write the name as the hint lists it, or make what is looked for.",
    "OutsideProject": "Copy the file into the project, or say `outside = true` where it is named.",
    "PackageError": "Choose another version of the package, another mirror or another base.",
    "PackageUnavailable": "Build once with a network, or run `ocibuild download` and carry what it fetched.",
    "PathConflict": "Leave one of the two out, or say in image.toml who wins.",
    "ProcessKilled": "Give the machine more memory, or build with `--jobs 1`.",
    "RecipeError": "Change the line of the file that is named.",
    "RegistryError": "Log in (`docker login`), check the name, or try again when the registry answers.",
    "ResolutionError": "Change the requirement that is named, or bring the wheel that is missing.",
    "StaleLock": "Make the lock anew with the command that the hint gives.",
    "ToolFailed": "Read what the program itself said; most often it, or what it needs, is missing or too old.",
    "TransportError": "Check network, proxy and address; an interrupted download goes on where it was.",
    "UnclearCommand": "Say what is started with --app or --cmd, or add the server that is missing.",
    "UnsafeArchive": "Get the archive again from who made it; it is not unpacked as it is.",
    "UnsafePath": "Get the wheel, package or image from who made it; it is not installed as it is.",
    "UnsupportedImage": "`ocibuild verify FILE` says all that is wrong; save the image again with a current tool.",
    "UnsupportedRequirement": "Require a wheel, or let the recipe build the project.",
    "WheelError": "Get the wheel again, another version of it, or tell who publishes it.",
}
"""What helps against errors of each class."""


def page() -> str:
    """The page, in Markdown."""
    found: dict[str, set[tuple[str, str]]] = {}
    for path in sorted(Path(oci_builder.__file__).parent.rglob("*.py")):
        for kind, message, hint in _messages(ast.parse(path.read_text())):
            found.setdefault(kind, set()).add((message, hint))
    return "\n".join([_HEAD, *(_section(kind, found.get(kind, set())) for kind in sorted(classes()))])


@functools.cache
def classes() -> dict[str, type[OcibuildError]]:
    """The classes of errors, by name."""
    return {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, OcibuildError) and kind is not OcibuildError
    }


def _section(name: str, rows: set[tuple[str, str]]) -> str:
    kind = classes()[name]
    cause = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
    head = f"## {name}\n\n{_plain(cause)} [{kind.exit_code}] {WAYS[name]}\n"
    if not rows:
        return head
    table = "\n".join(f"| {_cell(message)} | {_cell(hint)} |" for message, hint in sorted(rows))
    return f"{head}\n| on the screen | hint |\n|---|---|\n{table}\n"


def _plain(text: str) -> str:
    return text.replace("``", "`")


def _cell(text: str) -> str:
    text = re.sub(r"…(?:[ ,:/.]*…)+", GAP, " ".join(text.split()))
    return re.sub(r"([|<>*_\[\]\\])", r"\\\1", text)


def _messages(module: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Class, message and hint of every error that a module makes; of one place there may be several wordings."""
    constants = _assigned(module.body)
    for outer in ast.walk(module):
        if not isinstance(outer, ast.FunctionDef):
            continue
        known = constants | _assigned(ast.walk(outer))
        for node in ast.walk(outer):
            if isinstance(node, ast.Call):
                yield from _made(node, known)


def _assigned(nodes: Any) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return found


def _made(call: ast.Call, known: Mapping[str, list[ast.expr]]) -> Iterator[tuple[str, str, str]]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    if name in _SHORT:
        kinds, why, hint = _SHORT[name]
        texts = _texts(call.args[why], known) if why < len(call.args) else [GAP]
        hints = _texts(call.args[hint], known) if hint < len(call.args) else [""]
        for text, way in _few(texts, hints):
            yield from ((kind, f"{GAP}: {text}", way) for kind in kinds if _says(text))
        return
    if name not in classes() or any(isinstance(each, ast.Starred) for each in call.args):
        return
    hints = _texts(named.pop("hint"), known) if "hint" in named else [""]
    for *values, way in _few(*(_texts(each, known) for each in call.args), hints):
        message = _rendered(classes()[name], values, named, known)
        if _says(message) or _says(way):
            yield name, message, way


def _rendered(kind: type[OcibuildError], values: list[str], named: Mapping[str, ast.expr], known: Any) -> str:
    """The message of an error whose fields are these, as it stands on the screen."""
    fields: dict[str, Any] = {}
    positional: list[Any] = list(values)
    for number, (name, parameter) in enumerate(inspect.signature(kind).parameters.items()):
        annotation = str(parameter.annotation)
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            if "Sequence" in annotation and number < len(positional):
                positional[number] = [positional[number]]
            elif "Mapping" in annotation and number < len(positional):
                positional[number] = {GAP: OcibuildError(GAP)}
        elif parameter.default is inspect.Parameter.empty:
            text = _texts(named[name], known)[0] if name in named else GAP
            fields[name] = (
                _NUMBERS.get(name, 2) if annotation == "int" else [text] if "Sequence" in annotation else text
            )
    return str(kind(*positional, **fields))


def _says(text: str) -> bool:
    """Whether there is anything in it by which somebody could find it."""
    return len(re.findall(r"[A-Za-z]{2,}", text)) > 1


def _few(*alternatives: list[str]) -> Iterator[tuple[str, ...]]:
    return itertools.islice(itertools.product(*alternatives), _MOST)


def _texts(node: ast.expr, known: Mapping[str, list[ast.expr]], depth: int = 0) -> list[str]:
    """The wordings that an expression may have, as far as they stand in the code."""
    if depth > 4:
        return [GAP]
    if isinstance(node, ast.Constant):
        return [node.value if isinstance(node.value, str) else "" if node.value is None else str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return ["".join(parts) for parts in _few(*(_texts(part, known, depth + 1) for part in node.values))]
    if isinstance(node, ast.FormattedValue):
        inner = _texts(node.value, known, depth + 1)
        return inner if isinstance(node.value, ast.Name | ast.IfExp | ast.JoinedStr) else [GAP]
    if isinstance(node, ast.Name) and node.id in known:
        others = {name: values for name, values in known.items() if name != node.id}
        found = [text for value in known[node.id] for text in _texts(value, others, depth + 1)]
        return list(dict.fromkeys(found))[:_MOST] or [GAP]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, known, depth + 1), *_texts(node.orelse, known, depth + 1)][:_MOST]
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in _texts(value, known, depth + 1) if text][:_MOST] or [GAP]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return ["".join(parts) for parts in _few(_texts(node.left, known, depth), _texts(node.right, known, depth))]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return [re.sub(r"\{\w*\}", GAP, text) for text in _texts(node.func.value, known, depth + 1)]
    return [GAP]
