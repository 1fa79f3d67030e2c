"""The tags of a repository, page by page (distribution-spec, "Listing Tags")."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

from oci_builder.bounded import load_json
from oci_builder.reference import Reference, is_tag
from oci_builder.registry.access import Deadline
from oci_builder.registry.registries import Registries
from oci_builder.registry.request import Request

if TYPE_CHECKING:
    from oci_builder.connections import Answer
    from oci_builder.registry.client import Client

_A_PAGE = 1000
"""How many tags a page is asked for: Distribution 3 refuses to give more, and 2.8 gives all, whatever it is asked."""

_PAGE_BYTES = 16 << 20
MAX_TAGS = 1_000_000
"""Of one repository, in some 100 MB of memory."""

_MAX_PAGES = 20_000
"""Some registries give 50 a page; empty pages count as well."""


def list_tags(reference: Reference, registries: Registries) -> tuple[str, ...]:
    """The tags of the repository of ``reference``, each once, in the order of their bytes. Raises RegistryError."""
    client = registries.of(reference)
    deadline = client.access.retry_policy.deadline(_PAGE_BYTES)
    url: str | None = client.address(reference, f"tags/{_A_PAGE}")
    tags: set[str] = set()
    seen: set[str] = set()
    while url is not None:
        seen.add(url)
        answer, found = _page(client, url, reference, deadline)
        tags.update(found)
        if len(tags) > MAX_TAGS or len(seen) > _MAX_PAGES:
            raise client.refusal(answer, f"more than {MAX_TAGS} tags, or {_MAX_PAGES} pages of them")
        url = _next(client, answer, url)
        if url in seen:
            raise client.refusal(answer, "its pages of tags go round in a circle")
    return tuple(sorted(tags))


def _page(client: Client, url: str, reference: Reference, deadline: Deadline) -> tuple[Answer, tuple[str, ...]]:
    request = Request(method="GET", url=url, scopes=frozenset({f"repository:{reference.repository}:pull"}))

    def act() -> tuple[Answer, bytes]:
        answer = client.once(request, deadline)
        return answer, client.read(answer, _PAGE_BYTES, deadline)

    answer, body = client.retry(act, deadline)
    try:
        document = load_json(body)
        # A repository whose last tag was deleted says null.
        found = document["tags"] or []
        if not isinstance(found, list) or not all(isinstance(tag, str) and is_tag(tag) for tag in found):
            raise ValueError("not a list of tags")
    except (ValueError, LookupError, TypeError) as error:
        raise client.refusal(answer, "its answer is not a list of tags") from error
    return answer, tuple(found)


def _next(client: Client, answer: Answer, url: str) -> str | None:
    """The address of the page behind ``url``, if there is one. Raises RegistryError where it is somebody else's."""
    try:
        link = answer.links.get("next", {}).get("url")
        if not link:
            return None
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(url, link))
    except ValueError as error:
        raise client.refusal(answer, "its link to the next page is no address") from error
    # Behind a proxy that speaks TLS for it a registry may believe that it is asked by plain http: the scheme is ours.
    ours = urllib.parse.urlsplit(client.origin)
    if parts.netloc != ours.netloc or parts.scheme not in ("http", "https"):
        raise client.refusal(answer, "its link to the next page leads to another registry")
    return parts._replace(scheme=ours.scheme, fragment="").geturl()
