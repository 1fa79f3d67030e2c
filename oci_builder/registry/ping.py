"""Whether a registry is spoken to over https or plain http."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from oci_builder.errors import RegistryError
from oci_builder.registry.access import Access, Deadline, schemes_of
from oci_builder.registry.client import Client
from oci_builder.registry.network import TransientError


def connect(registry: str, access: Access) -> Client:
    """A client for ``registry``: https, unless it is on loopback or ``access`` is insecure, and answers plain http.

    Raises RegistryError.
    """
    schemes = schemes_of(registry, access)
    if len(schemes) == 1:
        return Client(registry, schemes[0], access)
    deadline = access.retry_policy.deadline()
    first = Client(registry, schemes[0], access)
    second = functools.cache(lambda: Client(registry, schemes[1], access))
    return first.retry(lambda: _first_that_answers([lambda: first, second], deadline), deadline)


def _first_that_answers(clients: Sequence[Callable[[], Client]], deadline: Deadline) -> Client:
    failures: list[RegistryError] = []
    for client in clients:
        try:
            if client().ping(deadline):
                return client()
            client().close()
        except TransientError as error:
            failures.append(error)
    raise failures[0] if failures else RegistryError("GET", clients[0]().origin, "what answers there is no registry")
