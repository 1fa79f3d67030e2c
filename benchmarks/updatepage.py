"""docs/updates.md: the figures as tables and one picture, the same bytes for the same figures."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.inputs import ROOT
from benchmarks.report import BEGIN, END
from benchmarks.updated import Loaded, Made
from benchmarks.year import Week, blobs, by_changes, by_size, exact, patches, wholes

PAGE, RESULTS = ROOT / "docs" / "updates.md", ROOT / "docs" / "updates" / "results.json"
PICTURE = RESULTS.parent / "year.svg"
_SALT = "ocibuild"


class Record(msgspec.Struct, kw_only=True):
    """All that was measured. ``load`` is the machine's load average when engines were."""

    weeks: list[Week] = []
    made: list[Made] = []
    loaded: list[Loaded] = []
    load: float = 0.0


def load(path: Path) -> Record:
    """What was measured before; nothing without a file."""
    return msgspec.json.decode(path.read_bytes(), type=Record) if path.is_file() else Record()


def write_page(record: Record, page: Path) -> None:
    """Write the generated part of the page anew, and its picture."""
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    parts = [_year(record.weeks), _orders(record.weeks), _made(record.made), _loaded(record)]
    body = "\n".join(part for part in parts if part)
    page.write_text(f"{before}{BEGIN}\n{body}\n{END}{after}")


