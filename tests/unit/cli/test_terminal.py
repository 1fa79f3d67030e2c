"""What is said and what is data: nothing of others acts on a terminal, and a stream that fails ends no run badly."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oci_builder
from oci_builder.cli import main, terminal
from oci_builder.cli.progress import Bars
from oci_builder.verify.verify import verify_file
from tests.support.archives import make_tar
from tests.support.imported import config_of, docker_python, save_layout
from tests.support.tiny import CHECKOUT, Tiny, built, make_tiny

PACKAGE = Path(oci_builder.__file__).parent
# Programs of their own: what they write, their parent reads.
PROGRAMS = {"bytecode_child.py", "wheels/backend_hook/__main__.py"}
NASTY = "\x1b[31mred\x1b]0;title\x07 \x9b2J \x7f \u202eabc\u2066 \u2028\u2029 \ud800 [red]x[/red] :bug:\tend"
BAD = {chr(code) for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028)}

COMMANDS = {
    "verify": ["verify", "app.tar", "--json"],
    "inspect": ["inspect", "app.tar"],
    "tree": ["tree", "app.tar"],
    "why": ["why", "app.tar", "tool"],
    "diff": ["diff", "app.tar", "app.tar"],
    "sbom": ["sbom", "app.tar"],
    "schema": ["schema"],
    "cache": ["cache", "info"],
    "check": ["check", "app", "--frozen", "--json"],
    "build": ["build", "app", "--frozen", "--out", "app.tar", "--json"],
    "version": ["--version"],
}
QUIET = ["report", "app.tar", "--out", "x.html"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A project whose image is built."""
    tiny = make_tiny(tmp_path_factory.mktemp("project"))
    built(tiny)
    return tiny


class Streams:
    """The standard files of a run: pipes that are read, or what goes wrong with them."""

    def __init__(self, opened: ExitStack) -> None:
        self._opened = opened

    def full(self) -> Any:
        return self._opened.enter_context(open("/dev/full", "w"))

    def left(self) -> Any:
        """A pipe whose reader has gone."""
        reading, writing = os.pipe()
        os.close(reading)
        return self._opened.enter_context(os.fdopen(writing, "w"))


Way = Callable[[Streams], dict[str, Any]]
OUT: dict[str, Way] = {
    "stdout is full": lambda streams: {"stdout": streams.full()},
    "nobody reads stdout": lambda streams: {"stdout": streams.left()},
}
OTHERS: dict[str, Way] = {
    "stdout is closed": lambda streams: {"closed": (1,)},
    "stderr is closed": lambda streams: {"closed": (2,)},
    "stderr is full": lambda streams: {"stderr": streams.full()},
    "nobody reads stderr": lambda streams: {"stderr": streams.left()},
    "all are closed": lambda streams: {"closed": (0, 1, 2)},
    "both are full": lambda streams: {"stdout": streams.full(), "stderr": streams.full()},
    "letters are ASCII": lambda streams: {"env": {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}},
}


def run(tiny: Tiny, words: list[str], way: Way) -> subprocess.CompletedProcess[bytes]:
    with ExitStack() as opened:
        how = way(Streams(opened))
        closed = how.pop("closed", ())
        environ = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OCIBUILD_CACHE_DIR": str(tiny.cache)}
        how["env"] = environ | how.get("env", {})
        command = [sys.executable, "-m", "oci_builder", *words]
        if closed:
            command = ["/bin/sh", "-c", f'exec "$@" {" ".join(f"{number}>&-" for number in closed)}', "sh", *command]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.run(command, cwd=tiny.root, timeout=120, check=False, **(pipes | how))


def endings(tiny: Tiny, runs: list[tuple[list[str], Way]]) -> Iterator[subprocess.CompletedProcess[bytes]]:
    with ThreadPoolExecutor(4) as pool:
        yield from pool.map(lambda each: run(tiny, *each), runs)


def heard(done: subprocess.CompletedProcess[bytes]) -> bytes:
    return (done.stdout or b"") + (done.stderr or b"")


@pytest.mark.parametrize("way", OUT.values(), ids=OUT.keys())
def test_data_that_is_not_taken_is_a_failure_and_no_traceback(tiny: Tiny, way: Way) -> None:
    done = dict(zip(COMMANDS, endings(tiny, [(words, way) for words in COMMANDS.values()]), strict=True))
    assert {name: each.returncode for name, each in done.items()} == dict.fromkeys(COMMANDS, 1)
    for each in done.values():
        assert b"Traceback" not in heard(each) and b"ignored in" not in heard(each)
        assert b"internal error" not in heard(each)
    assert verify_file(tiny.out).findings == ()


@pytest.mark.parametrize("way", OUT.values(), ids=OUT.keys())
def test_what_prints_nothing_does_not_care_for_stdout(tiny: Tiny, way: Way) -> None:
    done = run(tiny, QUIET, way)
    assert done.returncode == 0, heard(done)


