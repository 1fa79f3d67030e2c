"""What goes wrong below HTTP, as errors of a registry."""

from __future__ import annotations

from oci_builder import connections
from oci_builder.connections import Answer, Breakage
from oci_builder.errors import RegistryError
from oci_builder.redaction import redacted
from oci_builder.retry import Transient


class TransientError(Transient, RegistryError):
    """A failure that may be over in a while."""


def failure(method: str, url: str, error: Exception) -> RegistryError:
    """One of BROKEN as ours: TransientError unless it will be the same the next time."""
    return _ours(method, url, connections.breakage_of(error))


def promised_length(answer: Answer) -> int | None:
    """How many bytes an answer says it has, if it says so. Raises RegistryError for what is no such number."""
    try:
        return connections.content_length(answer)
    except Breakage as found:
        raise _ours(answer.request.method or "", answer.url, found) from found


def redirected(url: str, answer: Answer) -> str:
    """Where ``answer`` leads from ``url``. Raises RegistryError where that is no longer encrypted, or no address."""
    try:
        return connections.redirected(url, answer)
    except Breakage as found:
        raise _ours(answer.request.method or "", url, found) from found


def _ours(method: str, url: str, found: Breakage) -> RegistryError:
    kind = TransientError if found.may_pass else RegistryError
    return kind(method, redacted(url), found.why, hint=found.hint)
