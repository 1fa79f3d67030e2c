"""The order of the rooms, kept by a machine rather than by review: docs/design.md as a test."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "oci_builder"

# A room imports from lower ranks; rooms of one rank do not import each other.
RANKS = [
    {
        "errors",
        "bounded",
        "wording",
        "version",
        "values",
        "distinfo",
        "machine",
        "redaction",
        "compression",
        "shellwords",
        "spawned",
        "xz",
        "zstd",
    },
    {"folders", "inputs", "platforms", "reporter", "retry", "tomlschema", "tomlslips", "exhausted", "threads"},
    {"files", "tomlmeant"},
    {"connections", "digest", "confined", "outputs", "serving", "surroundings"},
    {"reference", "oci", "tree", "store", "transport", "tomlfile", "tomltext", "workers"},
    {"layer", "bytecode", "bytecode_child", "bytecode_guard", "pruning", "inventory", "file_digests"},
    {"image", "overlay"},
    {"wheels", "debian", "registry", "export", "imported"},
    {"detection", "projects"},
    {"bases", "dockerfiles", "inspect", "recipes", "catalog", "uptodate"},
    {"gate", "verify", "sbom"},
    {"rebase", "report", "updates"},
    {"assemble"},
    {"api"},
    {"cli"},
    {"__main__"},
]
RANK = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}

# The rooms and modules that may name a thing; everybody else gets what it stands for as an argument.
ONLY_IN = {
    "os.environ": ["cli/", "api/builder.py"],
    "os.getenv": ["cli/"],
    "sys.exit": ["cli/", "__main__.py"],
    "sys.argv": ["cli/", "__main__.py", "bytecode_guard.py"],
    "time.time": ["cli/", "api/builder.py"],
    "print": ["cli/"],
    "input": ["cli/"],
}
ONLY_IMPORTED_IN = {
    "click": ["cli/"],
    "rich": ["cli/", "api/progress.py"],
    "platformdirs": ["surroundings.py"],
    "tenacity": ["retry.py"],
    "tarsafe": ["tree/tarread.py"],
    "wheel": ["wheels/normalise.py"],
    "pysequoia": ["debian/"],
    "installer": ["wheels/"],
    "pip": ["wheels/pip_hook/"],
    "oras": ["registry/client.py"],
    # One way to speak HTTP; what asks without it asks one plain question, over what urllib3 is made of.
    "requests": ["connections.py"],
    "urllib3": ["connections.py"],
    "http.client": ["connections.py", "registry/serves.py"],
    "urllib.request": [],
    "e2b_dockerfile_utils": ["dockerfiles/parsing.py"],
    "cyclonedx": ["sbom/"],
    "packageurl": ["sbom/"],
    "zstandard": ["zstd.py"],
    # Their pools wait without limit, for processes that took a lock along and for threads that hang.
    "multiprocessing": [],
    "concurrent": [],
    "subprocess": [
        *(
            "registry/keepers.py",
            "wheels/process.py",
            "debian/apt.py",
            "debian/aptrun.py",
            "bytecode.py",
            "bases/host.py",
        ),
        *("export/loading.py", "spawned.py"),
    ],
}
# These run in another interpreter, as a program of their own.
PROGRAMS = ("wheels/pip_hook/", "wheels/backend_hook/")
LONGEST_FUNCTION = 50
MOST_PARAMETERS = 6

# Who reads what an image is made of reads it through a door that notes it: files.open_regular, confined, inputs.
READERS: tuple[str, ...] = (
    "assemble/",
    "bases/",
    "catalog.py",
    "confined.py",
    "debian/",
    "detection/",
    "imported/",
    "projects/",
    "recipes/",
    "tomlfile.py",
)
READERS += ("tree/", "wheels/", "cli/recipe.py")
BARE_METHODS = {"is_file", "is_dir", "is_symlink", "exists", "iterdir", "glob", "rglob", "walk", "read_text"}
BARE_METHODS |= {"read_bytes", "stat", "lstat", "readlink", "scandir", "listdir", "access", "realpath", "lexists"}
BARE_METHODS |= {"isfile", "isdir", "islink", "getsize", "getmtime", "readlink", "samefile"}
UNNOTED = {
    # Each of these notes what it reads by itself.
    "confined.py": {"__init__", "target", "children", "_opened", "_anywhere", "find", "run", "absolute", "_led"},
    "imported/folder.py": {"_regular", "_files"},
    "wheels/project_tree.py": {"tree_rows", "_walked", "_place", "_note_below", "_note_repository", "_pointed"},
    "bases/host.py": {"find_python"},
    # These walk the syntax of a source, and no disk.
    "detection/modules.py": {"_called", "_made_in", "_returned"},
    # What is wrong with a file is told with an error.
    "recipes/source.py": {"_is_file"},
    # Files that they made themselves, in scratch folders or where they are told to.
    "debian/aptrun.py": {"_size"},
    "wheels/process.py": {"run"},
    "wheels/resolve.py": {"_logged", "_installs"},
    "wheels/build_environment.py": {"unpack", "_files"},
    "tree/tarread.py": {"extract_archive", "_opened", "_check_members"},
    "assemble/download.py": {"_files", "_strangers"},
}

FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name_of(path)}:{node.lineno}: imports are absolute"
            module = node.module or ""
            # "from oci_builder import image" names a room too.
            yield from (
                (f"{module}.{alias.name}" if module == "oci_builder" else module, node.lineno) for alias in node.names
            )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    here = room_of(path)
    if path == PACKAGE / "__init__.py":
        # The public face: it may look at everything below the command line.
        here = "cli"
    for module, line in imports_of(path):
        there = module.split(".")[1] if module.startswith("oci_builder.") else here
        if there not in (here, "__version__"):
            assert there in RANK, f"{there} has no rank (line {line})"
            assert RANK[there] < RANK[here], f"{here} must not import {there} (line {line})"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_outside_world_comes_in_as_an_argument(path: Path) -> None:
    if name_of(path).startswith(PROGRAMS):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        spelled = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
        if spelled in ONLY_IN:
            places = tuple(ONLY_IN[spelled])
            assert name_of(path).startswith(places), f"{spelled} at line {getattr(node, 'lineno', 0)}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_library_with_one_importer_has_one(path: Path) -> None:
    for module, line in imports_of(path):
        places = ONLY_IMPORTED_IN.get(module, ONLY_IMPORTED_IN.get(module.split(".")[0]))
        assert places is None or name_of(path).startswith(tuple(places)), f"{module} at line {line}"


def is_bare(node: ast.Call) -> bool:
    """Whether a call looks at this machine's disk, or at the environment, behind the back of ``inputs``."""
    match node.func:
        case ast.Name(id="open"):
            return True
        case ast.Attribute(value=ast.Name(id="inputs")):
            return False
        case ast.Attribute(attr="open", value=value):
            mode = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
            return ast.unparse(value) == "os" or str(mode).startswith("r")
        case ast.Attribute(attr="resolve"):
            return not node.args
        case ast.Attribute(attr="get", value=value):
            return ast.unparse(value).endswith("environ")
        case ast.Attribute(attr=name):
            return name in BARE_METHODS
    return False


