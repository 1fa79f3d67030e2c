"""Which option names another place for a file that could not be read or written. Loaded only then."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from oci_builder.errors import FileProblem, OcibuildError
from oci_builder.files import ELSEWHERE
from oci_builder.surroundings import default_cache

_OPTIONS = {"out": "--out", "out_dir": "--out-dir", "dest": "--dest", "sbom": "--sbom", "ca_file": "--ca-file"}


def fitted(error: FileProblem, flags: Mapping[str, Any]) -> str | None:
    """The hint of ``error``, with the option of a command with ``flags`` that led to the file, or without one."""
    if not error.hint or ELSEWHERE not in error.hint:
        return error.hint
    for option in _leading(Path(error.path).absolute(), flags):
        return error.hint.replace(ELSEWHERE, f"name another place with {option}")
    # No option leads there: it lies where a recipe says, or where this machine has it.
    rest = error.hint.partition(ELSEWHERE)
    left = rest[0].rstrip().removesuffix(", or").rstrip(";: ") or rest[2].removeprefix(", or ")
    return left or "make room for it there"


def _leading(path: Path, flags: Mapping[str, Any]) -> Iterator[str]:
    for name, option in _OPTIONS.items():
        place = flags.get(name)
        if isinstance(place, str | Path) and _is_at(path, Path(place)):
            yield option
    if "out" in flags and flags["out"] is None and path.parent == Path().absolute() and path.suffix == ".tar":
        yield "--out"
    cache = flags.get("cache_dir")
    if cache is None and "cache_dir" in flags:
        with contextlib.suppress(OcibuildError):
            cache = default_cache()[0]
    if cache is not None and _is_at(path, Path(cache)):
        yield "--cache-dir or OCIBUILD_CACHE_DIR"


def _is_at(path: Path, place: Path) -> bool:
    """Whether ``path`` is ``place``, in it, or the folder that it was to be made in."""
    whole = place.absolute()
    return path.is_relative_to(whole) or whole.is_relative_to(path)