@pytest.mark.parametrize("way", OTHERS.values(), ids=OTHERS.keys())
def test_a_stream_that_is_not_there_changes_no_image(tiny: Tiny, way: Way, request: pytest.FixtureRequest) -> None:
    before = tiny.out.read_bytes()
    tiny.out.unlink()
    # The build first: the others look at what it makes.
    runs = [(COMMANDS[name], way) for name in ("inspect", "sbom", "version")]
    done = [run(tiny, COMMANDS["build"], way), *endings(tiny, runs)]
    assert tiny.out.read_bytes() == before
    lost = any(word in request.node.name for word in ("stdout", "all", "both"))
    assert [each.returncode for each in done] == [int(lost)] * len(done)
    for each in done:
        assert b"Traceback" not in heard(each) and b"ignored in" not in heard(each)


def test_a_login_from_a_stdin_that_is_closed_is_a_mistake_of_use(tiny: Tiny) -> None:
    done = run(tiny, ["pull", "localhost:1/x:1", "--out", "y.tar", "--creds-stdin"], lambda _: {"closed": (0,)})
    assert (done.returncode, b"expected one line, USER:PASSWORD" in done.stderr) == (2, True)


@given(st.text() | st.text([*sorted(BAD), "a", " ", "\ud800"]))
def test_no_character_of_any_text_acts_on_a_terminal(text: str) -> None:
    shown = terminal.printable(text)
    assert shown.isprintable()
    assert not BAD & set(shown)
    assert terminal.printable(shown) == shown
    assert len(terminal.printable(text, 10)) <= 10
    assert not any(line[:1].strip() for line in terminal.indented(text).split("\n")[1:])


def test_what_is_said_has_its_own_lines_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say(f"{NASTY}\nocibuild: all is well")
    terminal.tell(f"{NASTY}\nhint: run this")
    out, err = capsys.readouterr()
    for text, last in ((out, "  hint: run this"), (err, "  ocibuild: all is well")):
        assert text.isascii() and text.splitlines()[1:] == [last]
        assert "\\x1b[31mred\\x1b]0;title\\x07 \\x9b2J" in text and "[red]x[/red] :bug: end" in text


def test_a_document_is_valid_and_harmless_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.tell_json({NASTY: [NASTY, ("\ud800", 1)], "NaN": 1.5})
    out = capsys.readouterr().out
    assert out.isascii() and not BAD & set(out.rstrip("\n"))
    json.dumps(json.loads(out), ensure_ascii=False).encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        terminal.tell_json({"x": float("nan")})
    document = {"name": NASTY.replace("\ud800", "")}
    terminal.tell_document(json.dumps(document, ensure_ascii=False).encode())
    out = capsys.readouterr().out
    assert json.loads(out) == document and not BAD & set(out)


def test_bars_show_text_of_others_as_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    bars = Bars()
    with bars.stage("layers"):
        bars.advance(NASTY, 1, 2)
        bars.note(NASTY)
    bars.close()
    err = capsys.readouterr().err
    assert "\x1b]0" not in err and "\x9b" not in err and "\u202e" not in err
    assert "[red]x[/red] :bug: end" in err


def test_an_image_full_of_control_characters_is_shown_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCIBUILD_CACHE_DIR", str(tmp_path / "cache"))
    nasty = NASTY.replace("\ud800", "")
    layer = make_tar(*docker_python())
    run = {"Labels": {nasty: nasty}, "Env": [f"A={nasty}"], "User": nasty, "OnBuild": [nasty], "Cmd": [nasty]}
    config = config_of([layer], run=run, history=[{"created_by": nasty}], author=nasty)
    save_layout(tmp_path / "image", [layer], config)
    for words in ("inspect", "inspect --json", "tree", "sbom", "verify", "sbom --format=spdx", "check"):
        first, *flags = words.split()
        main([first, str(tmp_path / "image"), *flags, "--progress", "plain"])
        out, err = capsys.readouterr()
        assert "internal error" not in err
        assert not (BAD - {"\n"}) & set(out + err), first


def test_there_is_one_door_to_the_terminal() -> None:
    """Whoever writes to a stream by another way passes nothing that cleans what others wrote."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        # What writes images to pipes refuses terminals.
        if path.relative_to(PACKAGE).as_posix() not in PROGRAMS | {"cli/terminal.py", "export/output.py"}
        and "pip_hook" not in path.parts
        for name, line in ways_out(ast.parse(path.read_text()))
    ]
    # One that runs before there is anything to import, and says one sentence of ours.
    assert [each for each in found if not each.startswith("cli/__init__.py:")] == []
    assert len(found) == 1


def ways_out(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Everything that could print: names of functions and streams, and rich's consoles."""
    for node in ast.walk(tree):
        name = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
        doors = ("print", "sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "os.write", "os.writev")
        if name in (*doors, "click.echo", "click.secho", "click.echo_via_pager", "Console", "rich.print"):
            yield name, getattr(node, "lineno", 0)
        if isinstance(node, ast.ImportFrom) and node.module in ("click", "rich", "rich.console", "sys"):
            names = ("echo", "print", "Console", "stdout", "stderr")
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in names)
