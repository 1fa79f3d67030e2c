"""Which signed indexes are believed: by whose keys, at what time, and none older than one that was believed before.

An old signature stays good for ever, so whoever sits between us and the archive can bring back what was repaired since.
What there is to notice it by is a lock, and the store, which remembers the newest date of each suite it has seen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_builder.bounded import parse_decimal
from oci_builder.debian.lock import SuitePin, moment
from oci_builder.debian.recipe import Suite
from oci_builder.debian.signed import Release, verify_release
from oci_builder.debian.sources import ArchiveSource
from oci_builder.digest import Digest
from oci_builder.errors import ArchiveIndexError
from oci_builder.files import explained, open_regular
from oci_builder.oci.jsonio import encode
from oci_builder.store import Store

_SEEN = "seen-index"
"""The kind of records that hold the newest date of a suite, in seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What decides whether an index holds. ``now`` is in seconds since 1970; ``suites`` are those of locks."""

    keys: Sequence[Path]
    now: int
    suites: Sequence[SuitePin] = ()
    store: Store | None = None

    def release(self, source: ArchiveSource, suite: Suite) -> Release:
        """The index of ``suite`` that ``source`` has. Raises what it raises; ArchiveIndexError for one not believed."""
        release = verify_release(source.inrelease(suite), suite, keys=self.keys, now=self.now)
        for date, whose in (
            (self._locked(suite), "the lock's own index"),
            (self._seen(suite), "one seen before"),
        ):
            if release.date < date:
                why = f"signed {moment(release.date):%Y-%m-%d %H:%M}, before {whose}, of {moment(date):%Y-%m-%d %H:%M}"
                raise ArchiveIndexError(str(suite), why, hint="the mirror is behind; take another one")
        return release

    def remember(self, releases: Iterable[Release]) -> None:
        """From now on nothing older than ``releases`` is believed: what they list was had, and held."""
        for release in releases:
            if self.store is not None and release.date > self._seen(release.suite):
                self.store.put_record(_SEEN, self._key(release.suite), b"%d" % release.date)

    def _locked(self, suite: Suite) -> int:
        dates = (int(pin.date.timestamp()) for pin in self.suites if Suite(pin.archive, pin.suite) == suite)
        return max(dates, default=0)

    def _seen(self, suite: Suite) -> int:
        data = None if self.store is None else self.store.record(_SEEN, self._key(suite))
        with contextlib.suppress(ValueError):
            return parse_decimal((data or b"").decode("ascii", "replace"))
        return 0

    def _key(self, suite: Suite) -> str:
        # Another vendor's suite may have the same name; it has not the same keys.
        return Digest.of(encode([str(suite), *sorted(_content(key) for key in self.keys)])).hex


def _content(key: Path) -> str:
    with explained(key), open_regular(key) as stream:
        return Digest.of(stream.read()).hex
