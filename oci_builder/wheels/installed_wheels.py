"""Wheels as what installing them makes. Nothing is kept: what one holds, a hundred would hold together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from oci_builder import inputs
from oci_builder.errors import WheelError
from oci_builder.tree.content import MappedFiles
from oci_builder.wheels.archive import WheelArchive, open_wheel, with_digests
from oci_builder.wheels.install import Installed, install
from oci_builder.wheels.layering import Wheel
from oci_builder.wheels.target import Target

MOST_UNPACKED = 100 * 10**9
"""Bytes that a wheel, or an image, unpacks to, unless its recipe allows others."""

_TIMES, _ALWAYS = 1000, 64 << 20
"""How often its own size a wheel unpacks to, and the bytes that every wheel may have. Deflate could do 1032 times."""


def archive_of(wheel: Wheel, sources: MappedFiles | None = None) -> WheelArchive:
    """``wheel``, which is here, with its members. Raises WheelError, UnsafePath."""
    return open_wheel(wheel.path, wheel.pin.filename, sources=sources, unverified=wheel.unverified)


def _sent(target: Target, most: int) -> InstalledWheels:
    return InstalledWheels(target, most=most)


class InstalledWheels:
    """Opens wheels for ``target``. ``fetch`` gets the files of those that are not here.

    None may unpack to more than ``most`` bytes; 0 stands for the limits that nobody honest meets.
    """

    def __init__(
        self, target: Target, *, fetch: Callable[[Sequence[Wheel]], None] | None = None, most: int = 0
    ) -> None:
        self.target, self._fetch, self._most = target, fetch, most

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process opens what is here; fetching is for whoever shares out the work.
        return (_sent, (self.target, self._most))

    def have(self, wheels: Iterable[Wheel]) -> None:
        """The files of ``wheels`` are here; those that are not are fetched. Raises what fetching raises."""
        missing = [wheel for wheel in wheels if not inputs.is_file(wheel.path)]
        if missing and self._fetch is not None:
            self._fetch(missing)

    def installed(self, wheel: Wheel, sources: MappedFiles) -> Installed:
        """What installing ``wheel``, which is here, makes; ``sources`` have it mapped then.

        Raises WheelError, UnsafePath.
        """
        pin = wheel.pin
        archive = archive_of(wheel, sources)
        self._check(archive, inputs.size_of(wheel.path))
        if wheel.unverified:
            archive = with_digests(archive)
        return install(archive, self.target, requested=pin.requested, direct_url=pin.direct_url)

    def _check(self, archive: WheelArchive, size: int) -> None:
        """Its files are not too large together; whoever reads them holds them to the sizes that are added up here."""
        most = self._most or min(MOST_UNPACKED, max(_TIMES * size, _ALWAYS))
        if archive.unpacked > most:
            why = f"its {size} bytes unpack to {archive.unpacked}, and {most} are allowed"
            raise WheelError(archive.filename, why, hint='if that is right, set max-unpacked = "..." in image.toml')
