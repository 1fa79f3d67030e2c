"""Which of the host's package sources hold the suites asked for (sources.list(5)), in apt's newer spelling."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from oci_builder import inputs
from oci_builder.debian.control import stanza
from oci_builder.debian.recipe import Suite
from oci_builder.files import open_regular

_KEPT = ("signed-by", "trusted", "check-valid-until", "allow-insecure")
"""Options of a source that decide whether apt believes it; the others only choose."""


def host_sources(
    file: Path, parts: Path, suites: Sequence[Suite], architecture: str, *, targets: str = "Packages"
) -> str:
    """The host's sources of ``suites``, as the text of one ``.sources`` file; empty if it has none of them.

    Of a suite that the host does not use, the mirror that it takes the same archive's other suites from.
    ``targets`` are the indexes to download, by apt's names, with blanks between.
    """
    files = [file, *sorted([*inputs.matching(parts, "*.list"), *inputs.matching(parts, "*.sources")])]
    sources = [source for path in files for source in _sources(path) if _is_binary(source)]
    had = {name for source in sources for name in source.get("suites", "").split()}
    found = [
        _written(source, kept, architecture, targets)
        for source in sources
        if (kept := _kept(source, [suite.name for suite in suites if suite.name in had]))
    ]
    # A mirror has all suites of an archive, and its keys are those of the archive: a host of another release will do.
    elsewhere = {suite: source for suite in suites if suite.name not in had for source in _of(suite, sources)[:1]}
    found += [_written(source, [suite.name], architecture, targets) for suite, source in elsewhere.items()]
    return "\n".join(found)


def _kept(source: Mapping[str, str], wanted: Sequence[str]) -> list[str]:
    return [name for name in source.get("suites", "").split() if name in wanted]


def _of(suite: Suite, sources: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The sources that take from the archive of ``suite``, by the last folder of their address."""
    return [
        source
        for source in sources
        if any(uri.rstrip("/").rpartition("/")[2] == suite.archive for uri in source.get("uris", "").split())
    ]


def _is_binary(source: Mapping[str, str]) -> bool:
    enabled = source.get("enabled", "yes").lower() not in ("no", "false", "0")
    return enabled and "deb" in source.get("types", "").split() and "main" in source.get("components", "").split()


def _sources(path: Path) -> Iterator[Mapping[str, str]]:
    try:
        with open_regular(path) as stream:
            text = stream.read().decode(errors="replace")
    except OSError:
        return
    if path.suffix == ".sources":
        lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        yield from (stanza(part) for part in re.split(r"\n\s*\n", lines) if part.strip())
    else:
        yield from (source for line in text.splitlines() if (source := _one_line(line)))


def _one_line(line: str) -> Mapping[str, str] | None:
    """``deb [signed-by=/x.gpg] URI suite component…`` as the fields of a stanza."""
    found = re.match(r"\s*(deb)\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s+([^#]+)", line)
    if not found:
        return None
    try:
        words = shlex.split(found[2] or "")
    except ValueError:
        return None  # a quote without its other half: apt reads no such line either
    pairs = (option.partition("=") for option in words)
    options = {name.rstrip("+-").lower(): value.replace(",", " ") for name, _, value in pairs}
    fixed = {"types": found[1], "uris": found[3], "suites": found[4], "components": found[5].strip()}
    return {**options, **fixed}


def _written(source: Mapping[str, str], suites: Sequence[str], architecture: str, targets: str) -> str:
    lines = [
        "Types: deb",
        f"URIs: {source.get('uris', '')}",
        f"Suites: {' '.join(suites)}",
        "Components: main",
        f"Architectures: {architecture}",
        f"Targets: {targets}",
    ]
    for name in _KEPT:
        if source.get(name):
            # A key may stand in the field itself, over many lines.
            lines.append(f"{name}: " + source[name].replace("\n", "\n "))
    return "\n".join(lines) + "\n"
