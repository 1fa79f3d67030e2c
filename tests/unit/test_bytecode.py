"""The compiler process, with the Python that runs this test as the target."""

from __future__ import annotations

import importlib.util
import marshal
import sys

import pytest

from oci_builder.bytecode import WINDOW, Compiler, pyc_path
from oci_builder.errors import ToolFailed

ARGV = (sys.executable, "-I", "-S")


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


def test_a_child_that_dies_is_an_error_and_not_a_wait() -> None:
    with (
        pytest.raises(ToolFailed, match=r"status 3.*: gone"),
        Compiler(["/bin/sh", "-c", "echo gone >&2; exit 3"], {}) as compiler,
    ):
        list(compiler.compile([("/a.py", b"x")] * 3))
    with pytest.raises(ToolFailed, match="does not start"):
        Compiler(["/nonexistent/python"], {})


def test_bytecode_lies_where_python_looks() -> None:
    assert pyc_path("usr/lib/a/b.py", "cpython-311") == "usr/lib/a/__pycache__/b.cpython-311.pyc"
    assert pyc_path("b.py", "cpython-311") == "__pycache__/b.cpython-311.pyc"
