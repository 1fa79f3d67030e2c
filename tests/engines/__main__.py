"""``python -m tests.engines [ENGINE…]`` asks engines about the corpus and writes tests/golden/engines.json.

Answers about archives that are as they were are kept; ``--again`` asks for them, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Set
from contextlib import AbstractContextManager
from pathlib import Path

from tests.engines import asking
from tests.engines.archives import corpus
from tests.engines.table import TABLE, Row, read, write
from tests.support.real import ORACLES

_Opened = Callable[[], AbstractContextManager[asking.Asker]]


def engines() -> Mapping[str, _Opened]:
    """Those that are here, by name."""
    found: dict[str, _Opened] = {"docker": asking.docker, "podman": asking.podman, "containerd": asking.containerd}
    folder = os.environ.get(ORACLES)
    if folder and Path(folder, "containerd").exists():
        found["newest containerd"] = lambda: asking.containerd(Path(folder))
    if folder and Path(folder, "dockerd").exists():
        found["newest docker"] = lambda: asking.docker(Path(folder))
    return found


def main(words: list[str]) -> int:
    """Ask each engine about each archive."""
    again = "--again" in words
    before = read() if TABLE.exists() else {}
    table: dict[str, Row] = {}
    for name, made in corpus():
        sha256 = hashlib.sha256(made()).hexdigest()
        row = before.get(name)
        table[name] = row if row is not None and row.sha256 == sha256 else Row(sha256)
    here = engines()
    for engine in [word for word in words if word != "--again"] or list(here):
        unknown = [name for name, row in table.items() if again or engine not in row.answers]
        with here[engine]() as ask:
            _ask(engine, ask, table, frozenset(unknown))
        write(table)
    return 0


def _ask(engine: str, ask: asking.Asker, table: Mapping[str, Row], names: Set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "odd.tar")
        for name, made in corpus():
            if name in names:
                archive.write_bytes(made())
                answer = table[name].answers[engine] = ask(archive)
                said = "loaded" if answer.tree is not None else answer.why
                sys.stdout.write(f"{engine}: {json.dumps(name)}: {said}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
