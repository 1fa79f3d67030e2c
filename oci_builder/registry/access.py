"""How registries are spoken to: a value made once from flags and environment."""

from __future__ import annotations

import ipaddress
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from oci_builder.registry.auth import Logins

_WEEK = 7 * 86_400.0
"""Seconds; a size that somebody made up must not be more than clocks can count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long to wait, in seconds. ``total`` with all attempts and waits; a large blob adds its size / ``slowest``.

    ``silence`` is how long a registry may say nothing at all; ``slowest`` is in bytes per second. ``sleep`` and
    ``clock`` (monotonic) are what waiting and time mean.
    """

    silence: float = 60.0
    total: float = 300.0
    slowest: float = 16_000.0
    attempts: int = 6
    first_wait: float = 0.5
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def deadline(self, size: int = 0) -> Deadline:
        """The end of the time that something which moves ``size`` bytes has from now on."""
        seconds = min(self.total + size / self.slowest, _WEEK)
        return Deadline(self.clock() + seconds, seconds, self.clock)


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the monotonic clock, ``seconds`` after it was set."""

    moment: float
    seconds: float
    clock: Callable[[], float]

    @property
    def left(self) -> float:
        """Seconds until then; negative when it has passed."""
        return self.moment - self.clock()


@dataclass(frozen=True, kw_only=True)
class Access:
    """``insecure`` allows plain http and unknown certificates anywhere; ``ca_file`` is trusted besides the system's.

    ``proxied`` says that the environment names a proxy.
    """

    logins: Logins
    insecure: bool = False
    ca_file: Path | None = None
    proxied: bool = False
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)


def schemes_of(registry: str, access: Access) -> tuple[str, ...]:
    """Over what a registry may be spoken to, the likelier first: https, and plain http where that is allowed."""
    loopback = is_loopback(registry)
    if not (loopback or access.insecure):
        return ("https",)
    # A plain server may wait for ever for the end of what https says first: on loopback, where plain is usual, it is
    # asked first; elsewhere, and where certificates were named, the encrypted one is.
    return ("http", "https") if loopback and access.ca_file is None else ("https", "http")


def is_loopback(registry: str) -> bool:
    """Whether a host, perhaps with a port, is this machine."""
    host = urllib.parse.urlsplit(f"//{registry}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
