"""What an image starts, what that most likely starts next, and scripts that nobody could start."""

from __future__ import annotations

import tomllib

import pytest

from oci_builder.gate.gate import GateRules
from oci_builder.gate.starting import first_program
from oci_builder.oci.documents import Healthcheck, RunConfig
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, directory, file, symlink
from tests.support.elves import ElfSpec, make_elf
from tests.support.gates import DEMO, base, judged, kinds, metadata, source
from tests.support.targets import SITE

COPY = "copy"
ELF = make_elf(ElfSpec(interpreter="/lib/ld-linux-x86-64.so.2", needed=["libc.so.6"]))
FAR = make_elf(ElfSpec(interpreter="/lib/ld-linux-x86-64.so.2", needed=["libGL.so.1"]))


def program(path: str, data: bytes = ELF, *, mode: int = 0o755, origin: str = COPY) -> Entry:
    return file(path, data, mode=mode, origin=origin)


SYSTEM = base(*(program(f"usr/bin/{name}", origin="system 1") for name in ("sh", "env", "python3.11")))
TOOLS = [
    symlink("usr/local/bin/python3", "/usr/bin/python3.11", origin=COPY),
    program("opt/start.sh", b"#!/usr/bin/sh\nset -e\nFOO=1\nexec serve --port 80\n"),
    program("opt/hand.sh", b'#!/usr/bin/env sh\nset -e\nexec "$@"\n'),
]


def said(store: Store, run: RunConfig, *more: Entry, rules: GateRules | None = None) -> list[tuple[str, str, str]]:
    return kinds(judged(store, *TOOLS, *more, on=SYSTEM, run=run, rules=rules))


def test_what_starts_gives_no_findings(store: Store) -> None:
    serve = program("usr/local/bin/serve")
    for run in (
        RunConfig(),
        RunConfig(cmd=("python3",)),
        RunConfig(entrypoint=("/opt/start.sh",)),
        RunConfig(entrypoint=("/opt/hand.sh",), cmd=("serve",)),
        RunConfig(entrypoint=("serve",), cmd=("--nosuch",)),
        RunConfig(cmd=("serve",), healthcheck=Healthcheck(test=("CMD", "python3", "-c", "pass"))),
        RunConfig(healthcheck=Healthcheck(test=("NONE",))),
        RunConfig(cmd=("/proc/self/exe",)),
    ):
        assert said(store, run, serve, program("bin/sh")) == [], run


STARTS = {
    "a word": RunConfig(cmd=("nosuch",)),
    "a path": RunConfig(entrypoint=("/opt/nosuch.sh",), cmd=("serve",)),
    "words in one": RunConfig(cmd=("python3 -m x",)),
    "empty text": RunConfig(cmd=("", "x")),
    "a folder": RunConfig(cmd=("/opt",)),
    "a healthcheck": RunConfig(healthcheck=Healthcheck(test=("CMD", "curl", "-f", "x"))),
    "another PATH": RunConfig(cmd=("python3",), env={"PATH": "/nowhere:/usr/bin"}),
    "a folder to work in that is a file": RunConfig(workdir="/opt/start.sh/x"),
}


@pytest.mark.parametrize("run", STARTS.values(), ids=STARTS)
def test_what_cannot_start_is_an_error(store: Store, run: RunConfig) -> None:
    found = said(store, run)
    assert [each[:2] for each in found] == [("error", "start")]


def test_a_healthcheck_in_a_shell_needs_one(store: Store) -> None:
    run = RunConfig(healthcheck=Healthcheck(test=("CMD-SHELL", "true")))
    assert kinds(judged(store, run=run)) == [("error", "start", "/bin/sh")]
    assert kinds(judged(store, on=SYSTEM, run=run)) == []


def test_a_program_in_one_word_with_its_arguments_gets_the_words_apart(store: Store) -> None:
    gated = judged(store, *TOOLS, on=SYSTEM, run=RunConfig(cmd=("python3 -m x",)))
    assert gated.errors[0].hint == 'write its words apart: ["python3", "-m", "x"]'
    gated = judged(store, *TOOLS, on=SYSTEM, run=RunConfig(cmd=("sh -c 'a  b' x",)))
    assert gated.errors[0].hint == 'write its words apart: ["sh", "-c", "a  b", "x"]'
    gated = judged(store, *TOOLS, on=SYSTEM, run=RunConfig(cmd=("exec a $B",)))
    assert gated.errors[0].hint == 'write its words apart: ["/bin/sh", "-c", "exec a $B"]'


def test_a_program_that_is_not_there_is_told_where_programs_come_from(store: Store) -> None:
    gated = judged(store, *TOOLS, on=SYSTEM, run=RunConfig(cmd=("gunicorn", "x:y")))
    assert "base-packages" in gated.errors[0].hint and "requirements" in gated.errors[0].hint


