"""Whether a name still has the digest that it was given: one question, asked without the client.

The client (requests, urllib3, oras) takes longer to load than all that a build with nothing to do takes; the standard
library's connection, which urllib3's is made of, a third of that. What is not told by a plain answer is not told here:
redirects, proxies, certificates of one's own authority, a registry that is not well. Then the client is asked, which
knows what to do and what to say.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import urllib.parse
from collections.abc import Mapping, Sequence
from http.client import HTTPMessage

from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError
from oci_builder.oci.mediatypes import INDEXES, MANIFESTS
from oci_builder.reference import Reference
from oci_builder.registry.access import Access, schemes_of
from oci_builder.registry.auth import HUB
from oci_builder.registry.challenges import read_challenge
from oci_builder.registry.tokens import Tokens
from oci_builder.threads import in_time

_PATIENCE = 10.0
"""Seconds for all of it; whoever is slower is asked by the client, which has more."""

_TOKEN = 1 << 20
_HEADERS = {"User-Agent": "ocibuild", "Accept-Encoding": "identity"}
_ACCEPT = ", ".join((*MANIFESTS, *INDEXES))


def still_serves(reference: Reference, digest: Digest, access: Access) -> bool | None:
    """Whether the tag of ``reference`` has ``digest`` today; None where that was not told in a plain answer."""
    if reference.registry == HUB or access.insecure or access.ca_file is not None or access.proxied:
        return None
    scheme = schemes_of(reference.registry, access)[0]
    try:
        return in_time(_PATIENCE, lambda: _served(reference, scheme, access)) == str(digest)
    except (OSError, http.client.HTTPException, ValueError, OcibuildError):
        return None


def _served(reference: Reference, scheme: str, access: Access) -> str:
    """The digest that the tag has, empty where it has none. Raises OSError, ValueError, HTTPException."""
    url = f"{scheme}://{reference.registry}/v2/{reference.repository}/manifests/{reference.tag}"
    tokens = Tokens(reference.registry, scheme, access)
    scopes = frozenset({f"repository:{reference.repository}:pull"})
    authorization = ""
    # At first as nobody, as the client does: most registries want to be told who asks only where that matters.
    for _ in range(2):
        headers = {"Accept": _ACCEPT, **({"Authorization": authorization} if authorization else {})}
        status, answer, _ = _asked("HEAD", url, headers)
        challenge = read_challenge(answer.get("WWW-Authenticate", "")) if status == 401 else None
        if challenge is None or authorization:
            break
        tokens.challenged(challenge, scopes, refused="")
        authorization = tokens.header(scopes, _exchanged)
        if not authorization:
            break
    if status == 404:
        return ""
    if status != 200 or "Docker-Content-Digest" not in answer:
        raise ValueError("no plain answer")
    return str(Digest.parse(answer["Docker-Content-Digest"]))


def _exchanged(
    method: str,
    url: str,
    *,
    params: Mapping[str, str | Sequence[str]] | None = None,
    data: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """What a login service answers. Raises OSError, ValueError."""
    query = urllib.parse.urlencode(params, doseq=True) if params else ""
    place = f"{url}{'&' if '?' in url else '?'}{query}" if query else url
    sent = urllib.parse.urlencode(data).encode() if data else None
    form = {"Content-Type": "application/x-www-form-urlencoded"} if sent else {}
    status, _, body = _asked(method, place, {**form, **(headers or {})}, sent)
    if status != 200:
        raise ValueError("no plain answer")
    return body


def _asked(
    method: str, url: str, headers: Mapping[str, str], data: bytes | None = None
) -> tuple[int, HTTPMessage, bytes]:
    """Status, headers and body of what is answered, wherever it leads: nothing is followed. Raises OSError."""
    parts = urllib.parse.urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, timeout=_PATIENCE, context=context)
    with contextlib.closing(connection):
        place = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        connection.request(method, place, data, {**_HEADERS, **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read(_TOKEN) if answer.status == 200 else b""
