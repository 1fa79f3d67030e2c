"""A wheel's files held against its RECORD (PyPA specifications, "RECORD").

Every file that is installed has a line with a strong digest, or the wheel is refused. How a line spells its path is
free where only one file can be meant; lines of folders, signatures and bytecode promise nothing that matters.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping, Sequence

from packaging.utils import canonicalize_name

from oci_builder.distinfo import record_rows
from oci_builder.errors import WheelError
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Content
from oci_builder.tree.tree import parents
from oci_builder.wheels.zipped import Zipped, plain
from oci_builder.wording import counted

_ROW = 400
"""Bytes of a line of RECORD besides its path: the longest digest and a size take a third."""

_MANY = 64 << 10
"""Bytes that every RECORD may have."""

_SIZES = {"sha256": 32, "sha384": 48, "sha512": 64, "sha3_256": 32, "sha3_384": 48, "sha3_512": 64, "blake2b": 64}
"""Bytes of the digests that RECORD may use."""

_INSTALLERS = ("INSTALLER", "REQUESTED", "direct_url.json")
"""Files of .dist-info that whoever installs writes; a RECORD made of an installation lists them."""

_URLSAFE = str.maketrans("-_", "+/")

Promise = tuple[str, bytes]
"""An algorithm of hashlib and the digest."""


def read_record(record: Zipped, content: Content, files: Sequence[Zipped], sources: MappedFiles, filename: str) -> str:
    """The text of RECORD. Raises WheelError, DigestMismatch for a damaged one."""
    # It has a line for each file, and each is kept: it may be as long as they make it. A quoted path doubles at most.
    most = _MANY + sum(2 * len(each.filename.encode()) + _ROW for each in files)
    if record.size > most:
        raise WheelError(filename, f"RECORD has {counted(record.size, 'byte')}, for {counted(len(files), 'file')}")
    data = sources.read(content, what=f"{filename}: {record.name}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WheelError(filename, "RECORD is not UTF-8") from error


def is_bytecode(path: str) -> bool:
    """Whether a member lies in a ``__pycache__``, which nobody installs."""
    return "__pycache__" in path and "__pycache__" in path.split("/")[:-1]


class Record:
    """What the RECORD of a wheel promises of its files. Every refusal names the way out: ``unverified``."""

    def __init__(self, text: str, dist_info: str, filename: str) -> None:
        self._dist_info, self._filename = dist_info, filename
        self._rows: dict[str, tuple[str, str]] = {}
        self._spelt: dict[str, str] = {}
        try:
            for path, digest, size in record_rows(text):
                self._add(path, digest, size)
        except ValueError as error:
            raise WheelError(filename, f"RECORD does not read: {error}") from error

    def _add(self, path: str, digest: str, size: str) -> None:
        known = self._rows.get(path)
        if known is not None and known[0]:
            if digest and (digest, size) != known:
                raise self.refused(f"RECORD has two digests of {path}")
            return  # one with a digest says more than one without
        self._rows[path] = digest, size
        if "\\" in path or "//" in path or "./" in path:
            # As a builder on Windows wrote it, or one that began at ".".
            self._spelt.setdefault(plain(path.replace("\\", "/")), path)

    def promise(self, zipped: Zipped) -> tuple[Promise | None, tuple[str, str]]:
        """The digest promised for a file, and digest and size as they stand in its line.

        None for a file that RECORD cannot speak of: itself, and signatures of it. Raises WheelError.
        """
        path = zipped.name
        row = self._row(zipped)
        if is_bytecode(path):
            return None, ("", "")
        if path == f"{self._dist_info}/RECORD":
            return None, row  # whatever it says of itself: no digest can be that of the text it stands in
        if not row[0]:
            if self._cannot_list(path):
                return None, row
            raise self._missing(path)
        promise = self._parsed(path, row[0])
        if row[1].strip() and row[1].strip().lstrip("0") != str(zipped.size).lstrip("0"):
            raise self.refused(f"{path} is {zipped.size} bytes, RECORD says {row[1][:40]}")
        return promise, row

    def check_rest(self, files: Mapping[str, object]) -> None:
        """What RECORD lists beside ``files``, whose promises were asked for, is nothing lost. Raises WheelError."""
        if not self._rows:
            return
        made = {f"{self._dist_info}/{name}" for name in _INSTALLERS}
        known = {folder for path in files for folder in parents(path)} | made | files.keys()
        for path in sorted(self._rows):
            name = plain(path.replace("\\", "/"))
            if not (name in known or path.endswith("/") or self._cannot_list(name) or is_bytecode(name)):
                raise self.refused(f"RECORD lists {path}, which is not in the wheel")

    def refused(self, why: str) -> WheelError:
        """The error for what RECORD does not prove."""
        name = canonicalize_name(self._filename.partition("-")[0])
        hint = (
            "the wheel was changed after it was built, or built by a tool that does not keep RECORD; take another, or, "
            f'if its own digest in the lock is proof enough, set [python] unverified = ["{name}"] in image.toml'
        )
        return WheelError(self._filename, why, hint=hint)

    def _row(self, zipped: Zipped) -> tuple[str, str]:
        """Take a file's line out of those that nobody has asked for."""
        if zipped.name is zipped.filename and (row := self._rows.pop(zipped.name, None)) is not None:
            return row
        for name in _spellings(zipped):
            spelt = name if name in self._rows else self._spelt.get(name, "")
            if spelt in self._rows:
                return self._rows.pop(spelt)
        return "", ""

    def _cannot_list(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return folder == self._dist_info and (name == "RECORD" or name.endswith((".jws", ".p7s")))

    def _missing(self, path: str) -> WheelError:
        if f"/{path}" in self._rows:
            return self.refused(f"{path} has no digest in RECORD, which lists /{path}, outside of the wheel")
        return self.refused(f"{path} has no digest in RECORD")

    def _parsed(self, path: str, text: str) -> Promise:
        algorithm, _, value = text.partition("=")
        # The specification asks for sha256 or better; md5 and sha1 are named as forbidden.
        size = _SIZES.get(algorithm) or _SIZES.get(algorithm := algorithm.lower())
        if size is None:
            raise self.refused(f"RECORD uses {algorithm[:40]!r} for {path}; sha256 or better is asked for")
        try:
            # What base64.urlsafe_b64decode does, in a third of its time: every file comes by here.
            digest = binascii.a2b_base64(value.translate(_URLSAFE) + "=" * (-len(value) % 4))
        except ValueError as error:
            raise self.refused(f"RECORD's digest of {path} does not read") from error
        if len(digest) != size:
            raise self.refused(f"RECORD's digest of {path} does not read")
        return algorithm, digest


def _spellings(zipped: Zipped) -> Iterator[str]:
    """What a line may call a file: as the zip has it, by its path, or as it was before the zip lost its UTF-8."""
    yield zipped.filename
    yield zipped.name
    if not zipped.name.isascii() and not zipped.is_utf8:
        try:
            yield zipped.filename.encode("cp437").decode()
        except ValueError:
            return
