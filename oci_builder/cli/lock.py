"""``ocibuild lock``: write down which wheels an image is made of."""

from __future__ import annotations

import click

from oci_builder.cli import options
from oci_builder.cli.request import RecipeRequest, takes


class LockRequest(RecipeRequest):
    """What ``ocibuild lock`` is told besides: to look only, and what to choose anew."""

    check: bool = False
    upgrade: bool = False
    upgrade_packages: tuple[str, ...] = ()


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
@takes(LockRequest)
def command(request: LockRequest) -> None:
    """Write down which wheels an image is made of.

    The lock of the image NAME is pylock.toml beside its recipe; builds take exactly what it says. Where another tool's
    lock decides about wheels, --check exits 3 where that lacks what pyproject.toml asks for, and without it images of
    registries are written down in images.lock.json.
    """
    from packaging.utils import canonicalize_name

    from oci_builder.assemble.planner import Planner
    from oci_builder.cli.progress import shown
    from oci_builder.cli.recipe import make_policy, open_source
    from oci_builder.cli.registries import base_references, make_registries
    from oci_builder.cli.settings import make_settings
    from oci_builder.cli.terminal import say
    from oci_builder.errors import CheckFailed, StaleLock

    settings = make_settings(request)
    source = open_source(settings, request)
    registries = make_registries(settings, base_references(source.recipe), request)
    packages = [canonicalize_name(name) for name in request.upgrade_packages]
    with shown(settings) as reporter:
        planner = Planner(settings.context(registries, reporter), make_policy(settings, request))
        try:
            change = planner.lock(source, upgrade=request.upgrade, upgrade_packages=packages, check=request.check)
        except StaleLock as error:
            if not request.check:
                raise
            raise CheckFailed(error.lock, [error.why], hint=error.hint) from error
    if request.check and not change.current:
        findings = change.changes or [f"{path}: missing, or made from other inputs" for path in change.behind]
        raise CheckFailed(str(change.path), findings, hint=f"run `ocibuild lock {request.name}`")
    behind = change.behind
    if not request.check:
        change.keep()
    if not settings.quiet:
        written = [f"{path}: written" for path in behind] or [f"{change.path}: unchanged"]
        for line in (*change.changes, *written):
            say(line)
