"""The values inside OCI documents: what a blob is, and how a container is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from oci_builder.digest import Digest
from oci_builder.oci.jsonio import JSON

_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a blob is, how long (bytes), and its digest (descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> JSON:
        """The descriptor as the specification spells it; empty fields are left out."""
        out: JSON = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.annotations:
            out["annotations"] = dict(self.annotations)
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """How docker asks whether a container is well; durations are nanoseconds (docker's own extension of the config)."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0

    def to_json(self) -> JSON:
        """The ``Healthcheck`` object; zero means the engine's default and is left out."""
        fields = {
            "Interval": self.interval,
            "Timeout": self.timeout,
            "StartPeriod": self.start_period,
            "Retries": self.retries,
        }
        return {"Test": list(self.test), **{name: value for name, value in fields.items() if value}}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What the runtime does when nobody says otherwise (config.md, ``config``)."""

    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None

    def to_json(self) -> JSON:
        """The ``config`` object. What is empty is left out: containerd and docker disagree about null."""
        fields: JSON = {
            "User": self.user,
            "Env": [f"{name}={self.env[name]}" for name in sorted(self.env)],
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.cmd),
            "WorkingDir": self.workdir,
            "Labels": dict(self.labels),
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Volumes": {path: {} for path in self.volumes},
            "StopSignal": self.stop_signal,
            "Healthcheck": self.healthcheck.to_json() if self.healthcheck else None,
        }
        return {name: value for name, value in fields.items() if value}


def rfc3339(moment: int) -> str:
    """Seconds since 1970 as ``2026-11-01T00:00:00Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_rfc3339(text: object) -> int | None:
    """The seconds since 1970 of a time that a document says, fractions left out; None where that is no time.

    Not ``datetime.fromisoformat``: it takes more than the specification, and every Python something else.
    """
    found = _RFC3339.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    away = timedelta(hours=int(found[8] or 0), minutes=int(found[9] or 0))
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    try:
        zone = timezone(-away if found[7] == "-" else away)
        # No clock here knows a leap second: it is the first of the next minute.
        moment = datetime(year, month, day, hour, minute, second if second != 60 else 59, tzinfo=zone)
        seconds = int(moment.timestamp()) + (second == 60)
        datetime.fromtimestamp(seconds, UTC)  # its zone may take it out of the years there are
    except (ValueError, OverflowError):
        return None
    return seconds
