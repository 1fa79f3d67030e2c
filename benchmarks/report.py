"""The results as tables, and as a part of docs/performance.md."""

from __future__ import annotations

import os
import platform
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from benchmarks.measuring import Failed, output_of
from benchmarks.results import OURS, Results, Row
from benchmarks.targets import targets
from oci_builder.machine import cpu_count

BEGIN, END = "<!-- results: written by python -m benchmarks -->\n", "<!-- end of results -->\n"
QUIET = 0.1
"""The share of the processors that others may use in a measurement that is to be believed."""


def machine(programs: Path | None) -> dict[str, str]:
    """What the figures are taken on, and with what; no names of machines."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    found = {
        "processor": f"{cpu_count()} cores, {model[1] if model else platform.machine()}",
        "memory": f"{int(memory[1]) / 1e6:.0f} GB" if memory else "?",
        "kernel": platform.release().split("-")[0],
        "Python": platform.python_version(),
    }
    asked: dict[str, Sequence[str | Path]] = {
        "dockerd": ("/usr/sbin/dockerd", "--version"),
        "buildah": ("buildah", "--version"),
        "podman": ("podman", "--version"),
        "umoci": ("umoci", "--version"),
        "uv": (Path(sys.executable).with_name("uv"), "--version"),
    }
    if programs is not None:
        asked["buildkitd"] = (programs / "buildkitd", "--version")
        asked["crane"] = (programs / "crane", "version")
    return {**found, **{name: _version(command) for name, command in asked.items()}, "pyoci": _distribution("pyoci")}


def _version(command: Sequence[str | Path]) -> str:
    try:
        return output_of(*command).splitlines()[0]
    except (Failed, IndexError):
        return "none"


def _distribution(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def verdicts(results: Results) -> str:
    """The table of targets."""
    words = {True: "met", False: "**missed**", None: "not measured"}
    lines = ["| scenario | wanted | measured | |", "|---|---|---|---|"]
    lines += [f"| {each.scenario} | {each.wanted} | {each.found} | {words[each.met]} |" for each in targets(results)]
    return "\n".join(lines) + "\n"


def table(results: Results, rows: Sequence[Row]) -> str:
    """The rows of one scene, with the time of each as a multiple of ocibuild's."""
    mine = results.seconds(rows[0].scene)
    lines = [
        "| who | seconds | of ours | CPU s | memory MB | with mapped files | written MB | image MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    return "\n".join([*lines, *(_line(row, mine) for row in rows)]) + "\n"


def _line(row: Row, mine: float | None) -> str:
    cost = row.cost
    if cost is None:
        return f"| {row.who} | not measured: {row.why} | | | | | | |"
    size = "" if row.size is None else f"{row.size / 1e6:.0f}"
    cells = [row.who, f"{cost.seconds:.2f}", f"{cost.seconds / mine:.1f} ×" if mine else "", f"{cost.cpu:.1f}"]
    memory = [f"{cost.private / 1e6:.0f}", f"{cost.peak / 1e6:.0f}"] if cost.peak else ["", ""]
    return f"| {' | '.join([*cells, *memory, f'{cost.written / 1e6:.0f}', size])} |"


def quietness(results: Results) -> str:
    """How much others used of the machine meanwhile, and what that means."""
    shares = [row.cost.others for row in results.rows if row.cost and row.cost.seconds > 1]
    if not shares:
        return ""
    middle, most = statistics.median(shares), max(shares)
    said = f"Others used {middle:.0%} of the processors meanwhile (median of the rows; at most {most:.0%})"
    return said + ("." if middle <= QUIET else ": the machine was not quiet. Trust the ratios, not the seconds.")


def write_page(page: Path, template: Path, results: Results, pictures: Mapping[str, Path]) -> None:
    """Write ``template`` to ``page`` with the results in place of those that were there."""
    before, _, rest = template.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{body(results, pictures, page.parent)}{END}{after}")


def body(results: Results, pictures: Mapping[str, Path], beside: Path) -> str:
    """The generated part of the page, which lies in the folder ``beside``."""
    facts = "".join(f"- {name}: {value}\n" for name, value in results.machine.items())
    small = "Small inputs, to see that everything works: these figures say nothing.\n\n" if results.quick else ""
    parts = [f"{facts}\n{small}{quietness(results)}\n\n### Targets\n\n{verdicts(results)}"]
    shown = set()
    for scene, rows in results.scenes():
        parts.append(f"### {scene[0].upper()}{scene[1:]}\n\n{table(results, rows)}")
        if scene in pictures:
            parts.append(_picture(scene, pictures[scene], beside))
            shown.add(scene)
    parts += [_picture(title, path, beside) for title, path in pictures.items() if title not in shown]
    if results.profiles:
        parts.append("### Where the time goes\n\nCold, under cProfile, by the functions' own time in all processes.\n")
    parts += [f"{title[0].upper()}{title[1:]}:\n\n```\n{text}```\n" for title, text in results.profiles.items()]
    return "\n".join(parts)


def _picture(title: str, path: Path, beside: Path) -> str:
    return f"![{title}]({os.path.relpath(path, beside)})\n"


def as_text(results: Results) -> str:
    """All tables, for a terminal."""
    scenes = "\n".join(f"{scene}\n{table(results, rows)}" for scene, rows in results.scenes())
    return f"{scenes}\n{verdicts(results)}\n{quietness(results)}\n{OURS} is what all ratios are of.\n"
