"""What servers and this machine's files may do to pip: send without end, be silent, or be a pipe."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pip._internal.exceptions import ConnectionFailedError, ConnectionTimeoutError
from pip._internal.models.link import Link
from pip._internal.network import session
from pip._internal.utils.urls import url_to_path
from pip._vendor.urllib3 import HTTPResponse

from ocibuild_hook.insides import attribute, replace
from ocibuild_hook.telling import Teller

FILES = 8
"""How many of the largest files that there may be are as much as may be downloaded."""

MOST_PAGE = 128 << 20
"""Bytes that a page of an index may have, unpacked; pip holds it in memory."""


def open_only_files(teller: Teller) -> None:
    """Refuse pipes and devices where pip reads pages and wheels of this machine: it would wait for ever."""
    send = attribute(session.LocalFSAdapter, "send")

    def checked(self: Any, request: Any, *rest: Any, **more: Any) -> Any:
        with contextlib.suppress(OSError, ValueError):
            mode = Path(url_to_path(request.url)).stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                teller.refuse("device", link=Link(request.url))
        return send(self, request, *rest, **more)

    replace(session.LocalFSAdapter, "send", checked)


def count_what_comes(most: int, teller: Teller) -> None:
    """Refuse what a server that never ends sends: more than a page has, than a file may, or than all of them.

    pip takes files as they come, and has pages decoded: a redirect may give either any name.
    """
    stream = attribute(HTTPResponse, "stream")
    came = 0

    def counted(self: Any, amt: int, decode_content: bool | None = None) -> Iterator[bytes]:
        nonlocal came
        size = 0
        for data in stream(self, amt, decode_content=decode_content):
            size += len(data)
            # Of all responses together: a limit for each alone a server passes by sending many.
            came += len(data)
            if decode_content and size > MOST_PAGE:
                teller.refuse("endless-page", link=Link(self.geturl() or ""))
            if came > most or size > most // FILES:
                teller.refuse("endless", link=Link(self.geturl() or ""))
            yield data

    replace(HTTPResponse, "stream", counted)


def ask_the_silent_once() -> None:
    """Not wait again for a server that did not answer, with all retries: others have what it has."""
    requested = attribute(session.PipSession, "request")
    silent: dict[str, Exception] = {}

    def request(self: Any, method: str, url: str, *rest: Any, **more: Any) -> Any:
        server = urlsplit(url).netloc
        if server in silent:
            raise silent[server]
        try:
            return requested(self, method, url, *rest, **more)
        except (ConnectionFailedError, ConnectionTimeoutError) as error:
            silent[server] = error
            raise

    replace(session.PipSession, "request", request)
