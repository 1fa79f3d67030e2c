"""What is asked of a registry, as a value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Body(Protocol):
    """What is sent: read once from its beginning; a retry asks for a new one."""

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""

    def __len__(self) -> int:
        """All of them."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: ``accept`` are the statuses that answer it, ``body`` makes what is sent, ``scopes`` the rights."""

    method: str
    url: str
    scopes: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Body] | bytes | None = None
    accept: Collection[int] = (200,)
