"""``ocibuild cache``: what is kept between builds, how it is kept small, and an end to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli import options

if TYPE_CHECKING:
    from oci_builder.store import Store


@click.group("cache")
def command() -> None:
    """Look at the folder of finished work, keep it small, or empty it."""


@command.command("info")
@options.cache
@options.as_json
def info(as_json: bool, **flags: Any) -> None:
    """Print where the cache is, how much of what is in it, and when it was used."""
    import json

    from oci_builder.cli.progress import human_bytes
    from oci_builder.cli.settings import make_settings
    from oci_builder.store import Store

    settings = make_settings(**flags)
    kinds = _kinds(Store(settings.cache))
    files, size = (sum(kind[index] for kind in kinds.values()) for index in (0, 1))
    if as_json:
        parts = {
            name: {"files": count, "size": bytes_, "oldest_use": int(oldest), "latest_use": int(latest)}
            for name, (count, bytes_, oldest, latest) in kinds.items()
        }
        click.echo(json.dumps({"folder": str(settings.cache), "files": files, "size": size, "kinds": parts}))
        return
    click.echo(f"{settings.cache}: {files} file{'' if files == 1 else 's'}, {human_bytes(size)}")
    for name, (count, bytes_, oldest, latest) in kinds.items():
        used = f"used {_ago(settings.now - latest)}, the oldest {_ago(settings.now - oldest)}"
        click.echo(f"  {name:<18} {count:>6}  {human_bytes(bytes_):>9}  {used}")


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
@options.talk
def prune(**flags: Any) -> None:
    """Remove what has not been used for long, and what killed builds have left.

    With --cache-max-size, what was used least recently goes until the rest fits. Nothing is removed while a build runs.
    """
    from oci_builder.cli.messages import say
    from oci_builder.cli.progress import human_bytes
    from oci_builder.cli.settings import make_settings
    from oci_builder.errors import FileProblem
    from oci_builder.pruning import DAY, parse_size
    from oci_builder.pruning import prune as pruned
    from oci_builder.store import Store

    settings = make_settings(**flags)
    limit, days = flags["cache_max_size"], flags["days"]
    max_size = parse_size(limit) if limit else None
    if days is None and max_size is None:
        days = 30
    max_age = None if days is None else int(days * DAY)
    done = pruned(Store(settings.cache), now=settings.now, max_size=max_size, max_age=max_age)
    if not done.done:
        raise FileProblem(str(settings.cache), "a build is using the cache", hint="prune when it has ended")
    if not settings.quiet:
        files = f"{done.files} file{'' if done.files == 1 else 's'}"
        say(f"{settings.cache}: {files} removed, {human_bytes(done.size)}; {human_bytes(done.left)} left")


@command.command("verify")
@options.cache
@options.talk
def verify(**flags: Any) -> None:
    """Read everything that is kept; what is damaged is removed, and made again by the next build."""
    from oci_builder.cli.messages import say
    from oci_builder.cli.settings import make_settings
    from oci_builder.errors import CorruptBlob
    from oci_builder.store import Store

    settings = make_settings(**flags)
    damaged = list(Store(settings.cache).unsound())
    for path in damaged:
        say(f"{path.name}: damaged, removed")
    if damaged:
        raise CorruptBlob(
            str(settings.cache),
            expected="blobs that hold what their names say",
            actual=f"{len(damaged)} that did not, and are gone",
        )
    if not settings.quiet:
        say(f"{settings.cache}: sound")


@command.command("clear")
@options.cache
@options.talk
def clear(**flags: Any) -> None:
    """Remove all that is kept; no build may be running. The next one does its work anew."""
    import shutil

    from oci_builder.cli.messages import say
    from oci_builder.cli.settings import make_settings
    from oci_builder.store import LAYOUT, explained

    settings = make_settings(**flags)
    # Only what we made: a cache folder named by hand may hold other things.
    folder = settings.cache / LAYOUT
    if folder.is_dir():
        with explained(folder):
            shutil.rmtree(folder)
    if not settings.quiet:
        say(f"{folder}: empty")


def _kinds(store: Store) -> dict[str, tuple[int, int, float, float]]:
    """Files, bytes, and the first and last use, of blobs and of each kind of record."""
    found: dict[str, tuple[int, int, float, float]] = {}
    for path, info in store.kept():
        name = "blobs" if path.parent.name == "sha256" else f"records/{path.parent.name}"
        files, size, oldest, latest = found.get(name, (0, 0, info.st_atime, info.st_atime))
        used = info.st_atime
        found[name] = (files + 1, size + info.st_size, min(oldest, used), max(latest, used))
    return dict(sorted(found.items()))


def _ago(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name} ago"
    return "just now"
