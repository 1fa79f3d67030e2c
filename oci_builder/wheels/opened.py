"""Wheels as what installing them makes, each opened once in a build however many ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from oci_builder.tree.content import Sources
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.install import Installed, install
from oci_builder.wheels.layering import Wheel
from oci_builder.wheels.target import Target


class Opened:
    """The wheels that were opened for ``target`` so far. ``fetch`` gets the files of those that are not here.

    Processes forked from this one have them too, without a byte being sent.
    """

    def __init__(self, target: Target, *, fetch: Callable[[Sequence[Wheel]], None] | None = None) -> None:
        self.target, self._fetch = target, fetch
        self._installed: dict[Wheel, Installed] = {}

    def have(self, wheels: Iterable[Wheel]) -> None:
        """The files of ``wheels`` are here; those that are not are fetched. Raises what fetching raises."""
        missing = [wheel for wheel in wheels if not wheel.path.is_file()]
        if missing and self._fetch is not None:
            self._fetch(missing)

    def installed(self, wheel: Wheel) -> Installed:
        """What installing ``wheel`` makes. Raises WheelError, UnsafePath."""
        known = self._installed.get(wheel)
        if known is None:
            self.have([wheel])
            pin = wheel.pin
            with Sources() as sources:
                archive = open_wheel(wheel.path, pin.filename, sources=sources)
                known = install(archive, self.target, requested=pin.requested, direct_url=pin.direct_url)
            self._installed[wheel] = known
        return known

    def taken(self, wheel: Wheel) -> Installed:
        """The same, and forgotten: whoever asks last need not keep it in memory for the others."""
        known = self.installed(wheel)
        self.forget(wheel)
        return known

    def forget(self, wheel: Wheel) -> None:
        """Nobody will ask for it again."""
        self._installed.pop(wheel, None)
