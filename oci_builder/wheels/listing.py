"""What each wheel puts where, remembered: it is asked for more often than wheels have to be opened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from oci_builder.errors import CacheEmptied
from oci_builder.layer import LayerKey
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, known_sha256
from oci_builder.wheels.install import RULES
from oci_builder.wheels.installed_wheels import InstalledWheels
from oci_builder.wheels.layering import Wheel
from oci_builder.workers import in_workers

RECORDS = "claims"
"""The kind of the records in a store."""


_PIECE = 1000
"""Claims that are written at once."""


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file that a wheel puts at ``path``: ``sha256`` is in hex, or empty where nobody promised it."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The claims of wheels, one wheel's at a time in memory. What nobody knows is found out in ``jobs`` processes."""

    opened: InstalledWheels
    store: Store
    jobs: int = 1
    _found: set[Wheel] = field(default_factory=set, init=False, repr=False, compare=False)

    def have(self, wheels: Sequence[Wheel]) -> None:
        """Find out what is not known of ``wheels``. Raises WheelError, UnsafePath, and what fetching raises."""
        self.store.expect(RECORDS, [self._key(wheel) for wheel in wheels if wheel not in self._found])
        unknown = [wheel for wheel in wheels if wheel not in self._found and self._known(wheel) is None]
        self._found.update(wheels)
        self.opened.have(unknown)
        if not unknown:
            return
        with self.store.scratch() as begun:
            act = partial(self._worker, self.store.beginning_in(begun))
            # Not here: what opening a wheel takes, a process hardly gives back.
            done = in_workers(unknown, act, count=self.jobs, label=lambda wheel: f"the contents of {wheel.label}")
            with contextlib.closing(done):
                for _ in done:
                    pass

    def knows(self, wheel: Wheel) -> bool:
        """Whether the claims of ``wheel`` can be told without it."""
        return self._known(wheel) is not None

    def claims(self, wheel: Wheel) -> list[Claim]:
        """All files of ``wheel``. Raises CacheEmptied, and as ``have``."""
        known = self._known(wheel)
        if known is None:
            self._found.discard(wheel)
            self.have([wheel])
            known = self._known(wheel)
        if known is None:
            raise CacheEmptied(f"the contents of {wheel.label}")
        return known

    def _known(self, wheel: Wheel) -> list[Claim] | None:
        key = self._key(wheel)
        data = self.store.record(RECORDS, key)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=list[Claim])
        except msgspec.MsgspecError:
            self.store.drop_record(RECORDS, key)
            return None

    @contextlib.contextmanager
    def _worker(self, store: Store) -> Iterator[Callable[[Wheel], None]]:
        yield partial(self._find_out, store)

    def _find_out(self, store: Store, wheel: Wheel) -> None:
        with MappedFiles() as sources:
            installed = self.opened.installed(wheel, sources)
        store.put_record(RECORDS, self._key(wheel), _written(installed.entries))

    def _key(self, wheel: Wheel) -> str:
        schemes = dict(sorted(self.opened.target.schemes(wheel.pin.name).items()))
        digests = {"digests": "found"} if wheel.unverified else {}
        wheel_digest = str(wheel.pin.sha256)
        return LayerKey.of(kind=RECORDS, wheel=wheel_digest, schemes=schemes, sizes=True, rules=RULES, **digests).hex


def _written(entries: Sequence[Entry]) -> Iterator[bytes]:
    """The claims as JSON, piece by piece."""
    yield b"["
    for start in range(0, len(entries), _PIECE):
        claims = [Claim(entry.path, known_sha256(entry), entry.size) for entry in entries[start : start + _PIECE]]
        yield (b"," if start else b"") + msgspec.json.encode(claims)[1:-1]
    yield b"]"