def test_a_healthcheck_that_fetches_is_told_how_python_asks(store: Store) -> None:
    """What it says is tried: the words are those of a healthcheck that the gate lets through, and Python takes them."""
    check = Healthcheck(test=("CMD", "curl", "-f", "x"))
    gated = judged(store, *TOOLS, on=SYSTEM, run=RunConfig(exposed_ports=("53/udp", "8080/tcp"), healthcheck=check))
    hint = gated.errors[0].hint
    assert hint.startswith('base-packages = ["curl"] brings it, or ask with Python: test = [')
    words = tomllib.loads(hint.partition("Python: ")[2])["test"]
    assert words[:2] == ["python3", "-c"] and "127.0.0.1:8080/" in words[2]
    compile(words[2], "test", "exec")
    asked = RunConfig(healthcheck=Healthcheck(test=("CMD", *words)))
    assert kinds(judged(store, *TOOLS, on=SYSTEM, run=asked)) == []
    assert "ask with Python" not in judged(store, run=RunConfig(healthcheck=check)).errors[0].hint


def test_links_that_lead_nowhere_or_round_are_told(store: Store) -> None:
    links = [symlink("opt/gone", "away", origin=COPY), symlink("opt/one", "two", origin=COPY)]
    links.append(symlink("opt/two", "one", origin=COPY))
    for word, why in {"/opt/gone": "leads to /opt/away, which is not in", "/opt/one": "round in a circle"}.items():
        gated = judged(store, *TOOLS, *links, on=SYSTEM, run=RunConfig(cmd=(word,)))
        assert why in gated.errors[0].message


def test_what_the_base_decided_is_a_warning(store: Store) -> None:
    rules = GateRules(inherited=frozenset({"cmd"}))
    assert said(store, RunConfig(cmd=("nosuch",)), rules=rules) == [("warning", "start", "nosuch")]


LIKELY = {
    "a shell script's first program": RunConfig(entrypoint=("/opt/start.sh",)),
    "what is handed on to": RunConfig(entrypoint=("/opt/hand.sh",), cmd=("serve",)),
    "a shell's first program": RunConfig(cmd=("/usr/bin/sh", "-c", "cd /\nexec serve")),
    "what an init starts": RunConfig(entrypoint=("/opt/tini", "--", "serve")),
    "a module": RunConfig(cmd=("python3", "-u", "-m", "serve")),
    "a file for Python": RunConfig(cmd=("python3", "serve")),
    "a shell with other options": RunConfig(cmd=("/usr/bin/sh", "-e", "-o", "pipefail", "-lc", "exec serve")),
    "a script for a shell": RunConfig(cmd=("/usr/bin/sh", "serve")),
    "what a script for a shell starts": RunConfig(cmd=("/usr/bin/sh", "-e", "/opt/plain.sh")),
    "what env starts": RunConfig(entrypoint=("env", "A=1", "serve"), cmd=("x",)),
    "what timeout starts": RunConfig(cmd=("/opt/timeout", "5", "serve", "-x")),
}


@pytest.mark.parametrize("run", LIKELY.values(), ids=LIKELY)
def test_what_is_started_next_is_a_warning(store: Store, run: RunConfig) -> None:
    plain = program("opt/plain.sh", b"set -e\nserve --port 80\n", mode=0o644)
    tools = [program("opt/tini"), program("opt/timeout"), plain]
    assert said(store, run, *tools) == [("warning", "start", "serve")]


QUIET = {
    "a text without a first line, for a shell": RunConfig(cmd=("/usr/bin/sh", "-c", "/opt/plain")),
    "such a text, given to one": RunConfig(cmd=("/usr/bin/sh", "/opt/plain")),
    "env with a PATH of its own": RunConfig(cmd=("env", "PATH=/opt", "serve")),
    "env with options": RunConfig(cmd=("env", "-i", "serve")),
    "a shell alone": RunConfig(cmd=("/usr/bin/sh", "-l")),
    "a shell that reads": RunConfig(cmd=("/usr/bin/sh", "-s", "--")),
}


@pytest.mark.parametrize("run", QUIET.values(), ids=QUIET)
def test_what_may_well_start_is_not_warned_of(store: Store, run: RunConfig) -> None:
    assert said(store, run, program("opt/plain", b"true\n")) == []


def test_lines_of_windows_in_a_shells_script_are_told(store: Store) -> None:
    script = program("opt/late.sh", b"#!/usr/bin/sh\nset -e\r\nserve\r\n")
    gated = judged(store, *TOOLS, script, on=SYSTEM, run=RunConfig(cmd=("/opt/late.sh",)))
    assert [each.subject for each in gated.warnings] == ["/opt/late.sh"]
    assert "CR LF" in gated.warnings[0].message and "sed" in gated.warnings[0].hint


