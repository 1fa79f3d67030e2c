"""One blob to one repository: not at all where it is, mounted where a neighbour has it, else sent and verified."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from oci_builder.bounded import parse_decimal
from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, RegistryError
from oci_builder.oci.contracts import Blobs
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import MAX_DOCUMENT
from oci_builder.reference import Reference
from oci_builder.registry.access import Deadline
from oci_builder.registry.request import Request
from oci_builder.registry.transfer import Progress

if TYPE_CHECKING:
    from oci_builder.connections import Answer
    from oci_builder.registry.client import Client

Outcome = Literal["there", "mounted", "sent"]

_OCTETS = {"Content-Type": "application/octet-stream"}
_CHUNK = 16 << 20
"""Bytes of a piece where a registry takes no blob whole and does not say what it would take."""

_LARGEST_CHUNK = 256 << 20
_TOO_LARGE = 413


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One blob on its way. ``source`` names a repository of the same registry that has it, if one is known.

    ``supply`` makes sure that ``blobs`` has it; it is called only when the registry wants the bytes.
    """

    client: Client
    reference: Reference
    descriptor: Descriptor
    scopes: frozenset[str]
    blobs: Blobs
    progress: Progress
    source: str = ""
    supply: Callable[[], None] = lambda: None

    def run(self) -> Outcome:
        """Have the blob in the repository. Raises RegistryError, DigestMismatch, and what reading the blob raises."""
        deadline = self.client.access.retry_policy.deadline(self.descriptor.size)
        if not self.source and self._is_there(deadline):
            self.progress.add(self._label, self.descriptor.size)
            return "there"
        return self.client.retry(lambda: self._attempt(deadline), deadline)

    @property
    def _label(self) -> str:
        return str(self.descriptor.digest)[:19]

    def _is_there(self, deadline: Deadline) -> bool:
        url = self.client.address(self.reference, f"blobs/{self.descriptor.digest}")
        answer = self.client.retry(lambda: self._asked("HEAD", url, deadline, accept=(200, 404)), deadline)
        return answer.status_code == 200

    def _attempt(self, deadline: Deadline) -> Outcome:
        begun = self._begun(deadline, source=self.source)
        # Who refuses to mount may have the blob here all the same.
        mounted = begun.status_code == 201
        if mounted or (self.source and self._is_there(deadline)):
            self.progress.add(self._label, self.descriptor.size)
            return "mounted" if mounted else "there"
        self.supply()
        if smallest := _smallest_piece(begun):
            self._send_in_pieces(begun, max(_CHUNK, smallest), deadline)
            return "sent"
        try:
            self._send_whole(begun, deadline)
        except RegistryError as error:
            if error.status != _TOO_LARGE:
                raise
            self._send_in_pieces(self._begun(deadline), _CHUNK, deadline)
        return "sent"

    def _begun(self, deadline: Deadline, *, source: str = "") -> Answer:
        """An upload begun, or (201) the blob mounted from ``source`` and nothing left to do."""
        url = self.client.address(self.reference, "uploads")
        if source:
            query = urllib.parse.urlencode({"mount": str(self.descriptor.digest), "from": source})
            try:
                answer = self._asked("POST", f"{url}?{query}", deadline, accept=(201, 202))
            except RegistryError as error:
                # Whoever may not read the source is told so by some registries, and others just begin an upload.
                if error.status not in (401, 403, 404):
                    raise
                return self._begun(deadline)
        else:
            answer = self._asked("POST", url, deadline, accept=(201, 202))
        if answer.status_code == 202 and "Location" not in answer.headers:
            raise self.client.refusal(answer, "it began an upload without saying where")
        return answer

    def _send_whole(self, begun: Answer, deadline: Deadline) -> None:
        with _Body(self) as body:
            url = _with_digest(_location(begun), self.descriptor.digest)
            answer = self._asked("PUT", url, deadline, accept=(201,), headers=_OCTETS, body=body.renewed)
            self._check(answer)

    def _send_in_pieces(self, begun: Answer, size: int, deadline: Deadline) -> None:
        with _Body(self) as body:
            location, at = _location(begun), 0
            while piece := body.read(size):
                headers = {**_OCTETS, "Content-Range": f"{at}-{at + len(piece) - 1}"}
                answer = self._asked("PATCH", location, deadline, accept=(202,), headers=headers, body=piece)
                location, at = _location(answer), at + len(piece)
            self._check(self._asked("PUT", _with_digest(location, self.descriptor.digest), deadline, accept=(201,)))

    def _check(self, answer: Answer) -> None:
        actual = answer.headers.get("Docker-Content-Digest", "")
        if actual.startswith("sha256:") and actual != str(self.descriptor.digest):
            what = f"blob pushed to {self.reference.registry}/{self.reference.repository}"
            raise DigestMismatch(what, expected=str(self.descriptor.digest), actual=actual)

    def _asked(
        self,
        method: str,
        url: str,
        deadline: Deadline,
        *,
        accept: tuple[int, ...],
        headers: dict[str, str] | None = None,
        body: Callable[[], _Body] | bytes | None = None,
    ) -> Answer:
        self.progress.check()
        request = Request(method=method, url=url, scopes=self.scopes, headers=headers or {}, body=body, accept=accept)
        answer = self.client.once(request, deadline)
        self.client.read(answer, MAX_DOCUMENT, deadline)
        return answer


