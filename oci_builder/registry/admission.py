"""Whether a registry would take an image, asked before there is one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, RegistryError
from oci_builder.oci.jsonio import MAX_DOCUMENT
from oci_builder.reference import Reference
from oci_builder.registry.access import Deadline
from oci_builder.registry.auth import HUB
from oci_builder.registry.registries import Registries
from oci_builder.registry.request import Request

if TYPE_CHECKING:
    from oci_builder.registry.client import Client

_NOTHING = Digest.of(b"")


def check_push(reference: Reference, registries: Registries) -> None:
    """See that ``reference`` can be pushed to, by beginning an upload of nothing, which is given up again.

    Raises what pushing would raise: RegistryError where nobody answers or we may not, InvalidValue for a digest.
    """
    if reference.digest is not None:
        raise InvalidValue("name to push to", str(reference), "it needs a tag, and no digest")
    # Loaded where there is a registry to ask: it takes long.
    from oci_builder.registry.network import redirected

    client = registries.of(reference)
    scopes = frozenset({f"repository:{reference.repository}:pull,push"})
    deadline = client.access.retry_policy.deadline()

    def ask(method: str, url: str, *accept: int) -> str:
        request = Request(method=method, url=url, scopes=scopes, accept=accept)
        answer = client.once(request, deadline)
        client.read(answer, MAX_DOCUMENT, deadline)
        return redirected(url, answer) if "Location" in answer.headers else ""

    try:
        session = _begun(client, reference, ask, deadline)
    except RegistryError as error:
        hint = error.hint or ""
        if reference.registry == HUB:
            hint += f"{'; ' if hint else ''}a name without a registry's host means {HUB}: HOST/{reference.repository}"
        what = "asked whether one may push to"
        raise RegistryError(
            what, str(reference), error.why, status=error.status, codes=error.codes, hint=hint or None
        ) from error
    # A registry forgets it by itself; some cannot be told.
    if session:
        with contextlib.suppress(RegistryError):
            ask("DELETE", session, 200, 202, 204, 404, 405)


def _begun(client: Client, reference: Reference, ask: Callable[..., str], deadline: Deadline) -> str:
    """Where an upload of nothing was begun. Raises RegistryError."""
    client.retry(lambda: ask("HEAD", client.address(reference, f"blobs/{_NOTHING}"), 200, 404), deadline)
    return client.retry(lambda: ask("POST", client.address(reference, "uploads"), 201, 202), deadline)