def _year(weeks: Sequence[Week]) -> str:
    if len(weeks) < 2:
        return ""
    _plot(weeks)
    rows = {
        "the whole image, as a file": wholes(weeks),
        "the image itself to a graph driver (`--exact`)": exact(weeks),
        "the image itself to containerd's store or a registry": blobs(weeks),
        "patch upon patch, whole where they add up to half (default)": patches(weeks),
        "a patch each week (`--force`)": [week.patch for week in weeks[1:]],
    }
    count = sum(size > 0 for size in wholes(weeks))
    lines = [f"| {count} of {len(weeks) - 1} weeks have something new | year, GB | median week, MB | largest, MB |"]
    lines.append("|---|--:|--:|--:|")
    for name, sizes in rows.items():
        some = sorted(size for size in sizes if size)
        middle = some[len(some) // 2]
        lines.append(f"| {name} | {sum(sizes) / 1e9:.2f} | {middle / 1e6:.1f} | {some[-1] / 1e6:.1f} |")
    seconds = sorted(week.seconds for week in weeks if week.patch)
    said = (
        f"Making a patch took {seconds[len(seconds) // 2]:.1f} s of CPU in the median week, {seconds[-1]:.1f} at most."
    )
    picture = f"![a year of updates]({os.path.relpath(PICTURE, PAGE.parent)})"
    title = f"### From {weeks[0].day} to {weeks[-1].day}"
    return "\n".join([title, "", picture, "", *lines, "", said, ""])


def _orders(weeks: Sequence[Week]) -> str:
    """What orders of layers would have cost: learned from the first half of the year, and looked at in the second."""
    if len(weeks) < 8:
        return ""
    half = len(weeks) // 2
    first, second = weeks[: half + 1], weeks[half:]
    orders: dict[str, Callable[[Week], Sequence[str]] | None] = {
        "by name, the small ones on top (the default)": None,
        '`order = "size"`: the largest lowest': by_size,
        "by changes in the half-year before, what changed least lowest": _fixed(by_changes(first)),
        "by changes in that very half-year (what nobody knows before)": _fixed(by_changes(second)),
    }
    lines = [
        "| order of layers, second half of the year | GB to graph drivers | GB to containerd's store | GB of patches |"
    ]
    lines.append("|---|--:|--:|--:|")
    others = f"{sum(blobs(second)) / 1e9:.2f} | {sum(week.patch for week in second[1:]) / 1e9:.2f}"
    for name, order in orders.items():
        lines.append(f"| {name} | {sum(exact(second, order)) / 1e9:.2f} | {others} |")
    changes: dict[str, int] = {}
    for before, after in itertools.pairwise(weeks):
        there = {layer.diff_id for layer in before.layers}
        for layer in after.layers:
            changes[layer.name] = changes.get(layer.name, 0) + (layer.diff_id not in there)
    sizes = {layer.name: layer.size for layer in weeks[-1].layers}
    told = sorted((count, -sizes.get(name, 0), name) for name, count in changes.items() if name in sizes)
    listed = ", ".join(f"{name} {count} ({-size / 1e6:.0f} MB)" for count, size, name in reversed(told) if size < -5e4)
    return "\n".join(["### By the order of layers", "", *lines, "", f"Changes in the year: {listed}.", ""])


def _fixed(order: Sequence[str]) -> Callable[[Week], Sequence[str]]:
    return lambda week: order


def _made(made: Sequence[Made]) -> str:
    if not made:
        return ""
    lines = ["### What one change is", ""]
    lines.append("| change | patch, MB | exact, graph driver | exact, containerd | whole image | made in, s of CPU |")
    lines.append("|---|--:|--:|--:|--:|--:|")
    for each in made:
        sizes = " | ".join(f"{size / 1e6:.2f}" for size in (each.patch, each.graph, each.containerd, each.whole))
        lines.append(f"| {each.what} | {sizes} | {each.seconds:.1f} |")
    return "\n".join([*lines, ""])


def _loaded(record: Record) -> str:
    if not record.loaded:
        return ""
    names = list(dict.fromkeys(each.engine for each in record.loaded))
    found = {(each.engine, each.what): each for each in record.loaded}
    whats = list(dict.fromkeys(each.what for each in record.loaded))
    lines = ["### In engines", "", f"| seconds of `load` | {' | '.join(names)} |", f"|---|{'--:|' * len(names)}"]
    for what in whats:
        rows = [found.get((name, what)) for name in names]
        if any(row is not None and (row.seconds or row.whole) for row in rows):
            lines.append(f"| {what} | {' | '.join(_cell(row) for row in rows)} |")
    lines += ["", *_faults(record), f"The machine's load average was {record.load:.1f} when this began.", ""]
    return "\n".join(lines)


def _cell(row: Loaded | None) -> str:
    if row is None:
        return ""
    if row.why:
        return "failed"
    if not row.seconds:
        return f"{row.whole:.1f}"
    same = {"yes": f", {row.entries:,} entries equal", "no": ", **differs**", "runs": ", runs"}.get(row.same, "")
    whole = f" (whole: {row.whole:.1f})" if row.whole else ""
    return f"{row.seconds:.1f}{whole}{same}"


def _faults(record: Record) -> Sequence[str]:
    rows = [each for each in record.loaded if each.why]
    if not rows:
        return []
    lines = ["| what goes wrong | engine | what plain `load` says |", "|---|---|---|"]
    return [*lines, *(f"| {each.what} | {each.engine} | {_plain(each.why)} |" for each in rows), ""]


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("<", "‹").replace(">", "›")


def _plot(weeks: Sequence[Week]) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": _SALT, "svg.fonttype": "none"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4))
    lines: dict[str, tuple[list[int], str]] = {
        "the whole image": (wholes(weeks), "#9aa5ad"),
        "exact, graph driver": (exact(weeks), "#c98b2b"),
        "exact, containerd or registry": (blobs(weeks), "#4a78b5"),
        "patch, whole where they add up": (patches(weeks), "#2a7f62"),
    }
    for name, (sizes, color) in lines.items():
        total: list[Any] = [size / 1e9 for size in itertools.accumulate(sizes)]
        axes.plot(range(1, len(total) + 1), total, label=name, color=color)
        # The two lowest end close to each other.
        away = (4, 3 if sizes == blobs(weeks) else -3)
        end = (len(total), total[-1])
        axes.annotate(f"{total[-1]:.1f}", end, xytext=away, textcoords="offset points", va="center")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("weeks")
    axes.set_ylabel("GB carried")
    axes.legend()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
