"""Sources are read as syntax: within limits, whatever they are, and without a word."""

from __future__ import annotations

import time

import pytest

from oci_builder.detection.modules import read_module

_SIZE = 256 << 10

HOSTILE = {
    "brackets": b"(" * _SIZE,
    "signs": b"-" * _SIZE,
    "attributes": b"app = a" + b".a" * (_SIZE // 2),
    "sums": b"app = 1" + b"+1" * (_SIZE // 2),
    "calls": b"app = a" + b".a()" * (_SIZE // 4),
    "branches": b"if a:\n pass\n" + b"elif a:\n pass\n" * (_SIZE // 14),
    "fields": b'app = f"' + b"{a}" * (_SIZE // 3) + b'"',
    "lines that are none": b"a=\n" * (_SIZE // 3),
    "decorators": b"@a\n" * (_SIZE // 3) + b"def f(): pass\n",
    "digits": b"app = " + b"9" * _SIZE,
    "nothing": b"\0" * _SIZE,
    "escapes": b'app = "\\d"\n' * 1000,
    "no such letters": b"# coding: nonsense\napp = 1\n",
    "packed letters": b"# coding: bz2_codec\napp = 1\n",
    "no letters": bytes(range(256)) * 100,
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.filterwarnings("error")
def test_any_source_is_read_or_says_nothing(kind: str) -> None:
    begun = time.process_time()
    assert read_module("main.py", HOSTILE[kind]).applications == ()
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    ("text", "old"),
    [
        ("print 'x'\n", True),
        ("try:\n    pass\nexcept IOError, error:\n    pass\n", True),
        ("exec 'x' in {}\n", True),
        ("print('x')\n", False),
        ("type X = int\nprint = 1 +\n", False),
    ],
)
def test_python_2_is_told_from_what_is_merely_newer(text: str, old: bool) -> None:
    assert read_module("main.py", text.encode()).is_old is old
