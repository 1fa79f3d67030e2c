"""pip's ways to build, unpack and run: those the hook was written against, and that each is a refusal."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pip

from oci_builder.wheels import pip as ours

PIP = Path(pip.__file__).parent
KNOWN = Path(__file__).with_name("pip_ways.txt")
HOOK = Path(ours.__file__).with_name("pip_hook")

NAMES = re.compile(
    r"prepare|unpack|untar|unzip|extract|build|backend|hook|editable|setup_py|egg_info|subprocess|runner|obtain|checkout"
    r"|clone|export|archive|^_?install|pyproject|generate_|fetch_new|run_command|spawn|exec|script|source_dir"
)
"""What functions are called that may have to do with sources."""

STARTS = re.compile(
    r"(?:subprocess|asyncio|multiprocessing)\.|os\.(?:exec|spawn|posix_spawn|fork|system|popen)|runpy\.|pty\."
    r"|(?:^|\.)(?:exec|eval|compile|__import__|import_module|exec_module|load_module|Popen|call_subprocess)$"
)
"""Calls that start a program or run code."""

PROBE = """
import importlib, os, sys
reading, writing = os.pipe()
sys.path.insert(0, sys.argv[1])
from ocibuild_hook import programs, rules as hook, sources, telling
rules = {"markers": None, "keep": None, "names": [], "paths": [], "settings": [], "tell": writing, "shelves": None}
rules["most"] = 1 << 30
sources.wheels_only(hook.HookRules(rules), telling.Teller(writing))
for where in (*sources.NEVER, *sources.SOURCES):
    module, _, name = where.partition(":")
    value = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    try:
        value(None)
    except telling.Refused:
        print(where)
programs.start_nothing(telling.Teller(writing))
import subprocess
for start in (
    lambda: subprocess.run(["true"]),
    lambda: os.system("true"),
    lambda: os.fork(),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
    lambda: os.execv("/bin/true", ["true"]),
    lambda: os.popen("true"),
):
    try:
        start()
    except PermissionError:
        print("refused")
"""


def test_pip_has_no_way_that_the_hook_was_not_written_against() -> None:
    # What is new here: read it in pip, refuse it in pip_hook where it touches a source, then add it to the file.
    known = set(KNOWN.read_text().splitlines())
    assert sorted(set(ways()) - known) == []


def test_whatever_the_hook_replaces_raises_and_no_program_starts() -> None:
    words = [sys.executable, "-P", "-c", PROBE, str(HOOK)]
    ending = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    text = (HOOK / "ocibuild_hook" / "sources.py").read_text()
    replaced = re.findall(r'^    "(pip\._\w+\.[\w.]+:[\w.]+)",$', text, re.MULTILINE)
    assert len(replaced) > 25
    assert ending.stdout.splitlines() == [*replaced, *["refused"] * 6], ending.stderr


def ways() -> Iterator[str]:
    """The functions of pip that are called like something that builds, and all its calls that run something."""
    vendored = [path for name in ("pyproject_hooks", "packaging") for path in (PIP / "_vendor" / name).rglob("*.py")]
    for path in sorted([*(PIP / "_internal").rglob("*.py"), *vendored]):
        module = ".".join(path.relative_to(PIP.parent).with_suffix("").parts).removesuffix(".__init__")
        yield from (f"{module}:{name}" for name in within(ast.parse(path.read_text(encoding="utf-8")), ""))


def within(node: ast.AST, prefix: str) -> Iterator[str]:
    """The ways below a node of a module."""
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{child.name}."
            if NAMES.search(child.name.lower()):
                yield name.rstrip(".")
        elif isinstance(child, ast.Call) and STARTS.search(called := ast.unparse(child.func)):
            yield f"{prefix}{called}()"
        yield from within(child, name)
