"""What a command line asks for, as typed values: a misspelt flag is a type error, and none is lost on its way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from oci_builder.errors import FileProblem
from oci_builder.values import NOTHING, Value

R = TypeVar("R")


class CommandRequest(Value):
    """What every command may be told: where things are, how to show what goes on, how registries are spoken to."""

    project_dir: Path | None = None
    cache_dir: Path | None = None
    jobs: int | None = None
    progress: str = "auto"
    quiet: bool = False
    debug: bool = False
    as_json: bool = False
    insecure: bool = False
    ca_file: Path | None = None
    creds_stdin: bool = False
    max_entries: int | None = None
    max_unpacked: int | None = None


class LookRequest(CommandRequest):
    """What commands are told that look at an image which is made already."""

    image: str = ""
    platform: str | None = None


class RecipeRequest(CommandRequest):
    """What commands are told that start from a recipe: how it is changed, and where its parts come from."""

    name: str = ""
    platforms: tuple[str, ...] = ()
    base: str | None = None
    requirements: tuple[Path, ...] = ()
    tags: tuple[str, ...] = ()
    user: str | None = None
    labels: Mapping[str, str] = NOTHING
    env: Mapping[str, str] = NOTHING
    epoch: int | None = None
    find_links: tuple[str, ...] = ()
    offline: bool = False
    online: bool = False
    mirrors: tuple[str, ...] = ()
    layers: tuple[Path, ...] = ()
    locked: bool = False
    frozen: bool = False


class BuildRequest(RecipeRequest):
    """What ``ocibuild build`` is told of one image: where it goes, and what it shares."""

    out: str | None = None
    out_dir: Path | None = None
    out_format: str | None = None
    load: bool = False
    whole: bool = False
    since: str | None = None
    pushes: tuple[str, ...] = ()
    sbom: str | None = None
    verify: bool = False
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    cache_max_size: str | None = None


def takes(kind: type[R]) -> Callable[[Callable[[R], None]], Callable[..., None]]:
    """Have click fill a ``kind`` from a command's flags, and give it to the command: flags end here."""

    def decorate(act: Callable[[R], None]) -> Callable[..., None]:
        @functools.wraps(act)
        def command(**flags: Any) -> None:
            request = kind(**flags)
            entries, unpacked = getattr(request, "max_entries", None), getattr(request, "max_unpacked", None)
            try:
                if not entries and not unpacked:
                    act(request)
                    return
                from oci_builder.tree.limits import allowing

                with allowing(entries or 0, unpacked=unpacked or 0):
                    act(request)
            except FileProblem as error:
                from oci_builder.cli.elsewhere import fitted

                error.hint = fitted(error, flags)
                raise

        return command

    return decorate
