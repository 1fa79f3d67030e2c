"""``ocibuild check``: all that the gate finds in an image, and nothing written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli import options

if TYPE_CHECKING:
    from oci_builder.check.finding import Finding, Gated


@click.command("check")
@options.image_name
@options.recipe
@options.sources
@options.locking
@options.registry
@options.project
@options.cache
@options.jobs
@options.as_json
@options.talk
def command(as_json: bool, **flags: Any) -> None:
    """Check that an image would run, without running it.

    The image NAME is built, but not written. Every library, symbol version, requirement and module that it counts on
    must be in it; a build checks that too, all but what modules import. The exit code is 3 when it would not run.
    """
    from oci_builder import assemble
    from oci_builder.cli.build import make_options, open_source
    from oci_builder.cli.progress import shown
    from oci_builder.cli.registries import base_references, make_registries
    from oci_builder.cli.settings import make_settings
    from oci_builder.errors import CheckFailed
    from oci_builder.platforms import Platform
    from oci_builder.store import Store

    settings = make_settings(**flags)
    source = open_source(settings, **flags)
    registries = make_registries(settings, base_references(source.recipe.base), **flags)
    how = make_options(settings, keep_lock=False, registries=registries, **flags)
    platforms = [Platform.parse(text) for text in flags["platforms"]] or list(source.recipe.targets[:1])
    store = Store(settings.cache)
    with shown(settings) as listener:
        gated = {
            target: assemble.check(source, target, options=how, store=store, listener=listener) for target in platforms
        }
    if as_json:
        click.echo(json.dumps({str(target): _document(found) for target, found in gated.items()}))
    elif not settings.quiet:
        for found in gated.values():
            click.echo("\n".join(_lines(found)))
    errors = [finding.message for found in gated.values() for finding in found.errors]
    if errors:
        raise CheckFailed(source.recipe.name, [f"{len(errors)} error{'' if len(errors) == 1 else 's'}"])


def _lines(gated: Gated) -> list[str]:
    lines = [_line(finding) for finding in (*gated.errors, *gated.warnings)]
    lines += [f"allowed: {finding.message}: {reason}" for finding, reason in gated.allowed]
    return lines or ["nothing found"]


def _line(finding: Finding) -> str:
    supplier = f"Debian's {finding.supplier} brings it" if finding.supplier else ""
    hint = "".join(f"; {text}" for text in (supplier, finding.hint) if text)
    return f"{finding.severity}: {finding.message}{hint} [{finding.kind}: {finding.subject}]"


def _document(gated: Gated) -> dict[str, Any]:
    import msgspec

    return {
        "errors": [msgspec.to_builtins(finding) for finding in gated.errors],
        "warnings": [msgspec.to_builtins(finding) for finding in gated.warnings],
        "allowed": [{**msgspec.to_builtins(finding), "reason": reason} for finding, reason in gated.allowed],
    }
