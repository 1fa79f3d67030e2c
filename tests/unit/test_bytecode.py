"""The compiler process, with the Python that runs this test as the target."""

from __future__ import annotations

import importlib.util
import marshal
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oci_builder import bytecode, bytecode_child
from oci_builder.bytecode import WINDOW, Compiler, header, pyc_path
from oci_builder.errors import ProcessKilled, ToolFailed

ARGV = (sys.executable, "-I", "-S")
SLICING = b"""
def f(x):
    return x[1:3], x[:-1], [y[0:9:2] for y in (x,)]

assert "x" not in {"abc", "def", "ghi", "jkl", "mno", "pqr"}
assert f("abcdef") == ("bc", "abcde", ["ace"]) and f("abcdef"[:3])[0] == "bc"
print("as it should")
"""


def test_bytecode_is_of_the_unchecked_hash_kind_and_knows_its_path() -> None:
    source = b"def f():\n    return 1\n"
    with Compiler(ARGV, {}) as compiler:
        (data,) = compiler.compile([("/usr/lib/m.py", source)])
    assert data is not None
    assert data[:8] == importlib.util.MAGIC_NUMBER + b"\1\0\0\0"
    assert data[8:16] == importlib.util.source_hash(source)
    assert marshal.loads(data[16:]).co_filename == "/usr/lib/m.py"


def test_a_source_that_does_not_compile_gives_none_and_the_others_their_bytecode() -> None:
    items = [("/a.py", b"a ="), ("/b.py", b"\0"), ("/c.py", b"\xff"), ("/d.py", b"")]
    with Compiler(ARGV, {}) as compiler:
        made = list(compiler.compile(items))
    assert [data is None for data in made] == [True, True, True, False]


def test_order_is_kept_past_the_window() -> None:
    big = b"#" * (WINDOW // 3)
    items = [(f"/{number}.py", f"x = {number}\n".encode() + big) for number in range(10)]
    with Compiler(ARGV, {}) as compiler:
        made = list(compiler.compile(items))
    assert [marshal.loads((data or b"")[16:]).co_filename for data in made] == [path for path, _ in items]


def test_one_child_serves_several_calls() -> None:
    with Compiler(ARGV, {}) as compiler:
        first = list(compiler.compile([("/a.py", b"x = 1")]))
        assert first == list(compiler.compile([("/a.py", b"x = 1")]))


def test_every_python_here_runs_what_it_compiled_slices_and_all(tmp_path: Path) -> None:
    found = [sys.executable, *(path for minor in range(9, 16) if (path := shutil.which(f"python3.{minor}")))]
    for python in found:
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
            continue  # a version manager's stand-in for one that is not chosen
        made: list[bytes | None] = []
        for _ in range(2):  # each has another seed for its hashes
            with Compiler([python, "-I", "-S"], {}) as compiler:
                made += compiler.compile([("/m.py", SLICING)])
        first, second = made
        assert first is not None and first == second, python
        (tmp_path / "m.pyc").write_bytes(first)
        assert subprocess.check_output([python, "-I", "-S", tmp_path / "m.pyc"], text=True) == "as it should\n"


def test_a_constant_slice_is_written_as_python_3_14_reads_it() -> None:
    code = compile("x[1:2]", "m", "exec")
    sliced = code.replace(co_consts=(*code.co_consts, (slice(7, None, "step"), "after")))
    data = bytecode_child._with_own(sliced, b"12345678")
    whole = [marshal.dumps(part, 2) for part in (7, None, "step")]
    assert b":" + b"".join(whole) + marshal.dumps("after", 2) in data
    # Nothing else moved: with the slice taken for a number, it is a code object again.
    plain = marshal.loads(data.replace(b":" + b"".join(whole), marshal.dumps(7, 2)))
    assert plain == code.replace(co_consts=(*code.co_consts, (7, "after")))


def test_sets_are_in_one_order_also_where_marshal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "x in {'a', 'bc', 3, b'd', None, (1, 'e'), 2.5}\ndef f(y):\n    return y in {'p', 'q', 'r'}, y in {'s', 't'}\n"
    )
    code = compile(text, "m", "exec")
    usual = marshal.dumps(code, 2)
    assert usual.count(b">") >= 3
    monkeypatch.setattr(bytecode_child, "_ORDERS_SETS", False)
    # The Python that runs this puts them in order by itself.
    assert bytecode_child._dumped(code, b"12345678") == usual