@pytest.mark.parametrize("path", [path for path in FILES if name_of(path).startswith(READERS)], ids=name_of)
def test_whoever_reads_an_input_notes_it(path: Path) -> None:
    if name_of(path).startswith(PROGRAMS):
        return
    exempt = UNNOTED.get(name_of(path), set())
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef) and function.name not in exempt:
            for node in ast.walk(function):
                bare = isinstance(node, ast.Call) and is_bare(node)
                assert not bare, f"{function.name}: {ast.unparse(node)} at line {getattr(node, 'lineno', 0)}"


def test_nobody_is_exempt_from_noting_who_does_not_exist() -> None:
    for name, functions in UNNOTED.items():
        found = ast.walk(ast.parse((PACKAGE / name).read_text()))
        assert functions <= {node.name for node in found if isinstance(node, ast.FunctionDef)}, name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_function_takes_more_than_one_can_keep_in_mind(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            named = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            taken = named[1:] if named[:1] in (["self"], ["cls"]) else named
            assert len(taken) <= MOST_PARAMETERS, f"{node.name} takes {', '.join(taken)}"


def raised_by(function: ast.FunctionDef) -> set[str]:
    """The classes that a function raises by itself, but in blocks that catch something."""
    found: set[str] = set()
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Try) and node.handlers:
            todo += [*node.handlers, *node.orelse, *node.finalbody]
            continue
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            found.add(node.exc.func.id)
        todo += ast.iter_child_nodes(node)
    return {name for name in found if name[0].isupper() and name != "AssertionError"}


