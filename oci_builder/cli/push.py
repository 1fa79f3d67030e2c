"""``ocibuild push``: an image file to a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oci_builder.cli import options


@click.command("push")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.argument("references", metavar="REFERENCE...", nargs=-1, required=True)
@options.registry
@options.cache
@options.jobs
@options.as_json
@options.talk
def command(file: Path, references: tuple[str, ...], as_json: bool, **flags: Any) -> None:
    """Push an image file to a registry.

    FILE is what `ocibuild build`, `docker save` or skopeo wrote: an archive, or an OCI image layout's folder. A layout
    of images for several platforms becomes one index. What the registry has is not sent.
    """
    import json

    from oci_builder.assemble.delivery import push_file
    from oci_builder.cli.messages import say
    from oci_builder.cli.progress import shown
    from oci_builder.cli.registries import as_document, make_registries, told
    from oci_builder.cli.settings import make_settings
    from oci_builder.reference import Reference
    from oci_builder.store import Store

    settings = make_settings(**flags)
    names = [Reference.parse(text) for text in references]
    registries = make_registries(settings, names, **flags)
    store = Store(settings.cache)
    with shown(settings) as listener:
        pushed = push_file(file, names, registries, store=store, jobs=settings.jobs, listener=listener)
    if not settings.quiet:
        for each in pushed:
            say(told(each))
    if as_json:
        click.echo(json.dumps([as_document(each) for each in pushed]))
