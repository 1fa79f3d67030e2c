"""Where indexes and packages come from. Nothing is believed for where it came from: whoever asks verifies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from oci_builder import inputs
from oci_builder.debian.lock import Pin
from oci_builder.debian.recipe import Suite
from oci_builder.debian.signed import (
    MAX_RELEASE,
    Release,
    contents_path,
    index_path,
    unpack_contents,
    unpack_index,
)
from oci_builder.digest import Digest
from oci_builder.errors import CorruptBlob, DigestMismatch, OcibuildError, PackageUnavailable, TransportError
from oci_builder.redaction import redacted
from oci_builder.reporter import Reporter
from oci_builder.store import Store

if TYPE_CHECKING:
    from oci_builder.transport import Transport


class ArchiveSource(Protocol):
    """A place that has Debian's archives, or part of them."""

    @property
    def name(self) -> str:
        """What messages call it; no credentials."""

    def inrelease(self, suite: Suite) -> bytes:
        """The clear-signed index of ``suite``, unverified. Raises OcibuildError."""

    def packages_index(self, release: Release, architecture: str) -> bytes:
        """The unpacked list of packages that ``release`` vouches for, verified. Raises OcibuildError."""

    def contents(self, release: Release, architecture: str) -> bytes:
        """The list of all files in the suite's packages, verified, unpacked. Raises OcibuildError."""

    def fetch(self, pins: Sequence[Pin], store: Store) -> Mapping[Pin, str]:
        """Put the packages into ``store``, each checked; return why for those it could not get."""


def way_to_packages(minor: str = "", *, image: str = "NAME") -> str:
    """The hint where no source has Debian's packages: for a base with Python ``minor``, there is one without them.

    ``image`` is how a command line calls the image that is built.
    """
    other = f"\nor take a base that needs none: --base docker.io/library/python:{minor}-slim" if minor else ""
    return (
        "name a mirror of Debian's archives: any Debian machine has its address in /etc/apt/sources.list or a file in "
        "/etc/apt/sources.list.d/, as http://…/debian. Give it with --mirror, in OCIBUILD_DEBIAN_MIRROR, or once for "
        f'all in ~/.config/ocibuild.toml, as mirror = "http://…/debian"{other}'
        f"\nor, for a machine without network: ocibuild download {image}, elsewhere, fills debs/ beside image.toml"
    )


def fetch_packages(pins: Sequence[Pin], sources: Sequence[ArchiveSource], *, store: Store, reporter: Reporter) -> None:
    """All of ``pins`` are in ``store``, whole, taken from the first of ``sources`` that has them.

    Raises PackageUnavailable, with what each source said of the first one missing.
    """
    missing = [pin for pin in pins if not _present(pin, store)]
    tried: dict[Pin, list[str]] = {pin: [] for pin in missing}
    for source in sources:
        if not missing:
            break
        failed = source.fetch(missing, store)
        for pin, why in failed.items():
            tried[pin].append(f"{source.name}: {why}")
        missing = [pin for pin in missing if pin in failed]
        reporter.advance(source.name, len(pins) - len(missing), len(pins))
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise PackageUnavailable(f"{missing[0]}{others}", tried=tried[missing[0]] or ["no source to take it from"])


def _present(pin: Pin, store: Store) -> bool:
    if not store.has(pin.digest, pin.size):
        return False
    try:
        for _ in store.chunks(pin.digest, pin.size):
            pass
    except CorruptBlob:
        return False
    return True


def keep_deb(data: bytes, pin: Pin, store: Store) -> None:
    """Put a package's bytes into ``store``. Raises DigestMismatch when they are not the locked ones."""
    if len(data) != pin.size:
        raise DigestMismatch(str(pin), expected=f"{pin.size} bytes", actual=f"{len(data)}")
    if Digest.of(data) != pin.digest:
        raise DigestMismatch(str(pin), expected=str(pin.digest), actual=str(Digest.of(data)))
    store.put_bytes(data)


