"""``make parity``: real wheels installed by pip and by ocibuild, compared, and the results as a page of docs/.

Wheels are downloaded by pip, from the index it is configured with, into a folder that is kept: what is there is not
asked for again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from oci_builder.distinfo import headers
from oci_builder.errors import OcibuildError
from oci_builder.wheels.archive import open_wheel
from tests.parity.comparing import INTENDED, Comparison, PipRefused, compare

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "parity.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one distribution. ``why`` is set where there is nothing to compare, ``alone`` who refused it."""

    asked: str
    wheel: str = ""
    generator: str = ""
    comparison: Comparison | None = None
    why: str = ""
    alone: str = ""


def corpus() -> list[str]:
    """The distributions, each once."""
    lines = (line for line in (HERE / "corpus.txt").read_text().splitlines() if not line.startswith("#"))
    return list(dict.fromkeys(name for line in lines for name in line.split()))


def downloaded(asked: str, cache: Path) -> Path | str:
    """The wheel of a distribution for this machine, or why there is none."""
    folder = cache / asked
    if not list(folder.glob("*.whl")):
        command = [sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", f"--dest={folder}", asked]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
        if done.returncode:
            return "pip finds no wheel of it for this machine"
    return next(folder.glob("*.whl"))


def tried(asked: str, cache: Path) -> Result:
    """One distribution, compared."""
    wheel = downloaded(asked, cache)
    if isinstance(wheel, str):
        return Result(asked=asked, why=wheel)
    generator = ""
    try:
        archive = open_wheel(wheel, wheel.name, unverified=True)
        generator = str(headers(archive.text("WHEEL")).get("Generator", ""))
        with tempfile.TemporaryDirectory() as root:
            found = compare([wheel], Path(root))
    except PipRefused as error:
        return Result(asked=asked, wheel=wheel.name, generator=generator, why=str(error), alone="pip")
    except OcibuildError as error:
        return Result(asked=asked, wheel=wheel.name, generator=generator, why=str(error), alone="ocibuild")
    return Result(asked=asked, wheel=wheel.name, generator=generator, comparison=found)


def page(results: Sequence[Result]) -> str:
    """The results as Markdown; the same results give the same text."""
    compared = [(each, each.comparison) for each in results if each.comparison is not None]
    kinds: dict[str, list[tuple[Result, list[str]]]] = {}
    for each, found in compared:
        for kind, paths in found.differences.items():
            kinds.setdefault(kind, []).append((each, paths))
    files = sum(found.files for _, found in compared)
    return "\n".join(
        [
            "# Wheels as pip installs them",
            "",
            "Written by `make parity`: wheels of `tests/parity/corpus.txt`, each installed by `pip install --no-deps",
            "--no-compile` and by ocibuild for the same Python, compared file by file: the list, the bytes, the modes",
            "and the rows of RECORD. A small part of it, with wheels made by hand, runs with every test.",
            "",
            f"**{len(compared)} wheels compared, {files} files; {_unintended(compared)}.**",
            "",
            "## Differences that are meant",
            "",
            "| kind | wheels | files or rows | why |",
            "|---|---|---|---|",
            *(_row(kind, why, kinds.get(kind, [])) for kind, why in INTENDED.items()),
            "",
            *_section("Other differences", _others(kinds)),
            *_section("Taken only when named under `unverified`", _unverified(kinds)),
            *_section("Refused by one of the two", _refused(results)),
            *_section("Not tried", (f"- {each.asked}: {each.why}" for each in results if not each.wheel)),
            "## What was compared",
            "",
            "| built with | wheels |",
            "|---|---|",
            *_generators(compared),
            "",
            *(f"- {each.wheel}, {found.files} files" for each, found in compared),
            "",
        ]
    )


def _unintended(compared: Sequence[tuple[Result, Comparison]]) -> str:
    count = sum(bool(set(found.unintended) - {"unverified"}) for _, found in compared)
    return f"{count} with differences that are not meant" if count else "none with a difference that is not meant"


def _row(kind: str, why: str, found: Sequence[tuple[Result, list[str]]]) -> str:
    return f"| {kind} | {len(found)} | {sum(len(paths) for _, paths in found)} | {why} |"


def _section(title: str, lines: Iterator[str]) -> list[str]:
    listed = list(lines)
    return [f"## {title}", "", *(listed or ["None."]), ""]


def _others(kinds: Mapping[str, list[tuple[Result, list[str]]]]) -> Iterator[str]:
    for kind, found in kinds.items():
        if kind not in INTENDED and kind != "unverified":
            for each, paths in found:
                yield f"- {kind}, {each.wheel}: {len(paths)}, such as `{paths[0]}`"


def _unverified(kinds: Mapping[str, list[tuple[Result, list[str]]]]) -> Iterator[str]:
    for each, paths in kinds.get("unverified", []):
        yield f"- {paths[0].removesuffix('.')}" if paths[0] else f"- {each.wheel}"


def _refused(results: Sequence[Result]) -> Iterator[str]:
    for each in results:
        if each.alone:
            yield f"- {each.alone}, {each.wheel}: {each.why.splitlines()[0]}"


def _generators(compared: Sequence[tuple[Result, Comparison]]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for each, _ in compared:
        name = each.generator.partition(" ")[0].lower() or "(not said)"
        counts[name] = counts.get(name, 0) + 1
    for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        yield f"| {name} | {count} |"


def main() -> int:
    """Try them all; the exit code is 1 where a difference is not meant."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("names", nargs="*", help="distributions to try instead of the corpus; no page is written")
    parser.add_argument("--cache", type=Path, default=ROOT / ".parity", help="where downloaded wheels are kept")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    results = []
    with ThreadPoolExecutor(given.jobs) as pool:
        for each in pool.map(partial(tried, cache=given.cache), given.names or corpus()):
            results.append(each)
            print(_told(each), flush=True)
    if not given.names:
        PAGE.write_text(page(results))
    wrong = [each for each in results if each.comparison is None and each.alone == "ocibuild"]
    wrong += [each for each in results if each.comparison and set(each.comparison.unintended) - {"unverified"}]
    return 1 if wrong else 0


def _told(each: Result) -> str:
    if each.comparison is None:
        return f"{each.asked}: {each.alone or 'nobody'}: {each.why}"
    kinds = ", ".join(f"{kind} {len(paths)} {paths[0]}" for kind, paths in each.comparison.unintended.items())
    return f"{each.asked}: {each.comparison.files} files{f'; {kinds}' if kinds else ''}"


if __name__ == "__main__":
    sys.exit(main())
