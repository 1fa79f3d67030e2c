"""Rows as a table with ratios, as JSON, as plots and as a page of the documentation."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.measuring import Failed, output_of
from benchmarks.scenes import Row

_BEGIN, _END = "<!-- results: written by python -m benchmarks -->\n", "<!-- end of results -->\n"


def machine(programs: Path | None, *, busy: float) -> dict[str, str]:
    """What the figures were taken on, and with what; no names of machines."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    found = {
        "processor": f"{len(os.sched_getaffinity(0))} cores, {model[1] if model else platform.machine()}",
        "memory": f"{int(memory[1]) / 1e6:.0f} GB" if memory else "?",
        "kernel": platform.release().split("-")[0],
        "Python": platform.python_version(),
        "load before the run": f"{busy:.1f} processes",
    }
    asked: dict[str, Sequence[str | Path]] = {
        "dockerd": ("/usr/sbin/dockerd", "--version"),
        "buildah": ("buildah", "--version"),
        "podman": ("podman", "--version"),
        "uv": (Path(sys.executable).with_name("uv"), "--version"),
    }
    if programs is not None:
        asked["buildkitd"] = (programs / "buildkitd", "--version")
        asked["crane"] = (programs / "crane", "version")
    for name, command in asked.items():
        try:
            found[name] = output_of(*command).splitlines()[0]
        except (Failed, IndexError):
            found[name] = "none"
    return found


def table(rows: Sequence[Row]) -> str:
    """Rows by scene, with the time of each as a multiple of ocibuild's."""
    lines = ["| scene | who | seconds | of ours | CPU s | peak MB | file MB |", "|---|---|--:|--:|--:|--:|--:|"]
    for row in rows:
        if row.cost is None:
            lines.append(f"| {row.scene} | {row.who} | not measured: {row.why} | | | | |")
            continue
        mine = next((r.cost.seconds for r in rows if r.scene == row.scene and r.who == "ocibuild" and r.cost), None)
        ratio = f"{row.cost.seconds / mine:.1f}×" if mine else ""
        cpu = "" if row.cost.cpu is None else f"{row.cost.cpu:.1f}"
        peak = "" if row.cost.peak is None else f"{row.cost.peak / 1e6:.0f}"
        size = "" if row.size is None else f"{row.size / 1e6:.0f}"
        lines.append(f"| {row.scene} | {row.who} | {row.cost.seconds:.2f} | {ratio} | {cpu} | {peak} | {size} |")
    return "\n".join(lines) + "\n"


def as_json(rows: Sequence[Row], about: dict[str, str]) -> str:
    """All figures, for programs."""
    return json.dumps({"machine": about, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"


def plots(rows: Sequence[Row], into: Path) -> list[Path]:
    """A bar chart per scene everybody has, and one of scaling, as SVG; none without matplotlib."""
    try:
        # In the bench group alone, so a type checker of the development group does not find it.
        import matplotlib  # type: ignore[import-not-found]
    except ImportError:
        return []
    matplotlib.use("svg")
    # No dates and no random names in the files: they change when the figures do.
    matplotlib.rcParams["svg.hashsalt"] = "ocibuild"
    from matplotlib import pyplot

    made = []
    for scene in ("cold", "warm", "one pin", "base moved", "docker load", "start"):
        bars = [(row.who, row.cost.seconds) for row in rows if row.scene == scene and row.cost]
        if not bars:
            continue
        figure, axes = pyplot.subplots(figsize=(8, 0.5 + 0.4 * len(bars)))
        axes.barh([who for who, _ in bars], [seconds for _, seconds in bars], color=[_colour(who) for who, _ in bars])
        axes.invert_yaxis()
        axes.set_xlabel("seconds")
        axes.set_title(scene)
        path = into / f"{scene.replace(' ', '-')}.svg"
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)
        made.append(path)
    return made


def _colour(who: str) -> str:
    return "#2a7f62" if who.startswith("ocibuild") else "#9aa5ad"


def write_page(page: Path, rows: Sequence[Row], about: dict[str, str], pictures: Sequence[Path], profile: str) -> None:
    """Put the results into the page, in place of the last ones."""
    text = page.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    facts = "".join(f"- {name}: {value}\n" for name, value in about.items())
    shown = "".join(f"![{path.stem}]({os.path.relpath(path, page.parent)})\n" for path in pictures)
    cold = "### Where the time goes\n\nCold layers without bytecode, in one process, under cProfile:\n\n"
    cold += f"```\n{profile}```\n"
    page.write_text(f"{before}{_BEGIN}\n{facts}\n{table(rows)}\n{shown}\n{cold}{_END}{after}")