class DebFolder:
    """A folder of .deb files, whatever they are called."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = str(folder)

    def inrelease(self, suite: Suite) -> bytes:
        """Never: a folder of packages has no index. Raises PackageUnavailable."""
        raise PackageUnavailable(f"the index of {suite}", tried=[f"{self.name}: only packages there"])

    def packages_index(self, release: Release, architecture: str) -> bytes:
        """This source has no index. Raises PackageUnavailable."""
        raise PackageUnavailable(f"the index of {release.suite}", tried=[f"{self.name}: only packages there"])

    def contents(self, release: Release, architecture: str) -> bytes:
        """This source has no index. Raises PackageUnavailable."""
        raise PackageUnavailable(f"the contents of {release.suite}", tried=[f"{self.name}: only packages there"])

    def fetch(self, pins: Sequence[Pin], store: Store) -> Mapping[Pin, str]:
        """Take the packages by size and digest."""
        return dict(self._take(pins, store))

    def _take(self, pins: Sequence[Pin], store: Store) -> Iterator[tuple[Pin, str]]:
        by_size: dict[int, list[Path]] = {}
        for path in inputs.matching(self._folder, "*.deb"):
            with contextlib.suppress(OSError):
                by_size.setdefault(inputs.size_of(path), []).append(path)
        for pin in pins:
            if not any(self._is(path, pin, store) for path in by_size.get(pin.size, ())):
                yield pin, self._why_not(pin)

    def _why_not(self, pin: Pin) -> str:
        named = [path.name for path in inputs.matching(self._folder, f"{pin.name}_*.deb")]
        fitting = [name for name in named if name.endswith((f"_{pin.architecture}.deb", "_all.deb"))]
        if named and not fitting:
            return f"{named[0]} is of another architecture than {pin.architecture}"
        named = fitting
        return f"{named[0]} is damaged or another version: not the locked bytes" if named else "no such file there"

    def _is(self, path: Path, pin: Pin, store: Store) -> bool:
        try:
            store.put_file(path, digest=pin.digest, size=pin.size, what=path.name)
        except DigestMismatch:
            return False
        return True


class Mirror:
    """A mirror of Debian's archives over http: the folder that holds ``debian`` and ``debian-security``.

    The address of one of these two is understood as well.
    """

    def __init__(self, url: str, archives: Sequence[str], *, transport: Transport | None = None) -> None:
        base = url.rstrip("/")
        last = base.rpartition("/")[2]
        self._base = base.removesuffix(f"/{last}") if last in archives else base
        # Loaded where something is downloaded: a build from the cache needs no HTTP, which is long in loading.
        from oci_builder.transport import Transport

        self._transport = transport or Transport()
        self.name = redacted(self._base)
        self._silence: TransportError | None = None

    def inrelease(self, suite: Suite) -> bytes:
        """The InRelease file. Raises TransportError; at once if nobody answered when packages were asked for."""
        if self._silence is not None:
            raise self._silence
        return self._transport.fetch(f"{self._suite(suite)}/InRelease", limit=MAX_RELEASE)

    def packages_index(self, release: Release, architecture: str) -> bytes:
        """Packages.xz, by its digest where the suite offers that: so it cannot change between two requests.

        Raises TransportError, ArchiveIndexError.
        """
        path = index_path(architecture)
        size, digest = release.listed(f"{path}.xz")
        folder = f"{self._suite(release.suite)}/{path.rpartition('/')[0]}"
        if release.by_hash:
            try:
                packed = self._transport.fetch(f"{folder}/by-hash/SHA256/{digest.hex}", limit=size)
                return unpack_index(packed, release, path)
            except TransportError as error:
                # A mirror may be a plain copy of pool and dists, without by-hash.
                if error.status not in (403, 404):
                    raise
        return unpack_index(self._transport.fetch(f"{folder}/Packages.xz", limit=size), release, path)

    def contents(self, release: Release, architecture: str) -> bytes:
        """Contents-ARCHITECTURE.gz. Raises TransportError, ArchiveIndexError."""
        path = contents_path(architecture)
        size, _ = release.listed(f"{path}.gz")
        url = f"{self._suite(release.suite)}/{path}.gz"
        return unpack_contents(self._transport.fetch(url, limit=size), release, path)

    def fetch(self, pins: Sequence[Pin], store: Store) -> Mapping[Pin, str]:
        """Download the packages, one after the other."""
        failed: dict[Pin, str] = {}
        for pin in pins:
            try:
                url = f"{self._base}/{pin.archive}/{quote(pin.path, safe='/~+')}"
                keep_deb(self._transport.fetch(url, limit=pin.size), pin, store)
            except (TransportError, DigestMismatch) as error:
                failed[pin] = error.why if isinstance(error, TransportError) else str(error)
                if isinstance(error, TransportError) and error.status is None:
                    # Nobody answers: the others would only wait as long.
                    self._silence = error
                    return {**failed, **dict.fromkeys(pins[pins.index(pin) :], error.why)}
        return failed

    def _suite(self, suite: Suite) -> str:
        return f"{self._base}/{suite.archive}/dists/{suite.name}"


def reason(error: OcibuildError) -> str:
    """An error in one line, for a list of what was tried."""
    # Of whom it is said stands before it.
    return str(error).partition("\n")[0].removeprefix("apt-get: ")
