"""The machine an image runs on (OCI image-index, platform object)."""

from __future__ import annotations

from dataclasses import dataclass

from oci_builder.errors import InvalidValue

_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system and a CPU, in Go's words: ``linux/amd64``, ``linux/arm64/v8``."""

    architecture: str
    variant: str = ""
    os: str = "linux"

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read ``os/architecture[/variant]``, or an architecture alone. Raises InvalidValue."""
        parts = text.strip().lower().split("/")
        if len(parts) == 1:
            parts = ["linux", *parts]
        os, architecture = parts[0], _ALIASES.get(parts[1], parts[1])
        if len(parts) > 3 or os != "linux" or architecture not in _MACHINES:
            raise InvalidValue("platform", text, "expected linux/amd64 or linux/arm64")
        # The field writes no variant for amd64 and v8 for arm64, and compares them as text.
        variant = "v8" if architecture == "arm64" else ""
        if len(parts) == 3 and parts[2] != variant:
            raise InvalidValue("platform", text, f"no variant {parts[2]!r} is built for {architecture}")
        return cls(architecture=architecture, variant=variant, os=os)

    @property
    def machine(self) -> str:
        """What ``uname -m`` and wheel tags call this CPU: ``x86_64``, ``aarch64``."""
        return _MACHINES[self.architecture]

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


AMD64 = Platform("amd64")
ARM64 = Platform("arm64", "v8")
