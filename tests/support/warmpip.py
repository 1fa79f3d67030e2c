"""pip itself, started once and forked for each question: what it answers is read from its own report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PROGRAM = """
import json, os, sys
from pip._internal.cli.main import main
import pip._internal.commands.install, pip._internal.resolution.resolvelib.resolver
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silent, stream)
        code = 2
        try:
            code = main(json.loads(line))
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class WarmPip:
    """One pip; it hears no configuration, and asks no index."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, folder: Path, words: Sequence[str]) -> list[dict[str, Any]] | None:
        """What pip would install for ``words``; None where it refuses. ``folder`` is for its report."""
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        fixed = ["install", "--dry-run", "--ignore-installed", "--only-binary=:all:", "--no-index", "--isolated"]
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([*fixed, f"--report={report}", *words]) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline().strip() != "0":
            return None
        found: list[dict[str, Any]] = json.loads(report.read_text())["install"]
        return found


@contextmanager
def warm_pip() -> Iterator[WarmPip]:
    """A pip that is ended afterwards."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environ |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [sys.executable, "-c", _PROGRAM]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environ, text=True, stdin=pipe, stdout=pipe) as process:
        try:
            yield WarmPip(process)
        finally:
            process.kill()
