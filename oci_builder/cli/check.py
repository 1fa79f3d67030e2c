"""``ocibuild check``: all that the gate finds in an image, and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli import images, options
from oci_builder.cli.messages import misused
from oci_builder.cli.request import RecipeRequest, takes
from oci_builder.cli.terminal import tell, tell_json
from oci_builder.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oci_builder.gate.finding import Finding, GateResult

_MANY, _SHOWN = 6, 4
"""Warnings of one kind about one package that are said in full, and how many are where there are more."""


@click.command("check")
@options.image_name
@options.recipe
@images.limits
@options.sources
@options.locking
@options.registry
@options.project
@options.cache
@options.jobs
@options.as_json
@options.talk
@takes(RecipeRequest)
def command(request: RecipeRequest) -> None:
    """Check that an image would run, without running it.

    The image NAME is built, but not written. Every library, symbol version, requirement and module that it counts on
    must be in it; a build checks that too, all but what modules import. The exit code is 3 when it would not run.

    NAME may also be an image that is made already, whoever made it: a file, a folder or an image of a registry. Of such
    a one the Python distributions are checked, and not what modules import.
    """
    from oci_builder.errors import CheckFailed

    gated = _made(request) if _is_made(request.name) else _built(request)
    if request.as_json:
        tell_json({target: _document(found) for target, found in gated.items()})
    elif not request.quiet:
        for found in gated.values():
            for line in _lines(found):
                tell(line)
    errors = [finding.message for found in gated.values() for finding in found.errors]
    if errors:
        raise CheckFailed(request.name, [counted(len(errors), "error")])


def _is_made(name: str) -> bool:
    """Whether ``name`` is no recipe's, but an image file's, a layout's or a reference."""
    from oci_builder.catalog import read_reference

    path = Path(name)
    return path.is_file() or (path / "index.json").is_file() or (not path.exists() and read_reference(name) is not None)


def _made(request: RecipeRequest) -> dict[str, GateResult]:
    platforms = request.platforms
    if len(platforms) > 1:
        raise misused("--platform: of an image that is made already, one is checked at a time")
    looking = images.look_at([request.name], request, platform=platforms[0] if platforms else None)
    (found,) = looking.inventories()
    return {found.contents.platform: looking.gated(found)}


def _built(request: RecipeRequest) -> dict[str, GateResult]:
    from oci_builder.assemble import build
    from oci_builder.cli.progress import shown
    from oci_builder.cli.recipe import make_policy, open_source
    from oci_builder.cli.registries import base_references, make_registries
    from oci_builder.cli.settings import make_settings
    from oci_builder.platforms import Platform

    settings = make_settings(request)
    source = open_source(settings, request)
    registries = make_registries(settings, base_references(source.recipe), request)
    policy = make_policy(settings, request, update_lock=False)
    platforms = [Platform.parse(text) for text in request.platforms] or list(source.recipe.targets[:1])
    with shown(settings) as reporter:
        context = settings.context(registries, reporter)
        return {str(target): build.check(source, target, context=context, policy=policy) for target in platforms}


def _lines(gated: GateResult) -> list[str]:
    lines = [_line(finding) for finding in gated.errors]
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in gated.warnings:
        groups.setdefault((finding.kind, finding.origin), []).append(finding)
    for members in groups.values():
        lines += _together(members)
    lines += [f"allowed: {finding.message}: {reason}" for finding, reason in gated.allowed]
    return lines or ["nothing found"]


def _together(findings: Sequence[Finding]) -> list[str]:
    """Warnings of one kind about one package: all of a few, of many a few and what the others are about."""
    if len(findings) <= _MANY:
        return [_line(finding) for finding in findings]
    first, rest = findings[:_SHOWN], findings[_SHOWN:]
    also = f"warning: {first[0].origin}: likewise {', '.join(finding.subject for finding in rest)}"
    packages = ", ".join(sorted({finding.supplier for finding in rest if finding.supplier}))
    return [*map(_line, first), f"{also}{f'; Debian has {packages}' if packages else ''} [{first[0].kind}]"]


def _line(finding: Finding) -> str:
    supplier = f"Debian's {finding.supplier} brings it" if finding.supplier else ""
    hint = "".join(f"; {text}" for text in (supplier, finding.hint) if text)
    return f"{finding.severity}: {finding.message}{hint} [{finding.kind}: {finding.subject}]"


def _document(gated: GateResult) -> dict[str, Any]:
    import msgspec

    return {
        "errors": [msgspec.to_builtins(finding) for finding in gated.errors],
        "warnings": [msgspec.to_builtins(finding) for finding in gated.warnings],
        "allowed": [{**msgspec.to_builtins(finding), "reason": reason} for finding, reason in gated.allowed],
    }
