"""What the tools' own exporters make of the locks below tests/unit/projects/locks: ``make lock-parity``.

Writes ``expected.json``, which the tests hold our reading to where there are no tools. They are taken from a folder of
programs, the one argument: uv, poetry with its export plugin, pdm, pipenv.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from oci_builder.platforms import Platform
from oci_builder.wheels.target import Target
from tests.support.targets import TARGET

LOCKS = Path(__file__).parents[1] / "unit" / "projects" / "locks"
EXPECTED = LOCKS.parent / "expected.json"
PYTHONS = (("3.10.14", "linux/amd64"), ("3.11.2", "linux/amd64"), ("3.12.4", "linux/arm64"), ("3.13.5", "linux/amd64"))

Names = tuple[str, ...]

_LOCAL = re.compile(r"(?:-e )?(?:[\w-]+ @ )?(?:file://)?(?P<path>[./][^ #;]*)")
"""A line that asks for what lies in a folder: ``-e ./lib#egg=lib``, ``lib @ file:///lib ; MARKER``."""

CHOICES: dict[str, list[tuple[Names, Names]]] = {
    "uv-basic/uv.lock": [((), ()), (("web",), ()), (("all",), ("lint",)), ((), ("dev", "lint")), (("web",), ("lint",))],
    "uv-fork/uv.lock": [((), ())],
    "uv-conflict/uv.lock": [((), ()), (("old",), ()), (("new",), ()), ((), ("alpha",)), (("new",), ("alpha",))],
    "uv-group-conflict/uv.lock": [((), ()), ((), ("g1",)), ((), ("g2",))],
    "uv-override/uv.lock": [((), ())],
    "po-groups/poetry.lock": [
        *(((), ()), (("web",), ()), ((), ("metrics",)), ((), ("dev",)), (("web",), ("dev", "metrics"))),
    ],
    "po-classic/poetry.lock": [
        *(((), ()), (("cli",), ()), ((), ("docs",)), ((), ("dev",)), (("cli",), ("docs", "dev"))),
    ],
    "pd-basic/pdm.lock": [((), ()), (("web",), ()), ((), ("dev",)), (("web",), ("dev",))],
    "uv-members/uv.lock": [((), ()), (("web",), ()), (("all",), ()), ((), ("base",)), (("all",), ("dev",))],
    "uv-virtual-root/uv.lock": [((), ()), (("web",), ()), ((), ("dev", "lint"))],
    "uv-member-fork/uv.lock": [((), ())],
    "uv-odd/uv.lock": [((), ())],
    "po-paths/poetry.lock": [((), ()), ((), ("dev",))],
    "po-odd/poetry.lock": [((), ())],
    "pd-paths/pdm.lock": [((), ()), ((), ("dev",))],
    "pd-odd/pdm.lock": [((), ())],
    "pi-paths/Pipfile.lock": [((), ()), ((), ("develop",))],
    "pi-odd/Pipfile.lock": [((), ()), ((), ("develop",)), ((), ("docs",))],
    "pi-basic/Pipfile.lock": [((), ()), ((), ("develop",)), ((), ("docs",))],
}


def target_of(python: str, platform: str) -> Target:
    return replace(TARGET, platform=Platform.parse(platform), promise=replace(TARGET.promise, version=python))


def command(lock: str, extras: Names, groups: Names) -> list[str]:
    match lock.rpartition("/")[2]:
        case "uv.lock":
            fixed = ["uv", "export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project", "--no-hashes"]
            return [*fixed, *_each("--extra", extras), *_each("--group", groups)]
        case "poetry.lock":
            return ["poetry", "export", "--without-hashes", *_each("--extras", extras), *_each("--with", groups)]
        case "pdm.lock":
            prod = [] if "dev" in groups else ["--prod"]
            return ["pdm", "export", *prod, "--no-hashes", *_each("--group", (*extras, *groups))]
    sections = ["--dev"] if groups == ("develop",) else ["--categories", f"packages {groups[0]}"] if groups else []
    return ["pipenv", "requirements", *sections]


def _each(flag: str, names: Sequence[str]) -> list[str]:
    return [word for name in names for word in (flag, name)]


def exported(tools: Path, lock: str, extras: Names, groups: Names) -> tuple[list[Requirement], list[str]]:
    """The requirements that a tool exports from its lock, and the paths, from there, of what it takes from folders."""
    program, *words = command(lock, extras, groups)
    folder = (LOCKS / lock).parent
    said = subprocess.run([tools / program, *words], cwd=folder, capture_output=True, text=True, check=True).stdout
    found, local = [], set[str]()
    for line in map(str.strip, said.splitlines()):
        if place := _LOCAL.match(line):
            local.add(os.path.relpath(folder / place["path"], folder))
        elif line and not line.startswith(("#", "-")):
            found.append(Requirement(line))
    # The project itself is none of what it needs.
    return found, sorted(local - {"."})


def pins(found: Sequence[Requirement], target: Target) -> dict[str, str]:
    """Those of them that hold on ``target``."""
    environment = dict(target.markers())
    chosen = [each for each in found if each.marker is None or each.marker.evaluate(environment)]
    # pipenv exports "colorama" where it locked nothing of it.
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in chosen if each.specifier}


def expectations(tools: Path) -> Iterator[dict[str, Any]]:
    for lock, choices in CHOICES.items():
        for extras, groups in choices:
            found, local = exported(tools, lock, extras, groups)
            for python, platform in PYTHONS:
                chosen = {"lock": lock, "extras": extras, "groups": groups, "python": python, "platform": platform}
                made = {"pins": dict(sorted(pins(found, target_of(python, platform)).items()))}
                yield {**chosen, **made, **({"local": local} if local else {})}


if __name__ == "__main__":
    made = list(expectations(Path(sys.argv[1]).absolute()))
    EXPECTED.write_text("[\n" + ",\n".join(json.dumps(each) for each in made) + "\n]\n", encoding="utf-8")
    sys.stdout.write(f"{EXPECTED}: {len(made)} exports\n")
