"""A suite's signed index: whose signature holds, and which files it vouches for. The only importer of pysequoia."""

from __future__ import annotations

import calendar
import contextlib
import email.utils
import lzma
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oci_builder.bounded import parse_decimal
from oci_builder.debian.control import stanza
from oci_builder.debian.recipe import Suite
from oci_builder.digest import Digest
from oci_builder.errors import ArchiveIndexError, FileProblem, InvalidValue
from oci_builder.files import open_regular

MAX_RELEASE = 4 << 20
MAX_INDEX = 256 << 20
"""Bytes of one suite's Packages, unpacked: five times what Debian 12 has."""

MAX_CONTENTS = 1 << 30
"""Bytes of one suite's Contents of one architecture, unpacked: seven times what Debian 12 has."""

_CLOCK_SKEW = 3600
_XZ_MEMORY = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A verified InRelease. ``date`` is in seconds since 1970; ``files`` maps a path to (size, digest)."""

    suite: Suite
    date: int
    inrelease: Digest
    signers: tuple[str, ...]
    by_hash: bool
    files: Mapping[str, tuple[int, Digest]]

    def listed(self, path: str) -> tuple[int, Digest]:
        """Size and digest of a file the suite has. Raises ArchiveIndexError."""
        if path not in self.files:
            raise ArchiveIndexError(
                str(self.suite), f"its InRelease lists no {path}", hint="the suite may have dropped this architecture"
            )
        return self.files[path]


def index_path(architecture: str) -> str:
    """The path of a suite's list of packages, unpacked, as InRelease spells it."""
    return f"main/binary-{architecture}/Packages"


def contents_path(architecture: str) -> str:
    """The path of a suite's list of all files in its packages, unpacked."""
    return f"main/Contents-{architecture}"


def verify_release(document: bytes, suite: Suite, *, keys: Sequence[Path], now: int) -> Release:
    """What ``document``, the InRelease of ``suite``, says under a good signature of one of ``keys``.

    Raises ArchiveIndexError when no signature holds, when it is another suite's, from the future or expired.
    """
    text, signers = _signed_text(document, suite, keys)
    fields = stanza(text)
    if fields.get("codename") != suite.name:
        raise ArchiveIndexError(str(suite), f"the index is signed for {fields.get('codename')!r}")
    date = _moment(fields.get("date", ""), suite)
    if date > now + _CLOCK_SKEW:
        raise ArchiveIndexError(
            str(suite), f"signed in the future, {fields['date']}", hint="check this machine's clock"
        )
    if "valid-until" in fields and _moment(fields["valid-until"], suite) < now:
        why = f"expired on {fields['valid-until']}"
        raise ArchiveIndexError(str(suite), why, hint="the mirror is behind; take another one, or check the clock")
    return Release(
        suite=suite,
        date=date,
        inrelease=Digest.of(document),
        signers=signers,
        by_hash=fields.get("acquire-by-hash") == "yes",
        files=_files(fields.get("sha256", "")),
    )


def verify_index(data: bytes, release: Release, path: str) -> bytes:
    """``data`` if it is the file ``path`` that ``release`` vouches for. Raises ArchiveIndexError."""
    size, digest = release.listed(path)
    if len(data) != size or Digest.of(data) != digest:
        why = f"{path} is not the one InRelease names ({len(data)} bytes instead of {size}, or another digest)"
        raise ArchiveIndexError(str(release.suite), why, hint="the mirror is changing or broken; try again")
    return data


def unpack_index(packed: bytes, release: Release, path: str) -> bytes:
    """The content of ``path``, checked packed (``path.xz``) and unpacked. Raises ArchiveIndexError."""
    verify_index(packed, release, f"{path}.xz")
    size, _ = release.listed(path)
    if size > MAX_INDEX:
        raise ArchiveIndexError(str(release.suite), f"{path} has {size} bytes, more than {MAX_INDEX}")
    try:
        data = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY).decompress(packed, size + 1)
    except lzma.LZMAError as error:
        raise ArchiveIndexError(str(release.suite), f"{path}.xz cannot be unpacked: {error}") from error
    return verify_index(data, release, path)


def unpack_contents(packed: bytes, release: Release, path: str) -> bytes:
    """The content of ``path``, checked packed (``path.gz``). Raises ArchiveIndexError."""
    verify_index(packed, release, f"{path}.gz")
    try:
        data = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(packed, MAX_CONTENTS + 1)
    except zlib.error as error:
        raise ArchiveIndexError(str(release.suite), f"{path}.gz cannot be unpacked: {error}") from error
    if len(data) > MAX_CONTENTS:
        raise ArchiveIndexError(str(release.suite), f"{path} has more than {MAX_CONTENTS} bytes")
    return data


def _signed_text(document: bytes, suite: Suite, keys: Sequence[Path]) -> tuple[str, tuple[str, ...]]:
    import pysequoia

    certificates = _certificates(keys)
    try:
        result = pysequoia.verify(document, store=lambda _: certificates)
        # Only what was signed counts: text before and after the signed block is anybody's.
        text, signers = result.bytes, sorted({signature.certificate for signature in result.valid_sigs})
    except Exception as error:
        raise ArchiveIndexError(
            str(suite), f"no valid signature of a known key: {error}", hint="the mirror is broken or not Debian's"
        ) from error
    if text is None or not signers:
        raise ArchiveIndexError(str(suite), "no valid signature of a known key")
    return bytes(text).decode("utf-8", "replace"), tuple(signers)


def _certificates(keys: Sequence[Path]) -> list[Any]:
    import pysequoia

    certificates: list[Any] = []
    for key in keys:
        try:
            with open_regular(key) as stream:
                certificates += pysequoia.Cert.split_bytes(stream.read())
        except Exception as error:
            # pysequoia raises its own and OSError alike.
            raise FileProblem(str(key), f"not an OpenPGP public key: {error}") from error
    return certificates


def _moment(text: str, suite: Suite) -> int:
    try:
        parsed = email.utils.parsedate(text)
        if parsed is not None:
            return calendar.timegm(parsed)
    except (ValueError, OverflowError):
        pass  # a year that no calendar has
    raise ArchiveIndexError(str(suite), f"{text[:80]!r} is not a date")


def _files(listing: str) -> dict[str, tuple[int, Digest]]:
    files = {}
    for line in listing.split("\n"):
        # A line that does not read vouches for nothing.
        with contextlib.suppress(ValueError, InvalidValue):
            digest, size, path = line.split()
            files[path] = (parse_decimal(size), Digest.parse(f"sha256:{digest}"))
    return files