class _Body:
    """A blob as a file that is read once; what was read counts as sent, until the blob has to be sent again."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._chunks, self._rest, self._counted = self._opened(), memoryview(b""), 0
        self._begun = False

    def __enter__(self) -> _Body:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._chunks.close()
        if kind is not None and self._counted:
            self._upload.progress.add(self._upload._label, -self._counted)

    def __len__(self) -> int:
        return self._upload.descriptor.size

    def renewed(self) -> _Body:
        """The same, from its beginning."""
        if not self._begun:
            return self
        self._chunks.close()
        if self._counted:
            self._upload.progress.add(self._upload._label, -self._counted)
        self._chunks, self._rest, self._counted = self._opened(), memoryview(b""), 0
        return self

    def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, or what is left. Raises what reading the blob raises; it is verified on the way."""
        self._upload.progress.check()
        self._begun = True
        pieces, wanted = [], size if size >= 0 else len(self)
        while wanted and (self._rest or self._refilled()):
            # A view: what is left is not copied once for each piece of it.
            piece, self._rest = self._rest[:wanted], self._rest[wanted:]
            pieces.append(piece)
            wanted -= len(piece)
        data = b"".join(pieces)
        self._counted += len(data)
        self._upload.progress.add(self._upload._label, len(data))
        return data

    def _refilled(self) -> bool:
        self._rest = memoryview(next(self._chunks, b""))
        return bool(self._rest)

    def _opened(self) -> _Chunks:
        descriptor = self._upload.descriptor
        return _Chunks(self._upload.blobs.chunks(descriptor.digest, descriptor.size))


class _Chunks:
    """An iterator that holds one piece back: whoever has read the last one knows that all of them were verified."""

    def __init__(self, inner: Iterator[bytes]) -> None:
        self._inner = inner
        self._held = next(inner, b"")

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> bytes:
        if not self._held:
            raise StopIteration
        piece, self._held = self._held, next(self._inner, b"")
        return piece

    def close(self) -> None:
        """Let go of the file."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()


def _smallest_piece(begun: Answer) -> int:
    """The bytes that a piece has at least; 0 where the registry does not say. A piece is held in memory."""
    try:
        return parse_decimal(begun.headers.get("OCI-Chunk-Min-Length", ""), most=_LARGEST_CHUNK)
    except ValueError:
        return 0


def _location(answer: Answer) -> str:
    from oci_builder.registry.network import redirected

    return redirected(answer.url, answer)


def _with_digest(location: str, digest: Digest) -> str:
    return f"{location}{'&' if '?' in location else '?'}{urllib.parse.urlencode({'digest': str(digest)})}"
