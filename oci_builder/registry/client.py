"""One registry, spoken to with a request path of our own; the only importer of oras.

Taken from oras are the addresses of a repository (``oras.container``). Its provider is not even loaded: 0.2.43 gets
wrong tokens (one per client, sent to other registries as well), challenges (slow where they are long), retries (silent
for 131 s, none after 429), time limits (none) and redirects (credentials and all), and costs a second to import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from oras.container import Container

from oci_builder.bounded import load_json
from oci_builder.connections import BROKEN, Answer, Connections, origin, read_piece, words
from oci_builder.errors import RegistryError
from oci_builder.oci.jsonio import MAX_DOCUMENT
from oci_builder.redaction import redacted
from oci_builder.reference import Reference
from oci_builder.registry.access import Access, Deadline
from oci_builder.registry.auth import HUB
from oci_builder.registry.challenges import read_challenge
from oci_builder.registry.network import TransientError, failure, promised_length, redirected
from oci_builder.registry.request import Request
from oci_builder.registry.tokens import Tokens
from oci_builder.retry import TRANSIENT_STATUS, Transient, attempts, retry_after
from oci_builder.threads import in_time

if TYPE_CHECKING:
    from oci_builder.retry import Retrying

T = TypeVar("T")

_HUB_HOST = "registry-1.docker.io"
_REDIRECTS = 5
_ERROR_BODY = 8192


class Client:
    """A registry by its name in references ("docker.io"). Threads may share it."""

    def __init__(self, registry: str, scheme: str, access: Access) -> None:
        self._host = _HUB_HOST if registry == HUB else registry
        self._scheme = scheme
        self.access = access
        self.origin = f"{scheme}://{self._host}"
        self._connections = Connections(ca_file=access.ca_file, insecure=access.insecure)
        self._tokens = Tokens(registry, scheme, access)

    def address(self, reference: Reference, part: str) -> str:
        """The address of ``manifests/NAME``, ``blobs/DIGEST``, ``tags/COUNT`` or ``uploads`` of a repository."""
        # oras takes a host without dot and port ("localhost") for a folder of Docker Hub: it gets one that has a dot,
        # and is told the real one afterwards.
        container = Container(f"host.invalid/{reference.repository}")
        container.registry = self._host
        kind, _, name = part.partition("/")
        paths = {"manifests": container.manifest_url, "blobs": container.get_blob_url, "tags": container.tags_url}
        path = paths[kind](name) if kind in paths else container.upload_blob_url()
        return f"{self._scheme}://{path}"

    def ping(self, deadline: Deadline) -> bool:
        """Whether a registry answers here. Raises RegistryError; TransientError, where nothing does."""
        answer = self._exchange("GET", f"{self.origin}/v2/", deadline)
        api = "docker-distribution-api-version" in answer.headers
        answer.close()
        # What an https server says to plain http (Go and nginx: 400 and a sentence) is not a registry's answer.
        return api or answer.status_code != 400

    def retry(self, act: Callable[[], T], deadline: Deadline) -> T:
        """``act``, tried again while its failure is TransientError and time is left. Raises the last failure."""
        return self.attempts(deadline)(act)

    def attempts(self, deadline: Deadline) -> Retrying:
        """The attempts at one thing that is to be done before ``deadline``."""
        policy = self.access.retry_policy
        # A server may not have us sleep for the hours that a large blob would be waited for.
        most = min(deadline.seconds, policy.total)

        def explain(error: Transient, count: int, wait: float) -> None:
            if count >= policy.attempts:
                error.hint = error.hint or f"tried {count} times; try again later"
                return
            why = "waiting longer does not help:" if error.wait is None else f"it asks to wait {wait:.0f} s, and"
            error.hint = f"{why} {most:.0f} s is all the time there is"

        return attempts(
            policy.attempts,
            first_wait=policy.first_wait,
            sleep=policy.sleep,
            most=lambda: min(deadline.left, most),
            explain=explain,
        )

    def once(self, request: Request, deadline: Deadline) -> Answer:
        """Ask once: with a token where one is wanted, through redirects. The answer's body is still to be read.

        Raises RegistryError; TransientError, where another attempt may hear something else.
        """
        url = request.url
        for _ in range(_REDIRECTS):
            answer = self._answered(request, url, deadline)
            if not answer.is_redirect or answer.status_code in request.accept:
                self._raise_for_status(answer, request, deadline)
                return answer
            self._drained(answer, deadline)
            url = redirected(url, answer)
        raise RegistryError(request.method, redacted(request.url), f"more than {_REDIRECTS} redirects")

    def read(self, answer: Answer, limit: int, deadline: Deadline) -> bytes:
        """All of a small body. Raises RegistryError past ``limit`` bytes; TransientError, if it breaks."""
        pieces, size = [], 0
        while piece := self.read_piece(answer, deadline):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                answer.close()
                raise self.refusal(answer, f"an answer longer than the {limit} bytes it may have")
        promised = promised_length(answer)
        if promised is not None and size < promised and answer.request.method != "HEAD":
            raise self.broken(answer, f"the connection broke after {size} of {promised} bytes")
        return b"".join(pieces)

    def length(self, answer: Answer) -> int | None:
        """How many bytes ``answer`` says it has, if it says so. Raises RegistryError for what is no such number."""
        return promised_length(answer)

    def read_piece(self, answer: Answer, deadline: Deadline) -> bytes:
        """What has arrived of a body, empty at its end. Raises TransientError, and RegistryError out of time."""
        late = f"not finished within {deadline.seconds:.0f} s"
        if deadline.left <= 0:
            answer.close()
            raise self.refusal(answer, late)
        try:
            return read_piece(answer, seconds=deadline.left)
        except BROKEN as error:
            answer.close()
            raise (self.refusal(answer, late) if deadline.left <= 0 else self.broken(answer, words(error))) from error

    def refusal(self, answer: Answer, why: str) -> RegistryError:
        """The error that ``answer`` is, and another attempt would not mend."""
        return RegistryError(answer.request.method or "", redacted(answer.url), why, status=answer.status_code)

    def broken(self, answer: Answer, why: str) -> TransientError:
        """The error that ``answer`` is until it is asked for again."""
        return TransientError(answer.request.method or "", redacted(answer.url), why)

    def close(self) -> None:
        """Close the connections that are kept for the next request."""
        self._connections.close()

    def _answered(self, request: Request, url: str, deadline: Deadline) -> Answer:
        own = origin(url) == self.origin
        authorization = self._tokens.header(request.scopes, self._exchanged) if own else ""
        answer = self._sent(request, url, authorization, deadline)
        # A challenge from where a redirect led is none of our registry's: it gets nothing.
        if answer.status_code != 401 or not own:
            return answer
        challenge = read_challenge(answer.headers.get("WWW-Authenticate", ""))
        if challenge is None:
            return answer
        self._tokens.challenged(challenge, request.scopes, refused=authorization)
        try:
            renewed = self._tokens.header(request.scopes, self._exchanged)
        except RegistryError:
            answer.close()
            raise
        if renewed in ("", authorization):
            return answer
        self._drained(answer, deadline)
        return self._sent(request, url, renewed, deadline)

    def _sent(self, request: Request, url: str, authorization: str, deadline: Deadline) -> Answer:
        headers = {"Authorization": authorization} if authorization else {}
        content = request.body() if callable(request.body) else request.body
        return self._exchange(request.method, url, deadline, data=content, headers={**request.headers, **headers})

    def _exchange(
        self, method: str, url: str, deadline: Deadline, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        """One request and the head of its answer, wherever it leads."""
        silence = self.access.retry_policy.silence

        def act() -> Answer:
            return self._connections.ask(method, url, timeout=silence, headers=headers, **more)

        try:
            answer = in_time(deadline.left, act)
            promised_length(answer)
            return answer
        except TimeoutError as error:
            why = f"no complete answer within {deadline.seconds:.0f} s"
            raise RegistryError(method, redacted(url), why) from error
        except BROKEN as error:
            raise failure(method, url, error) from error

    def _exchanged(self, method: str, url: str, **more: Any) -> bytes:
        """What a login service answers. No redirects: a password goes where the registry says, and no further."""
        deadline = self.access.retry_policy.deadline()

        def act() -> bytes:
            answer = self._exchange(method, url, deadline, **more)
            self._raise_for_status(answer, Request(method=method, url=url), deadline)
            return self.read(answer, MAX_DOCUMENT, deadline)

        return self.retry(act, deadline)

    def _raise_for_status(self, answer: Answer, request: Request, deadline: Deadline) -> None:
        """Raise what an answer nobody asked for means."""
        status = answer.status_code
        if status in request.accept:
            return
        codes, said = self._errors(answer, deadline)
        why = self._tokens.without_secrets(f"{status} {said or answer.reason or ''}".strip())
        hint = self._tokens.hint() if status in (401, 403) else None
        kind = TransientError if status in TRANSIENT_STATUS else RegistryError
        error = kind(request.method, redacted(request.url), why, status=status, codes=codes, hint=hint)
        if isinstance(error, TransientError):
            error.wait = retry_after(answer.headers)
        raise error

    def _errors(self, answer: Answer, deadline: Deadline) -> tuple[tuple[str, ...], str]:
        """The codes of a refusal, and what it says."""
        try:
            errors = load_json(self._drained(answer, deadline) or b"{}")["errors"]
            found = [error for error in errors if isinstance(error, dict)][:3]
        except (ValueError, LookupError, TypeError):
            return (), ""
        codes = tuple(str(error.get("code") or "")[:100] for error in found)
        said = [str(error.get("message") or error.get("code") or "")[:300] for error in found]
        return codes, "; ".join("".join(filter(str.isprintable, text)) for text in said if text)

    def _drained(self, answer: Answer, deadline: Deadline) -> bytes:
        """What a refusal says, and the connection free for the next; nothing where it says too much."""
        try:
            return self.read(answer, _ERROR_BODY, deadline)
        except RegistryError:
            return b""