def test_a_module_beside_the_working_directory_is_one(store: Store) -> None:
    run = RunConfig(cmd=("python3", "-m", "app.main"), workdir="/srv")
    assert said(store, run, file("srv/app/main.py", b"", origin=COPY)) == []


TEXTS = {
    "exec gunicorn app:app": "gunicorn",
    "#!/bin/sh\n\n# a note\nset -eu\nexport A=1\nA=2 B='x y' serve \\\n  --x": "serve",
    "echo hi\n/opt/x y": "/opt/x",
    'exec "$@"': "",
    "if true; then serve; fi": "",
    "cd / && serve": "",
    ". /opt/x\nserve": "",
    "$PROGRAM": "",
    "'not closed": "",
    "main() {\n serve\n}": "",
    "serve | tee": "serve",
    "": "",
}


@pytest.mark.parametrize(("text", "program"), TEXTS.items())
def test_the_first_program_of_a_shells_text_is_read_where_it_is_plain(text: str, program: str) -> None:
    assert first_program(text) == program


def test_scripts_of_wheels_and_copied_ones_that_nobody_could_start_are_warnings(store: Store) -> None:
    scripts = [
        program("usr/local/bin/demo.csh", b"#!/bin/csh\n", origin=DEMO),
        program("opt/windows.sh", b"#!/usr/bin/sh\r\n"),
        program("opt/data", b"no script"),
        file("opt/bash.sh", b"#!/bin/bash\n", origin=COPY),
    ]
    assert said(store, RunConfig(), *scripts) == [
        ("warning", "interpreter", "/opt/windows.sh"),
        ("warning", "interpreter", "/usr/local/bin/demo.csh"),
    ]


def test_a_program_that_lacks_a_library_is_an_error_where_the_image_starts_it(store: Store) -> None:
    tool = program(f"{SITE}/demo/driver/node", FAR, origin=DEMO)
    run = RunConfig(cmd=(f"/{SITE}/demo/driver/node",))
    assert kinds(judged(store, *TOOLS, tool, on=SYSTEM, run=run)) == [("error", "library", "libGL.so.1")]
    assert kinds(judged(store, *TOOLS, tool, on=SYSTEM)) == [("warning", "library", "libGL.so.1")]


def test_a_program_that_a_console_script_names_is_that_scripts_own(store: Store) -> None:
    driver = [
        *metadata("demo", scripts="[console_scripts]\ndemo = demo.__main__:main\n"),
        source("demo/__init__.py"),
        source("demo/__main__.py", "def main():\n    from demo._driver import start\n    start()\n"),
        source("demo/_driver.py", "from pathlib import Path\nNODE = Path(__file__).parent / 'driver' / 'node'\n"),
        program(f"{SITE}/demo/driver/node", FAR, origin=DEMO),
        program(f"{SITE}/demo/driver/other", FAR, origin=DEMO),
    ]
    gated = judged(store, *TOOLS, *driver, on=SYSTEM)
    assert kinds(gated) == [("error", "library", "libGL.so.1")]
    assert gated.errors[0].supplier == "libgl1"
    assert kinds(judged(store, *TOOLS, *driver[1:], on=SYSTEM)) == [("warning", "library", "libGL.so.1")]


COPIED = {
    "srv/app/__init__.py": b"",
    "srv/app/main.py": b"import json, demo, helpers\nfrom . import views\nfrom app.views import x\nimport nosuch.sub\n",
    "srv/app/views.py": b"try:\n    import absent\nexcept ImportError:\n    absent = None\nimport app.missing\n",
    "srv/helpers.py": b"def later():\n    import never\n",
    "srv/tests/test_x.py": b"import pytest\n",
    "opt/tool": b"#!/usr/bin/env python3.11\nimport gone\n",
    "opt/notes.txt": b"import nothing\n",
}


def test_copied_python_is_read_for_its_imports(store: Store) -> None:
    copied = [file(path, data, mode=0o755, origin=COPY) for path, data in COPIED.items()]
    demo = [*metadata("demo"), source("demo/__init__.py"), directory("srv", origin=COPY)]
    gated = judged(store, *TOOLS, *demo, *copied, on=SYSTEM, rules=GateRules(imports=True))
    assert kinds(gated) == [("warning", "import", name) for name in ("app.missing", "gone", "nosuch")]
    assert gated.warnings[1].message == "[[copy]]: /opt/tool imports gone, which is not in the image"
    assert kinds(judged(store, *TOOLS, *demo, *copied, on=SYSTEM)) == []
