"""The interpreter that will run in the image: what a base promises, never what this host has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.tags import Tag, compatible_tags, cpython_tags

from oci_builder.platforms import Platform

_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST = {"x86_64": 5, "aarch64": 17}
"""The oldest glibc 2.x that manylinux wheels of a machine are made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonEnvironment:
    """What a base says of its Python; paths are absolute. ``version`` is full ("3.11.2"): Requires-Python asks.

    Of ``glibc`` and ``musl`` one is the version of its C library, and the other is (0, 0).
    """

    version: str
    interpreter: str
    prefix: str
    purelib: str
    scripts: str
    glibc: tuple[int, int]
    musl: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The interpreter that will run in the image: what a base promises of it, on a platform."""

    platform: Platform
    promise: PythonEnvironment

    @property
    def minor(self) -> tuple[int, int]:
        """``(3, 11)``."""
        major, minor = self.promise.version.split(".")[:2]
        return int(major), int(minor)

    @property
    def abi(self) -> str:
        """The ABI tag, ``cp311``."""
        return f"cp{self.minor[0]}{self.minor[1]}"

    def platform_tags(self) -> list[str]:
        """Platform tags, newest first: ``manylinux_2_36_x86_64`` down to the oldest, with the old aliases (PEP 600).

        On musl ``musllinux_1_2_x86_64`` and the like (PEP 656).
        """
        machine, (major, newest) = self.platform.machine, self.promise.glibc
        musl_major, musl_newest = self.promise.musl
        if musl_major:
            older = [f"musllinux_{musl_major}_{minor}_{machine}" for minor in range(musl_newest, -1, -1)]
            return [*older, f"linux_{machine}"]
        out: list[str] = []
        for minor in range(newest, _OLDEST[machine] - 1, -1):
            out.append(f"manylinux_{major}_{minor}_{machine}")
            if minor in _ALIASES:
                out.append(f"{_ALIASES[minor]}_{machine}")
        return [*out, f"linux_{machine}"]

    def tags(self) -> list[Tag]:
        """Wheel tags that run here, best first (PEP 425)."""
        platforms = self.platform_tags()
        return [*cpython_tags(self.minor, [self.abi], platforms), *compatible_tags(self.minor, self.abi, platforms)]

    def markers(self) -> Mapping[str, str]:
        """The marker environment (PEP 508) a pip inside the image would see; kernel release and version are empty."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.promise.version,
            "os_name": "posix",
            "platform_machine": self.platform.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.promise.version,
            "python_version": f"{self.minor[0]}.{self.minor[1]}",
            "sys_platform": "linux",
        }

    def schemes(self, distribution: str) -> Mapping[str, str]:
        """Where each kind of a wheel's files goes, as absolute paths (sysconfig's posix_prefix, as pip fills it)."""
        promise = self.promise
        python = f"python{self.minor[0]}.{self.minor[1]}"
        return {
            "purelib": promise.purelib,
            "platlib": promise.purelib,
            "scripts": promise.scripts,
            "headers": f"{promise.prefix}/include/{python}/{distribution}",
            "data": promise.prefix,
        }

    def __str__(self) -> str:
        name, version = ("musl", self.promise.musl) if self.promise.musl[0] else ("glibc", self.promise.glibc)
        return f"Python {self.promise.version}, {name} {'.'.join(map(str, version))}, {self.platform}"
