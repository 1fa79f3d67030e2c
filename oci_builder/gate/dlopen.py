"""Libraries that distributions load by name when they are imported: no file says so, and without them nothing works."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from oci_builder.gate.facts import Distribution, ElfFile
from oci_builder.gate.finding import Finding

_LOADED: Mapping[str, Sequence[str]] = {
    "cairocffi": ("libcairo.so.2",),
    "psycopg": ("libpq.so.5",),
    "python-magic": ("libmagic.so.1",),
    "sounddevice": ("libportaudio.so.2",),
    "weasyprint": ("libgobject-2.0.so.0", "libpango-1.0.so.0", "libharfbuzz.so.0", "libpangoft2-1.0.so.0"),
}
"""By distribution, what ``import`` fails without; each was seen to."""

_INSTEAD = {"psycopg": ("psycopg-binary", "psycopg-c")}
"""Distributions that make another do without its library."""


def by_name_findings(distributions: Sequence[Distribution], files: Iterable[ElfFile]) -> Iterator[Finding]:
    """An error for each library that a distribution is known to load and that is nowhere in the image."""
    names = {name for file in files if file.elf for name in (file.path.rpartition("/")[2], file.elf.soname)}
    present = {each.key for each in distributions}
    for each in distributions:
        if present.isdisjoint(_INSTEAD.get(each.key, ())):
            for library in _LOADED.get(each.key, ()):
                if library not in names:
                    yield _finding(each, library)


def _finding(distribution: Distribution, library: str) -> Finding:
    return Finding(
        severity="error",
        kind="library",
        origin=distribution.origin,
        subject=library,
        message=f"{distribution.origin}: it loads {library} when it is imported, and that is not in the image",
    )
