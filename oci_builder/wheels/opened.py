"""Wheels as what installing them makes. Nothing is kept: what one holds, a hundred would hold together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from oci_builder.tree.content import Sources
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.install import Installed, install
from oci_builder.wheels.layering import Wheel
from oci_builder.wheels.target import Target


class Opened:
    """Opens wheels for ``target``. ``fetch`` gets the files of those that are not here."""

    def __init__(self, target: Target, *, fetch: Callable[[Sequence[Wheel]], None] | None = None) -> None:
        self.target, self._fetch = target, fetch

    def have(self, wheels: Iterable[Wheel]) -> None:
        """The files of ``wheels`` are here; those that are not are fetched. Raises what fetching raises."""
        missing = [wheel for wheel in wheels if not wheel.path.is_file()]
        if missing and self._fetch is not None:
            self._fetch(missing)

    def installed(self, wheel: Wheel, sources: Sources) -> Installed:
        """What installing ``wheel``, which is here, makes; ``sources`` have it mapped then.

        Raises WheelError, UnsafePath.
        """
        pin = wheel.pin
        archive = open_wheel(wheel.path, pin.filename, sources=sources)
        return install(archive, self.target, requested=pin.requested, direct_url=pin.direct_url)
