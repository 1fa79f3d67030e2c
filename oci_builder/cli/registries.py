"""Who we are at registries and how they are spoken to, from flags and environment."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli.messages import misused

if TYPE_CHECKING:
    from oci_builder.cli.request import CommandRequest
    from oci_builder.cli.settings import Settings
    from oci_builder.recipes import ImageToml
    from oci_builder.reference import Reference
    from oci_builder.registry.auth import Login
    from oci_builder.registry.pushing import Pushed
    from oci_builder.registry.registries import Registries

_LINE = 64 << 10
"""Letters of a line of stdin; tokens have some thousand."""

_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
USER, PASSWORD = "OCIBUILD_REGISTRY_USER", "OCIBUILD_REGISTRY_PASSWORD"


def make_registries(settings: Settings, references: Iterable[Reference], request: CommandRequest) -> Registries:
    """The registries of a run; a login of this run's own is for the one registry of ``references``.

    Raises click.UsageError where they are in several: it would be sent to one that it is not for.
    """
    from oci_builder.registry.access import Access
    from oci_builder.registry.auth import Logins
    from oci_builder.registry.registries import Registries

    creds_stdin = request.creds_stdin
    login = _login(settings, creds_stdin=creds_stdin)
    hosts = sorted({reference.registry for reference in references})
    if login is not None and len(hosts) > 1:
        where = "--creds-stdin" if creds_stdin else USER
        raise misused(f"{where} is for one registry, and this goes to {', '.join(hosts)}")
    given = {host: login for host in hosts if login is not None}
    logins = Logins(settings.environ, given=given)
    proxied = any(value and name.lower() in _PROXIES for name, value in settings.environ.items())
    access = Access(logins=logins, insecure=request.insecure, ca_file=request.ca_file, proxied=proxied)
    registries = Registries(access)
    if context := click.get_current_context(silent=True):
        context.call_on_close(registries.close)
    return registries


def base_references(recipe: ImageToml) -> list[Reference]:
    """The image that a recipe stands on, if it is one of a registry, else those that it copies out of.

    A login of this run's own is for their registry. Raises InvalidValue.
    """
    from oci_builder.catalog import read_reference

    found = read_reference(recipe.base)
    others = [read_reference(copy.image) for copy in recipe.copy if copy.image is not None]
    return [found] if found else [each for each in others if each is not None]


def told(pushed: Pushed) -> str:
    """What became of one name, in one line."""
    from oci_builder.cli.progress import human_bytes

    name = f"{pushed.reference}@{pushed.digest}"
    if pushed.was_there:
        return f"{name}: was there"
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted((pushed.blobs or {}).items()))
    return f"{name}: {human_bytes(pushed.sent)} sent{f' (blobs: {counts})' if counts else ''}"


def as_document(pushed: Pushed) -> dict[str, Any]:
    """The same for a program; ``sent`` is in bytes."""
    return {
        "reference": str(pushed.reference),
        "digest": str(pushed.digest),
        "sent": pushed.sent,
        "blobs": dict(pushed.blobs or {}),
    }


def _line_of_stdin() -> str:
    try:
        return sys.stdin.readline(_LINE) if sys.stdin else ""
    except (OSError, ValueError):
        return ""  # it is closed, or holds no text


def _login(settings: Settings, *, creds_stdin: bool) -> Login | None:
    from oci_builder.registry.auth import Login

    if creds_stdin:
        name, colon, password = _line_of_stdin().rstrip("\r\n").partition(":")
        if not (name and colon and password):
            raise misused("--creds-stdin: expected one line, USER:PASSWORD")
        return Login(name, password, source="--creds-stdin", is_given=True)
    name, password = settings.environ.get(USER, ""), settings.environ.get(PASSWORD, "")
    if bool(name) != bool(password):
        raise misused(f"{USER} and {PASSWORD} go together, and one of them is not set")
    return Login(name, password, source=f"{USER} and {PASSWORD}", is_given=True) if name else None
