"""What is wrong with image files, remembered by the digest of all their bytes, for pages that only show it.

``ocibuild verify`` asks nobody's memory: it reads.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from oci_builder.digest import Digest, digest_file
from oci_builder.errors import FileProblem
from oci_builder.files import explained
from oci_builder.oci.jsonio import encode
from oci_builder.store import Store
from oci_builder.verify.verify import verify_file
from oci_builder.version import __version__

_RECORDS = "verified-1"


def known_findings(path: Path, store: Store | None) -> tuple[str, ...]:
    """What ``verify_file`` finds in the file or folder at ``path``; a file of the same bytes is not unpacked again.

    Raises FileProblem.
    """
    if store is None or not path.is_file():
        return verify_file(path).findings
    before = _key(path)
    data = store.record(_RECORDS, before)
    if data is not None:
        with contextlib.suppress(msgspec.MsgspecError):
            return tuple(msgspec.json.decode(data, type=list[str]))
    found = verify_file(path).findings
    # Somebody may have written to it meanwhile: then nobody knows what was read.
    if _key(path) == before:
        with contextlib.suppress(FileProblem):
            store.put_record(_RECORDS, before, msgspec.json.encode(found))
    return found


def _key(path: Path) -> str:
    with explained(path):
        digest, _ = digest_file(str(path))
    return Digest.of(encode({"bytes": str(digest), "by": __version__})).hex