def test_a_source_that_holds_the_stand_in_of_a_slice_has_no_bytecode() -> None:
    code = compile("x", "m", "exec")
    forged = code.replace(co_consts=(slice(1), bytecode_child._stand_in(0, b"12345678")))
    with pytest.raises(ValueError, match="its own hash"):
        bytecode_child._with_own(forged, b"12345678")


def test_a_child_that_dies_is_an_error_and_not_a_wait() -> None:
    with (
        pytest.raises(ToolFailed, match=r"status 3.*: gone"),
        Compiler(["/bin/sh", "-c", "echo gone >&2; exit 3"], {}) as compiler,
    ):
        list(compiler.compile([("/a.py", b"x")] * 3))
    with pytest.raises(ToolFailed, match="does not start"):
        Compiler(["/nonexistent/python"], {})


def test_a_child_that_is_killed_is_said_to_be() -> None:
    with (
        pytest.raises(ProcessKilled, match=r"killed, probably for memory: it was at the bytecode of /a\.py") as caught,
        Compiler(["/bin/sh", "-c", "kill -9 $$"], {}) as compiler,
    ):
        list(compiler.compile([("/a.py", b"x")]))
    assert "--jobs 1" in str(caught.value.hint)


def test_a_child_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "PATIENCE", 0.3)
    with (
        pytest.raises(ToolFailed, match=r"has compiled /a\.py for 0 s and does not end"),
        Compiler(["/bin/sh", "-c", "exec sed d"], {}) as compiler,
    ):
        list(compiler.compile([("/a.py", b"x")]))
    monkeypatch.setattr(bytecode, "_HUNG_UP", 0.3)
    with (
        pytest.raises(ToolFailed, match=r"has hung up while compiling /a\.py"),
        Compiler(["/bin/sh", "-c", "exec cat >/dev/null"], {}) as compiler,
    ):
        list(compiler.compile([("/a.py", b"x")]))


def test_a_child_that_does_not_leave_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "_FAREWELL", 0.3)
    # It closes its end of the pipes and sleeps on.
    with Compiler(["/bin/sh", "-c", "exec sleep 600 <&- >&-"], {}) as compiler:
        process = compiler._children[0]._process
    assert process.returncode == -9


def test_bytecode_lies_where_python_looks() -> None:
    assert pyc_path("usr/lib/a/b.py", "cpython-311") == "usr/lib/a/__pycache__/b.cpython-311.pyc"
    assert pyc_path("b.py", "cpython-311") == "__pycache__/b.cpython-311.pyc"


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        ("header + b'anything'", True),
        ("b''", True),
        ("b'\\0' * 16", False),
        ("header[:-1]", False),
        ("header[:8] + b'\\1' * 8 + b'anything'", False),
    ],
)
def test_who_has_to_prove_it_gives_bytecode_of_that_very_module(answer: str, fits: bool, tmp_path: Path) -> None:
    source, tag = b"x = 1\n", "cpython-312"
    program = tmp_path / "compiler.py"
    program.write_text(
        f"import sys\nheader = {header(tag, source)!r}\ndata = {answer}\nsys.stdin.buffer.read({8 + 5 + len(source)})\n"
        "sys.stdout.buffer.write(len(data).to_bytes(4, 'little') + data)\n"
    )
    with Compiler([*ARGV, str(program)], {}, proves=tag) as compiler:
        if fits:
            assert list(compiler.compile([("/m.py", source)]))
            return
        with pytest.raises(ToolFailed, match="is no bytecode of that module") as caught:
            list(compiler.compile([("/m.py", source)]))
    assert 'compiler = "base"' in (caught.value.hint or "")


def test_the_header_is_what_this_python_writes() -> None:
    tag = sys.implementation.cache_tag
    if tag not in bytecode.MAGIC:
        pytest.skip(f"{tag} is not known yet")
    assert header(tag, b"x = 1\n")[:4] == importlib.util.MAGIC_NUMBER
    with Compiler(ARGV, {}, proves=tag) as compiler:
        assert list(compiler.compile([("/m.py", b"x = 1\n")]))
