"""The registries of one run: a client for each, made when it is first needed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from oci_builder.reference import Reference
from oci_builder.registry.access import Access

if TYPE_CHECKING:
    from oci_builder.registry.client import Client


class Registries:
    """The registries of one run, each met when it is first needed; threads may share it."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()

    def of(self, reference: Reference) -> Client:
        """The client for the registry of ``reference``. Raises RegistryError where nobody answers."""
        # The client takes two seconds to load, and most builds speak to no registry.
        from oci_builder.registry.ping import connect

        with self._lock:
            if reference.registry not in self._clients:
                self._clients[reference.registry] = connect(reference.registry, self.access)
            return self._clients[reference.registry]

    def close(self) -> None:
        """Close all connections; the next request opens new ones."""
        with self._lock:
            for client in self._clients.values():
                client.close()