def public(body: Iterable[ast.stmt]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_is_public_says_what_it_is_in_sentences(path: Path) -> None:
    for node in public(ast.parse(path.read_text()).body):
        said = ast.get_docstring(node) or ""
        assert said, f"{node.name} at line {node.lineno} says nothing"
        assert said.endswith((".", "?", ":", '"', ")", "`")), (
            f"{node.name} at line {node.lineno} ends without a full stop"
        )
        # Attributes may be a noun; who acts says what it does.
        acts = isinstance(node, ast.FunctionDef) and not node.decorator_list
        assert not acts or len(said.split()) > 2, f"{node.name} at line {node.lineno}: {said}"


@pytest.mark.parametrize("path", [path for path in FILES if not name_of(path).startswith("cli/")], ids=name_of)
def test_what_is_public_names_what_it_raises(path: Path) -> None:
    # But in cli/, whose docstrings are the help that users read.
    for node in public(ast.parse(path.read_text()).body):
        if isinstance(node, ast.FunctionDef):
            silent = {name for name in raised_by(node) if name not in (ast.get_docstring(node) or "")}
            assert not silent, f"{node.name} at line {node.lineno} raises {', '.join(sorted(silent))}"


def modules() -> dict[str, Path]:
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}


def test_no_file_imports_itself_through_others() -> None:
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        graph[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                graph[name].update(alias.name for alias in node.names if alias.name in known)
            elif isinstance(node, ast.ImportFrom) and node.module in known:
                named = {f"{node.module}.{alias.name}" for alias in node.names}
                # Importing a room's module runs the room's face too, but only what is named is depended on.
                graph[name].update(known.keys() & named or {node.module or ""})
        graph[name].discard(name)
    order = TopologicalSorter(graph)
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(f"a circle of files: {' -> '.join(error.args[1])}")


def test_no_two_public_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name_of(path))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_every_library_that_has_one_importer_is_imported() -> None:
    modules = {module for path in FILES for module, _ in imports_of(path)}
    imported = {*modules, *(module.split(".")[0] for module in modules)}
    # Those without importers are named to be kept out.
    assert {name for name, places in ONLY_IMPORTED_IN.items() if places} - imported == set()


def test_what_is_a_value_is_no_dataclass_besides() -> None:
    # It would get methods that know nothing of the fields of the class it is made from.
    kinds, before = {"Value"}, set[str]()
    classes = [
        node for path in FILES for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
    ]
    while kinds != before:
        before = set(kinds)
        kinds |= {each.name for each in classes if kinds & {ast.unparse(base) for base in each.bases}}
    assert len(kinds) > 10
    assert [each.name for each in classes if each.name in kinds - {"Value"} and each.decorator_list] == []


def test_no_module_is_named_for_nothing() -> None:
    empty = {"utils", "util", "helpers", "common", "misc", "manager"}
    assert [name_of(path) for path in FILES if path.stem in empty] == []


def test_every_room_has_a_rank() -> None:
    assert {room_of(path) for path in FILES} - {"__init__"} <= RANK.keys()


@pytest.mark.parametrize(
    "path",
    [
        "build/mypy/image.toml",
        "build/mypy/pylock.toml",
        "build/report/scripts/run",
        "layers/python311/layer.toml",
        "layers/python311/lock.amd64.json",
        "layers/python311/keys/archive.pgp",
        "layers/python311/files/etc/nsswitch.conf",
        "layers/python311/files/usr/lib/os-release",
        "layers/python311/files/var/lib/x",
        "oci_builder/wheels/target.py",
    ],
)
def test_git_sees_what_usual_ignore_lists_hide(path: str) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    # --no-index: a file that is tracked already would not be reported otherwise.
    found = subprocess.run(
        ["git", "check-ignore", "--no-index", "--verbose", path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""


def test_no_file_names_a_package_registry() -> None:
    # Written in two halves, so that this file is no finding.
    hosts = re.compile("|".join(["py" + "pi\\.org", "python" + "hosted\\.org", "npm" + "js\\.(org|com)"]))
    suffixes = {".py", ".toml", ".md", ".json", ".yml", ".yaml", ".txt", ".cfg", ""}
    skipped = {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "wheels", "debs"}
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if (
            path.is_file()
            and path.suffix in suffixes
            and not (parts[0] in skipped or ("build" in parts and skipped & set(parts)))
        ):
            assert not hosts.search(path.read_text(errors="ignore")), path
