"""The rows as pictures, SVG, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import OURS, Results, Row

_PLOTTED = ("cold, no bytecode", "cold", "warm", "one pin", "base moved", "docker load", "start")


def plots(results: Results, into: Path) -> dict[str, Path]:
    """A bar chart for each scene that everybody is in, and two of scaling; by scene. None without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return {}
    matplotlib.use("svg")
    # No random names in the files, and text as text: they change when the figures do.
    matplotlib.rcParams.update({"svg.hashsalt": OURS, "svg.fonttype": "none"})
    made = {}
    for scene, rows in results.scenes():
        if scene in _PLOTTED and any(row.cost for row in rows):
            made[scene] = _saved(_bars(scene, rows), into / f"{scene.replace(',', '').replace(' ', '-')}.svg")
    for title, picture in _scaling(results):
        made[title] = _saved(picture, into / f"{title.replace(' ', '-')}.svg")
    return made


def _saved(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot

    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return path


def _bars(scene: str, rows: Sequence[Row]) -> Any:
    from matplotlib import pyplot

    bars = sorted((row.cost.seconds, row.who) for row in rows if row.cost)
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.35 * len(bars)))
    drawn = axes.barh(
        [who for _, who in bars],
        [seconds for seconds, _ in bars],
        color=["#2a7f62" if who.startswith(OURS) else "#9aa5ad" for _, who in bars],
    )
    axes.bar_label(drawn, [f"{seconds:.2f}" for seconds, _ in bars], padding=3)
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.set_title(scene)
    return figure


def _scaling(results: Results) -> Iterator[tuple[str, Any]]:
    rows = [row for row in results.rows if row.cost and row.wheels is not None and row.gigabytes is not None]
    if not rows:
        return
    smallest = min(row.gigabytes for row in rows if row.gigabytes is not None)
    sized = max({row.wheels for row in rows}, key=lambda count: len({r.gigabytes for r in rows if r.wheels == count}))
    by_size = [(row.who, row.gigabytes, row) for row in rows if row.wheels == sized]
    by_count = [(row.who, row.wheels, row) for row in rows if row.gigabytes == smallest]
    yield "time by size", _lines(by_size, f"{sized} wheels", "GB of content", "seconds")
    yield "memory by size", _lines([each for each in by_size if each[0].startswith(OURS)], f"{sized} wheels",
                                   "GB of content", "MB of memory")  # fmt: skip
    yield "time by count", _lines(by_count, f"{smallest:g} GB of content", "wheels", "seconds")


def _lines(points: Sequence[tuple[str, float | None, Row]], title: str, x: str, y: str) -> Any:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.5))
    for who in sorted({who for who, _, _ in points}):
        own = sorted((at, _value(row, y)) for name, at, row in points if name == who and at is not None)
        axes.plot([at for at, _ in own], [value for _, value in own], marker="o", label=who)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend()
    return figure


def _value(row: Row, y: str) -> float:
    assert row.cost is not None, "only measured rows are plotted"
    return row.cost.seconds if y == "seconds" else row.cost.private / 1e6
