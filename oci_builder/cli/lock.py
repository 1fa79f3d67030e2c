"""``ocibuild lock``: write down which wheels an image is made of."""

from __future__ import annotations

from typing import Any

import click

from oci_builder.cli import options


@click.command("lock")
@options.image_name
@click.option("--check", is_flag=True, help="Change nothing; exit 3 when the lock no longer fits.")
@click.option("--upgrade", is_flag=True, help="Choose every version anew.")
@click.option(
    "--upgrade-package", "upgrade_packages", multiple=True, metavar="PACKAGE", help="Choose this one anew; repeatable."
)
@options.sources
@options.registry
@options.project
@options.cache
@options.jobs
@options.talk
def command(check: bool, upgrade: bool, upgrade_packages: tuple[str, ...], **flags: Any) -> None:
    """Write down which wheels an image is made of.

    The lock of the image NAME is pylock.toml beside its recipe; builds take exactly what it says.
    """
    from packaging.utils import canonicalize_name

    from oci_builder.assemble import lock
    from oci_builder.cli.build import make_options, open_source
    from oci_builder.cli.progress import shown
    from oci_builder.cli.registries import base_references, make_registries
    from oci_builder.cli.settings import make_settings
    from oci_builder.cli.terminal import say
    from oci_builder.errors import CheckFailed
    from oci_builder.store import Store

    settings = make_settings(**flags)
    source = open_source(settings, **flags)
    registries = make_registries(settings, base_references(source.recipe.base), **flags)
    how = make_options(settings, registries=registries, **flags)
    with shown(settings) as reporter:
        change = lock(
            source,
            options=how,
            upgrade=upgrade,
            upgrade_packages=[canonicalize_name(name) for name in upgrade_packages],
            store=Store(settings.cache, now=settings.now),
            reporter=reporter,
        )
    if check and not change.current:
        findings = change.changes or [f"{path}: missing, or made from other inputs" for path in change.behind]
        raise CheckFailed(str(change.path), findings, hint=f"run `ocibuild lock {flags['name']}`")
    behind = change.behind
    if not check:
        change.keep()
    if not settings.quiet:
        written = [f"{path}: written" for path in behind] or [f"{change.path}: unchanged"]
        for line in (*change.changes, *written):
            say(line)
