"""``python -m tests.crash SCENARIO FAULT[/EVERY]...``: stop a run at its system calls; JSON of what did not hold.

``/EVERY`` tries one call in so many.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import shutil
import sys
import tempfile
from dataclasses import asdict
from itertools import count
from pathlib import Path

import oci_builder
from tests.crash.enumeration import FAULTS, Enumeration
from tests.crash.scenarios import SCENARIOS, registry

CHECKOUT = Path(__file__).parents[2]


def main() -> int:
    """Run one enumeration in a folder of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("faults", nargs="+", metavar="FAULT[/EVERY]", help=", ".join(FAULTS))
    parser.add_argument("--log", type=Path, metavar="FILE", help="remember what was tried, and go on from there")
    parser.add_argument("--brief", action="store_true", help="a line for each fault, and what did not hold")
    given = parser.parse_args()
    load_all()
    scenario = SCENARIOS[given.scenario]
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(registry()).host if any("{host}" in word for word in scenario.words) else ""
        # Not a TemporaryDirectory: every run is a fork of this process, and would remove it in the end.
        folder = Path(tempfile.mkdtemp(prefix="crash-"))
        stack.callback(shutil.rmtree, folder)
        words = [word.replace("{host}", host).replace("{checkout}", str(CHECKOUT)) for word in scenario.words]
        enumeration = Enumeration(scenario, folder, words=words, log=given.log)
        for text in given.faults:
            name, _, every = text.partition("/")
            # Not from the first on: else one that is tried seldom is always tried at the same place.
            enumeration.at_all(name, count(1 + len(name) % int(every or 1), int(every or 1)))
    found = enumeration.found
    if given.brief:
        sys.stdout.write(f"{given.scenario}: {found.summary}\n" + "".join(f"  {line}\n" for line in found.findings))
    else:
        sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n")
    return 1 if found.findings else 0


def load_all() -> None:
    """Load the whole program once, so that no run has to."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for module in pkgutil.walk_packages(oci_builder.__path__, "oci_builder."):
        if not module.name.endswith(("__main__", "bytecode_child")):
            importlib.import_module(module.name)
    # Whatever is here now stays: no child has to look through it, and so copy it.
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
