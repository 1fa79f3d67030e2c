"""``make fuzz``: fuzz all targets for FUZZ_SECONDS (FUZZ_TARGETS: some), and keep what broke one in the corpus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.harness import CORPUS, Target, signature
from tests.fuzz.known import KNOWN
from tests.fuzz.targets import TARGETS

OUT = Path(__file__).parents[2] / ".fuzz"


def main() -> int:
    """Fuzz, tell, keep; the number of new ways to fail."""
    names = os.environ.get("FUZZ_TARGETS", "").split()
    command = [sys.executable, "-m", "tests.fuzz.guided", str(OUT), os.environ.get("FUZZ_SECONDS", "600"), *names]
    new = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            told = json.loads(line)
            name = told["target"]
            figures = ", ".join(f"{told.get(key, 0):,} {key}" for key in ("runs", "edges", "features", "inputs"))
            sys.stdout.write(f"{name}: {figures}\n")
            for crash, kind in told["crashes"].items():
                known = KNOWN.get(name, {}).get(kind)
                where = f"known: {known}" if known else _kept(TARGETS[name], OUT / name / crash, kind)
                new += known is None
                sys.stdout.write(f"  {kind} ({where})\n")
            new += len(told["stopped"])
            sys.stdout.writelines(f"  {OUT / name / stopped} ended the process\n" for stopped in told["stopped"])
    return min(new + running.returncode, 1)


def _kept(target: Target, found: Path, kind: str) -> Path:
    folder = CORPUS / target.name
    folder.mkdir(exist_ok=True)
    path = folder / found.name
    path.write_bytes(shortest(target, found.read_bytes(), kind))
    return path


def shortest(target: Target, data: bytes, kind: str, *, tries: int = 3000) -> bytes:
    """``data`` with all left out without which it still fails in the same way."""
    size = len(data) // 2
    while size and tries > 0:
        at = 0
        while at < len(data) and tries > 0:
            tries -= 1
            less = data[:at] + data[at + size :]
            if _fails(target, less, kind):
                data = less
            else:
                at += size
        size //= 2
    return data


def _fails(target: Target, data: bytes, kind: str) -> bool:
    try:
        target.feed(data)
    except BaseException as error:
        return signature(error) == kind
    return False


if __name__ == "__main__":
    sys.exit(main())
