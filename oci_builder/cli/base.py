"""``ocibuild base``: the bases that images stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oci_builder.cli import options
from oci_builder.cli.request import RecipeRequest, takes

if TYPE_CHECKING:
    from pathlib import Path

    from oci_builder.bases import Supply
    from oci_builder.cli.progress import Timed
    from oci_builder.platforms import Platform
    from oci_builder.store import Store


@click.group("base")
def command() -> None:
    """Look after the bases that images stand on."""


@command.command("update")
@click.argument("name")
@click.option("--platform", "platforms", multiple=True, help="linux/amd64 or linux/arm64; repeatable. [those it has]")
@options.debian
@options.layers
@options.project
@options.cache
@options.talk
@takes(RecipeRequest)
def update(request: RecipeRequest) -> None:
    """Lock the newest signed packages of a base.

    The locks of the base NAME are lock.*.json beside its layer.toml.
    """
    from oci_builder.bases import Supply
    from oci_builder.catalog import find_layer
    from oci_builder.cli.progress import shown
    from oci_builder.cli.settings import make_settings
    from oci_builder.cli.userconfig import user_config
    from oci_builder.store import Store

    settings = make_settings(request)
    folder = find_layer(
        request.name, recipe_folder=settings.project, project_dir=settings.project, extra=request.layers
    )
    mirrors = request.mirrors or user_config(settings.environ).mirrors
    supply, store = Supply(now=settings.now, mirrors=mirrors), Store(settings.cache, now=settings.now)
    with shown(settings) as reporter:
        for platform in _platforms(folder, request.platforms):
            _update(folder, platform, supply, store, reporter)
            _update_libraries(folder, platform, supply, store, reporter)


def _platforms(folder: Path, wanted: tuple[str, ...]) -> list[Platform]:
    from oci_builder.debian.lock import lock_path
    from oci_builder.platforms import AMD64, ARM64, Platform

    if wanted:
        return [Platform.parse(text) for text in dict.fromkeys(wanted)]
    return [platform for platform in (AMD64, ARM64) if lock_path(folder, platform).is_file()] or [AMD64, ARM64]


def _update(folder: Path, platform: Platform, supply: Supply, store: Store, reporter: Timed) -> None:
    from oci_builder.bases import update_base
    from oci_builder.debian.lock import changes, lock_path, read_lock, write_lock

    new = update_base(folder, platform, store=store, supply=supply, reporter=reporter)
    path = lock_path(folder, platform)
    old = read_lock(path) if path.is_file() else None
    if old != new:
        write_lock(new, path)
    for line in [*changes(old, new), f"{path}: {'unchanged' if old == new else 'written'}"]:
        reporter.note(line)


def _update_libraries(folder: Path, platform: Platform, supply: Supply, store: Store, reporter: Timed) -> None:
    from oci_builder.bases import update_libraries
    from oci_builder.debian.sonames import libraries_path
    from oci_builder.errors import PackageUnavailable

    path = libraries_path(folder, platform)
    try:
        changed = update_libraries(folder, platform, store=store, supply=supply, reporter=reporter)
    except PackageUnavailable as error:
        # It serves hints alone, and not every mirror has the lists.
        reporter.note(f"{path}: left as it is: {error}")
        return
    reporter.note(f"{path}: {'written' if changed else 'unchanged'}")
