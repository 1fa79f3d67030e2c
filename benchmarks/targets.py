"""What was aimed at, what was measured, and whether that is met: computed from the rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import scaling
from benchmarks.loading import THEIRS
from benchmarks.ourparts import FLOOR
from benchmarks.peers import BuildKit, Docker
from benchmarks.results import OURS, Results

ANEW = f"{OURS}, file written anew"
UV = "uv pip install --target (linking, no bytecode, no image)"
UV_COPYING = "uv pip install --target (copying, no bytecode, no image)"
_FLAT = 1.25
"""Times the memory of a small image that a large one's may be and still be called the same."""


@dataclass(frozen=True)
class Target:
    """One line: the scenario, what was wanted and found of it, and the verdict; None where it was not measured."""

    scenario: str
    wanted: str
    found: str
    met: bool | None


def targets(results: Results) -> Iterator[Target]:
    """All of them."""
    yield _at_most(results, "nothing changed, the file written anew", "warm", ANEW, 0.5)
    yield _times(
        results, "the same", ("warm", ANEW), ("warm", Docker.name), "docker build + save, nothing changed", 100
    )
    yield _times(results, "the same", ("warm", ANEW), ("cold", Docker.name), "docker build + save at first", 100)
    yield _at_most(results, "nothing changed, the file already right", "warm", OURS, 0.15)
    yield _at_most(results, "one pin changed (a small wheel)", "one pin", OURS, 1.5)
    bare = "cold, no bytecode"
    yield _times(
        results, "cold, no bytecode", (bare, OURS), (bare, UV_COPYING), "`uv pip install --target`, copying", 4
    )
    yield _times(results, "cold, no bytecode", (bare, OURS), (bare, UV), "`uv pip install --target`, linking", 4)
    yield _slower(results, "cold, no bytecode", (bare, OURS), (bare, FLOOR), "inflate + sha256 alone", 1.5)
    yield _times(results, "cold, bytecode as default", ("cold", OURS), ("cold", Docker.name), "docker build + save", 4)
    yield _times(results, "cold, bytecode as default", ("cold", OURS), ("cold", BuildKit.name), "BuildKit + uv", None)
    yield _busy(results)
    yield _at_most(results, "the base from packages, .deb files on disk", "base", OURS, 5)
    yield _memory(results)
    most = (scaling.SIZED, scaling.SIZES[-1])
    yield _flat(results, "the same, of a 100 MB and a 5 GB image", scaling.scene_of(*most))
    yield _flat(results, "the same, the 5 GB in large files", scaling.large_of(*most))
    yield _written(results)
    yield _at_most(results, "`ocibuild --help`", "start-up", "ocibuild --help", 0.12)
    yield _at_most(results, "`import oci_builder`, with Python's own start", "start-up", "import oci_builder", 0.06)
    yield _slower(
        results,
        "`docker load` of our tar",
        ("docker load", OURS),
        ("docker load", THEIRS),
        "docker's of the same image",
        1,
    )


def _at_most(results: Results, scenario: str, scene: str, who: str, limit: float) -> Target:
    seconds = results.seconds(scene, who)
    found = "" if seconds is None else f"{seconds:.2f} s"
    return Target(scenario, f"≤ {limit:g} s", found, None if seconds is None else seconds <= limit)


def _times(
    results: Results, scenario: str, ours: tuple[str, str], theirs: tuple[str, str], name: str, wanted: float | None
) -> Target:
    mine, other = results.seconds(*ours), results.seconds(*theirs)
    said = f"≥ {wanted:g} × as fast as {name}" if wanted else f"faster than {name}"
    if mine is None or other is None:
        return Target(scenario, said, "", None)
    return Target(scenario, said, f"{other / mine:.1f} × ({other:.2f} s : {mine:.2f} s)", other / mine >= (wanted or 1))


def _slower(
    results: Results, scenario: str, ours: tuple[str, str], theirs: tuple[str, str], name: str, limit: float
) -> Target:
    mine, other = results.seconds(*ours), results.seconds(*theirs)
    said = f"≤ {limit:g} × the time of {name}"
    if mine is None or other is None:
        return Target(scenario, said, "", None)
    return Target(scenario, said, f"{mine / other:.2f} × ({mine:.2f} s : {other:.2f} s)", mine / other <= limit)


def _busy(results: Results) -> Target:
    row = results.find("compile")
    if row is None or row.cost is None:
        return Target("the same, while compiling", "≥ 90 % of all processors busy", "", None)
    share = row.cost.cpu / row.cost.seconds / processors(results)
    return Target("the same, while compiling", "≥ 90 % of all processors busy", f"{share:.0%}", share >= 0.9)


def processors(results: Results) -> int:
    """Of the machine that the results were taken on."""
    found = re.match(r"\d+", results.machine.get("processor", ""))
    return int(found[0]) if found else 1


def _memory(results: Results) -> Target:
    rows = [row for row in results.rows if row.who.startswith(OURS) and row.cost]
    scenario, wanted = "peak memory of all processes, worst of all rows", "≤ 250 MB"
    if not rows:
        return Target(scenario, wanted, "", None)
    worst = max(rows, key=lambda row: row.cost.private if row.cost else 0)
    assert worst.cost is not None, "only such rows were taken"
    found = f"{worst.cost.private / 1e6:.0f} MB ({worst.cost.peak / 1e6:.0f} with mapped files): {worst.scene}"
    return Target(scenario, wanted, found, worst.cost.private <= 250e6)


def _flat(results: Results, scenario: str, large: str) -> Target:
    wanted = f"flat: ≤ {_FLAT:g} ×"
    small = results.find(scaling.scene_of(scaling.SIZED, scaling.SIZES[0]))
    rows = [row.cost.private for row in (small, results.find(large)) if row is not None and row.cost is not None]
    if len(rows) < 2:
        return Target(scenario, wanted, "", None)
    return Target(scenario, wanted, f"{rows[0] / 1e6:.0f} MB and {rows[1] / 1e6:.0f} MB", rows[1] <= _FLAT * rows[0])


def _written(results: Results) -> Target:
    scenario, wanted = "disk written, cold", "≤ 1.1 × new blobs (the wheels' copies too) + the tar"
    row = results.find("cold")
    if row is None or row.cost is None or row.fresh is None or row.size is None:
        return Target(scenario, wanted, "", None)
    due = row.fresh + row.size
    found = f"{row.cost.written / due:.2f} × ({row.cost.written / 1e6:.0f} MB : {due / 1e6:.0f} MB)"
    return Target(scenario, wanted, found, row.cost.written <= 1.1 * due)
