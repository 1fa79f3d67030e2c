"""Whether a registry is spoken to over https or plain http."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Sequence

from oci_builder.errors import RegistryError
from oci_builder.registry.access import Access, Deadline
from oci_builder.registry.client import Client
from oci_builder.registry.network import Passing


def meet(registry: str, access: Access) -> Client:
    """A client for ``registry``: https, unless it is on loopback or ``access`` is insecure, and answers plain http.

    Raises RegistryError.
    """
    clients = [Client(registry, scheme, access) for scheme in _schemes(registry, access)]
    if len(clients) == 1:
        return clients[0]
    deadline = access.patience.deadline()
    return clients[0].again(lambda: _first_that_answers(clients, deadline), deadline)


def _first_that_answers(clients: Sequence[Client], deadline: Deadline) -> Client:
    failures: list[RegistryError] = []
    for client in clients:
        try:
            if client.answers(deadline):
                return client
        except Passing as error:
            failures.append(error)
    raise failures[0] if failures else RegistryError("GET", clients[0].origin, "what answers there is no registry")


def _schemes(registry: str, access: Access) -> tuple[str, ...]:
    loopback = _is_loopback(registry)
    if not (loopback or access.insecure):
        return ("https",)
    # A plain server may wait for ever for the end of what https says first: on loopback, where plain is usual, it is
    # asked first; elsewhere, and where certificates were named, the encrypted one is.
    return ("http", "https") if loopback and access.ca_file is None else ("https", "http")


def _is_loopback(registry: str) -> bool:
    host = urllib.parse.urlsplit(f"//{registry}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
