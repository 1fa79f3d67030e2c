"""``ocibuild cache``: what is kept between builds, and an end to it."""

from __future__ import annotations

from typing import Any

import click

from oci_builder.cli import options


@click.group("cache")
def command() -> None:
    """Look at the folder of finished work, or empty it."""


@command.command("info")
@options.cache
@options.as_json
def info(as_json: bool, **flags: Any) -> None:
    """Print where the cache is and how much is in it."""
    import json

    from oci_builder.cli.progress import human_bytes
    from oci_builder.cli.settings import make_settings

    root = make_settings(**flags).cache
    sizes = [path.stat().st_size for path in sorted(root.rglob("*")) if path.is_file()]
    if as_json:
        click.echo(json.dumps({"folder": str(root), "files": len(sizes), "size": sum(sizes)}))
    else:
        click.echo(f"{root}: {len(sizes)} file{'' if len(sizes) == 1 else 's'}, {human_bytes(sum(sizes))}")


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
