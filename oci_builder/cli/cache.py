"""``ocibuild cache``: what is kept between builds, how it is kept small and sound, and an end to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oci_builder.cli import options
from oci_builder.cli.request import CommandRequest, takes
from oci_builder.cli.terminal import say, tell, tell_json

if TYPE_CHECKING:
    from oci_builder.cli.settings import Settings
    from oci_builder.inventory import Shelf
    from oci_builder.pruning import Pruned


class PruneRequest(CommandRequest):
    """What ``ocibuild cache prune`` is told besides: how much stays, and for how long."""

    cache_max_size: str | None = None
    days: float | None = None


@click.group("cache")
def command() -> None:
    """Look at the folder of finished work, keep it small, or empty it."""


@command.command("info")
@options.cache
@options.as_json
@takes(CommandRequest)
def info(request: CommandRequest) -> None:
    """Print where the cache is, how much of what is in it, and when it was used."""
    from oci_builder.cli.settings import make_settings
    from oci_builder.inventory import shelves, together
    from oci_builder.store import Store

    settings = make_settings(request)
    kinds = shelves(Store(settings.cache))
    whole = together(kinds.values())
    if request.as_json:
        parts = {name: _document(shelf) for name, shelf in kinds.items()}
        tell_json({"folder": str(settings.cache), "files": whole.files, "size": whole.size, "kinds": parts})
        return
    records = together(shelf for name, shelf in kinds.items() if name.startswith("records/"))
    told = {name: shelf for name, shelf in kinds.items() if not name.startswith("records/")} | {"records": records}
    tell(f"{settings.cache}: {_amount(whole.files, whole.size)}")
    for name, shelf in told.items():
        if shelf.files:
            tell(_row(name, shelf, settings.now))


@command.command("prune")
@options.cache
@options.cache_limit
@click.option(
    "--unused-for",
    "days",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="Remove what no build has used for so long. [30 without --cache-max-size]",
)
@options.as_json
@options.talk
@takes(PruneRequest)
def prune(request: PruneRequest) -> None:
    """Remove what has not been used for long.

    With --cache-max-size, what was used least recently goes until the rest fits. Nothing is removed while a build runs.
    """
    from oci_builder.cli.settings import make_settings
    from oci_builder.pruning import DAY, parse_size
    from oci_builder.pruning import prune as pruned
    from oci_builder.store import Store

    settings = make_settings(request)
    limit, days = request.cache_max_size, request.days
    max_size = parse_size(limit) if limit else None
    if days is None and max_size is None:
        days = 30
    max_age = None if days is None else int(days * DAY)
    done = pruned(Store(settings.cache), now=settings.now, max_size=max_size, max_age=max_age)
    _tell(done, settings, as_json=request.as_json)


@command.command("verify")
@options.cache
@options.as_json
@options.talk
@takes(CommandRequest)
def verify(request: CommandRequest) -> None:
    """Read everything that is kept; what is damaged is removed, and made again by the next build."""
    from oci_builder.cli.settings import make_settings
    from oci_builder.errors import FileProblem
    from oci_builder.inventory import shelves, together
    from oci_builder.store import Store

    settings = make_settings(request)
    store = Store(settings.cache)
    whole = together(shelves(store).values())
    damaged = [str(path.relative_to(settings.cache)) for path in store.unsound()]
    if request.as_json:
        read = {"folder": str(settings.cache), "files": whole.files, "size": whole.size}
        tell_json({**read, "damaged": damaged})
    for name in damaged:
        say(f"{name}: damaged, removed")
    if damaged:
        why = f"{len(damaged)} of {_amount(whole.files)} damaged, and removed"
        raise FileProblem(str(settings.cache), why, hint="build again: what is missing is made anew")
    if not settings.quiet:
        say(f"{settings.cache}: {_amount(whole.files, whole.size)}, sound")


@command.command("clear")
@options.cache
@options.as_json
@options.talk
@takes(CommandRequest)
def clear(request: CommandRequest) -> None:
    """Remove all that is kept; no build may be running. The next one does its work anew."""
    from oci_builder.cli.settings import make_settings
    from oci_builder.pruning import prune as pruned
    from oci_builder.store import Store

    settings = make_settings(request)
    # Only what we made: a cache folder named by hand may hold other things.
    _tell(pruned(Store(settings.cache), now=settings.now, max_size=0), settings, as_json=request.as_json)


def _tell(done: Pruned, settings: Settings, *, as_json: bool) -> None:
    from oci_builder.cli.progress import human_bytes
    from oci_builder.errors import FileProblem

    if not done.done:
        why = "another process is using the cache, so nothing was removed"
        raise FileProblem(str(settings.cache), why, hint="try again when that build has ended")
    if as_json:
        removed = {"files": done.files, "size": done.size}
        tell_json({"folder": str(settings.cache), "removed": removed, "left": done.left})
    if not settings.quiet:
        say(f"{settings.cache}: {_amount(done.files, done.size)} removed, {human_bytes(done.left)} left")


def _amount(files: int, size: int | None = None) -> str:
    from oci_builder.cli.progress import human_bytes

    return f"{files} file{'' if files == 1 else 's'}{'' if size is None else f', {human_bytes(size)}'}"


def _document(shelf: Shelf) -> dict[str, int]:
    used = {"oldest_use": int(shelf.oldest), "latest_use": int(shelf.latest)}
    return {"files": shelf.files, "size": shelf.size, **used}


def _row(name: str, shelf: Shelf, now: int) -> str:
    from oci_builder.cli.progress import human_bytes

    used = f"used {_ago(now - shelf.latest)}, the oldest {_ago(now - shelf.oldest)}"
    return f"  {name:<10} {shelf.files:>6}  {human_bytes(shelf.size):>9}  {used}"


def _ago(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name} ago"
    return "just now"
