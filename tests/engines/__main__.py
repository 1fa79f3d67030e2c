"""``python -m tests.engines [ENGINE…]`` asks engines about the whole corpus and writes tests/golden/engines.json."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from tests.engines import asking
from tests.engines.archives import corpus
from tests.engines.table import TABLE, read, write
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


def main(names: list[str]) -> int:
    """Ask each engine about each archive."""
    table = read() if TABLE.exists() else {}
    here = engines()
    for engine in names or list(here):
        with here[engine]() as ask, tempfile.TemporaryDirectory() as folder:
            archive = Path(folder, "odd.tar")
            for number, (name, made) in enumerate(corpus(), 1):
                archive.write_bytes(made())
                answer = ask(archive)
                table.setdefault(name, {})[engine] = answer
                said = "loaded" if answer.tree is not None else answer.why
                sys.stdout.write(f"{engine} {number} {json.dumps(name)}: {said}\n")
                sys.stdout.flush()
    write({name: table[name] for name, _ in corpus()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
