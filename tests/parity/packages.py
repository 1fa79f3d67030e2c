"""``make debian-packages``: what becomes of each package of the list over the base, written to docs/debian-packages.md.

Each name is resolved and fetched, and the scripts of all that comes along are walked, as a build would. Nothing runs.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_builder.store import Store
from tests.parity.debian import HERE, LAYER, World, corpus

PAGE = HERE.parents[1] / "docs" / "debian-packages.md"
_HEAD = """# Debian's packages, and what becomes of them

Written by `make debian-packages`: each package of `tests/parity/debian.txt` over the base `layers/python-3.11`, with
what it depends on, and with all maintainer scripts walked as on a first installation
([how](decisions/maintainer-scripts.md)). No script runs. What is left out on purpose, because only scripts use it or no
container has it (`oci_builder/debian/cuts.py`), is not counted here; a build says it, and the lock.

"""


@dataclass(frozen=True)
class Outcome:
    """What becomes of packages asked for together: refused, or so many packages, less what is left out for its scripts.

    ``lacking`` is what an installation by apt would make as well, and nobody has to have.
    """

    names: Sequence[str]
    packages: int = 0
    refused: str = ""
    left_out: Sequence[str] = ()
    lacking: Sequence[str] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all scripts are known, and nothing is lacking."""
        return not (self.refused or self.left_out or self.lacking)


def outcome(world: World, names: Sequence[str]) -> Outcome:
    """What becomes of ``names``: a package that is refused is left out, unless it was asked for."""
    unready: dict[str, str] = {}
    while True:
        with tempfile.TemporaryDirectory() as spool:
            found, walked = world.walked(names, Path(spool), unready)
        if isinstance(walked, str):
            return Outcome(names, refused=walked)
        refused = {pin.name: f"{pin.name}: {why}" for pin, why in walked.refused.items()}
        asked = [refused[name] for name in names if name in refused]
        if asked:
            return Outcome(names, refused="; ".join(asked))
        if not refused:
            return Outcome(names, found, "", list(unready.values()), walked.lacking)
        unready |= refused


def page(outcomes: Iterable[Outcome]) -> str:
    """The page, without anything that another day would write otherwise but what the archive has new."""
    known = sorted(outcomes, key=lambda each: tuple(each.names))
    refused = [each for each in known if each.refused]
    parts = [each for each in known if not each.refused and not each.is_whole]
    whole = [each for each in known if each.is_whole]
    lines = [
        f"**{len(known)} names: {len(whole)} accepted and whole ({_share(whole, known)}), {len(parts)} accepted "
        f"without a part that is said, {len(refused)} refused.**",
        "",
        "## Refused",
        "",
        *_table(("name", "why"), ((_name(each), _safe(each.refused)) for each in refused)),
        "",
        '`{ name = "…", scripts = "skip", reason = "…" }` among a recipe\'s `base-packages` takes one all the same.',
        "",
        "## Accepted, without a part",
        "",
        *_table(("name", "packages", "without"), ((_name(e), str(e.packages), _parts(e)) for e in parts)),
        "",
        "## Accepted, and whole",
        "",
        *_table(("name", "packages"), ((_name(each), str(each.packages)) for each in whole)),
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _share(some: Sequence[Outcome], of: Sequence[Outcome]) -> str:
    return f"{100 * len(some) / max(len(of), 1):.0f} %"


def _name(each: Outcome) -> str:
    return " ".join(f"`{name}`" for name in each.names)


def _parts(each: Outcome) -> str:
    return "; ".join([*map(_safe, each.left_out), *map(_safe, each.lacking)])


def _safe(text: str) -> str:
    """A reason in a cell of a table: on one line, and with nothing that Markdown would read."""
    text = re.sub(r"\\[nt]|\s+", " ", text)
    return re.sub(r"([|<>*_`\[\]])", r"\\\1", text)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    cells = [f"| {' | '.join(row)} |" for row in rows]
    if not cells:
        yield "None."
        return
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from cells


def main(arguments: Sequence[str]) -> int:
    """Try all of the list, or what is named, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity.packages", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help="packages to try; several at once are joined with |; no page is written"
    )
    parser.add_argument("--cache", type=Path, default=Path(".parity"), help="a folder for what is downloaded")
    parser.add_argument("--layer", type=Path, default=LAYER, help="the base to try it over")
    chosen = parser.parse_args(arguments)
    tries = [tuple(name.split("|")) for name in chosen.names] or corpus()
    with tempfile.TemporaryDirectory() as folder:
        world = World.of(chosen.layer, Path(folder), Store(chosen.cache))
        outcomes = [outcome(world, names) for names in tries]
    text = page(outcomes)
    if chosen.names:
        sys.stdout.write(text)
    else:
        PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
