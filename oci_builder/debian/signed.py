"""A suite's signed index: whose signature holds, and which files it vouches for. The only importer of pysequoia."""

from __future__ import annotations

import contextlib
import email.utils
import lzma
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oci_builder.bounded import parse_decimal
from oci_builder.compression import NotGzip, gunzip_head
from oci_builder.debian.control import stanza
from oci_builder.debian.lock import MAX_DATE
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

_BEGIN, _END = b"-----BEGIN PGP SIGNED MESSAGE-----", b"-----END PGP SIGNATURE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A verified InRelease. ``date`` is in seconds since 1970; ``files`` maps a path to (size, digest)."""

    suite: Suite
    date: int
    inrelease: Digest
    signers: tuple[str, ...]
    by_hash: bool
    files: Mapping[str, tuple[int, Digest]]

    def listed(self, path: str, *, most: int = MAX_INDEX) -> tuple[int, Digest]:
        """Size and digest of a file the suite has, ``most`` bytes long. Raises ArchiveIndexError."""
        if path not in self.files:
            raise ArchiveIndexError(
                str(self.suite), f"its InRelease lists no {path}", hint="the suite may have dropped this architecture"
            )
        size, digest = self.files[path]
        if size > most:
            raise ArchiveIndexError(str(self.suite), f"{path} has {size} bytes, more than {most}")
        return size, digest


def index_path(architecture: str) -> str:
    """The path of a suite's list of packages, unpacked, as InRelease spells it."""
    return f"main/binary-{architecture}/Packages"


def contents_path(architecture: str) -> str:
    """The path of a suite's list of all files in its packages, unpacked."""
    return f"main/Contents-{architecture}"


def verify_release(document: bytes, suite: Suite, *, keys: Sequence[Path], now: int) -> Release:
    """What ``document``, the InRelease of ``suite``, says under a good signature of one of ``keys``.

    Raises ArchiveIndexError when no signature holds, when it is another suite's, from the future or expired, and when
    anything stands outside of the one signed block.
    """
    text, signers = _signed_text(document, suite, keys, now)
    fields = stanza(text)
    # Ubuntu's updates have the release's codename, and their own name in the other field.
    if suite.name not in (fields.get("codename"), fields.get("suite")):
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
        # MD5 and SHA-1 are no promise: what is listed with them alone is not listed.
        files=dict(_files(fields.get("sha256", ""))),
    )


def verify_index(data: bytes, release: Release, path: str, *, most: int = MAX_INDEX) -> bytes:
    """``data`` if it is the file ``path`` that ``release`` vouches for. Raises ArchiveIndexError."""
    size, digest = release.listed(path, most=most)
    if len(data) != size or Digest.of(data) != digest:
        why = f"{path} is not the one InRelease names ({len(data)} bytes instead of {size}, or another digest)"
        raise ArchiveIndexError(str(release.suite), why, hint="the mirror is changing or broken; try again")
    return data


def unpack_index(packed: bytes, release: Release, path: str) -> bytes:
    """The content of ``path``, checked packed (``path.xz``) and unpacked. Raises ArchiveIndexError."""
    verify_index(packed, release, f"{path}.xz")
    size, _ = release.listed(path)
    try:
        data = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY).decompress(packed, size + 1)
    except lzma.LZMAError as error:
        raise ArchiveIndexError(str(release.suite), f"{path}.xz cannot be unpacked: {error}") from error
    return verify_index(data, release, path)


def unpack_contents(packed: bytes, release: Release, path: str) -> bytes:
    """The content of ``path``, checked packed (``path.gz``). Raises ArchiveIndexError."""
    verify_index(packed, release, f"{path}.gz")
    try:
        data, _ = gunzip_head(packed, MAX_CONTENTS + 1)
    except NotGzip as error:
        raise ArchiveIndexError(str(release.suite), f"{path}.gz cannot be unpacked: {error}") from error
    if len(data) > MAX_CONTENTS:
        raise ArchiveIndexError(str(release.suite), f"{path} has more than {MAX_CONTENTS} bytes")
    return data


def _signed_text(document: bytes, suite: Suite, keys: Sequence[Path], now: int) -> tuple[str, tuple[str, ...]]:
    import pysequoia

    _check_alone(document, suite)
    certificates = _certificates(keys)
    try:
        result = pysequoia.verify(document, store=lambda _: certificates)
        # Only what was signed counts.
        text, signers = result.bytes, {signature.certificate for signature in result.valid_sigs}
    except Exception as error:
        why = f"no valid signature of a known key: {_first_line(error)}"
        raise ArchiveIndexError(str(suite), why, hint="the mirror is broken or not Debian's") from error
    if text is None or not signers:
        raise ArchiveIndexError(str(suite), "no valid signature of a known key")
    # A signature made before its key expired stays good for ever, and whoever has that key can date it back.
    current = {one.fingerprint for one in certificates if one.expiration is None or one.expiration.timestamp() > now}
    if not signers & current:
        why = f"signed by a key that has expired, {min(signers)}"
        raise ArchiveIndexError(str(suite), why, hint="a newer ocibuild has the archive's newer keys")
    return bytes(text).decode("utf-8", "replace"), tuple(sorted(signers & current))


def _check_alone(document: bytes, suite: Suite) -> None:
    """One signed block is all there is: of text around it, or of a second block, nobody could say whose it is."""
    lines = [line.rstrip() for line in document.strip().split(b"\n")]
    # Within the block a line that begins with a dash is written with another one and a blank (RFC 9580, 7.1).
    if lines[0] != _BEGIN or lines[-1] != _END or lines.count(_BEGIN) + lines.count(_END) != 2:
        hint = "the mirror is broken, or a proxy answered in its place"
        raise ArchiveIndexError(str(suite), "its InRelease is not one signed block and nothing else", hint=hint)


def _certificates(keys: Sequence[Path]) -> list[Any]:
    import pysequoia

    certificates: list[Any] = []
    for key in keys:
        try:
            with open_regular(key) as stream:
                certificates += pysequoia.Cert.split_bytes(stream.read())
        except Exception as error:
            # pysequoia raises its own and OSError alike.
            raise FileProblem(str(key), f"not an OpenPGP public key: {_first_line(error)}") from error
    return certificates


def _first_line(error: Exception) -> str:
    """What happened, without the backtrace that RUST_BACKTRACE adds."""
    return str(error).partition("\n")[0]


def _moment(text: str, suite: Suite) -> int:
    try:
        parsed = email.utils.parsedate_tz(text)
        moment = None if parsed is None else email.utils.mktime_tz(parsed)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not 0 <= moment <= MAX_DATE:
        raise ArchiveIndexError(str(suite), f"{text[:80]!r} is not a date")
    return moment


def _files(listing: str) -> Iterator[tuple[str, tuple[int, Digest]]]:
    """Path, size and digest of each line that reads; of the others nothing is known."""
    for line in listing.split("\n"):
        parts = line.split()
        if len(parts) == 3:
            with contextlib.suppress(ValueError, InvalidValue):
                yield parts[2], (parse_decimal(parts[1]), Digest.parse(f"sha256:{parts[0]}"))
