"""Folders of wheels that stand for every network: what a URL names is looked for there, and nothing connects."""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path
from typing import Any

from pip._internal.exceptions import HashMismatch, NetworkConnectionError
from pip._internal.models.link import Link
from pip._internal.network import session
from pip._internal.operations import prepare
from pip._internal.utils.hashes import Hashes
from pip._vendor.packaging.utils import InvalidWheelFilename, parse_wheel_filename
from pip._vendor.packaging.version import InvalidVersion

from ocibuild_hook.insides import attribute, replace


def stay_offline(shelves: list[str]) -> None:
    """Connect to nothing. The wheel that a URL names is the one of that name, and of its hash, in ``shelves``."""
    get_file_url = attribute(prepare, "get_file_url")

    def from_shelf(link: Link, download: Any, download_dir: str | None = None, hashes: Hashes | None = None) -> Any:
        found = shelved(link, shelves)
        for path in found:
            try:
                return get_file_url(Link(path.as_uri()), download_dir, hashes=hashes)
            except HashMismatch:
                if path == found[-1]:
                    raise
        raise NetworkConnectionError(f"offline, {link.filename} is in none of the folders of wheels")

    def request(self: Any, method: str, url: str, *rest: Any, **more: Any) -> Any:
        if not url.startswith("file:"):
            raise NetworkConnectionError("offline, nothing is asked for")
        return requested(self, method, url, *rest, **more)

    requested = attribute(session.PipSession, "request")
    replace(prepare, "get_http_url", from_shelf)
    replace(session.PipSession, "request", request)
    # Should pip have other ways: no socket of a network is used.
    sys.addaudithook(_no_network)


def _no_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        if arguments[0].family != socket.AF_UNIX:
            raise PermissionError(errno.EACCES, "offline, nothing connects")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"):
        raise PermissionError(errno.EACCES, "offline, no name is looked up")


def shelved(link: Link, shelves: list[str]) -> list[Path]:
    """The wheels that ``link`` may mean: those of its file name, as it stands or as it is normalised."""
    exact = [path for shelf in shelves if (path := Path(shelf, link.filename)).is_file()]
    if exact:
        return exact
    try:
        wanted = parse_wheel_filename(link.filename)
    except (InvalidWheelFilename, InvalidVersion):
        return []
    return [path for shelf in shelves for path in sorted(Path(shelf).glob("*.whl")) if _is_wheel(path, wanted)]


def _is_wheel(path: Path, wanted: tuple[Any, ...]) -> bool:
    try:
        return parse_wheel_filename(path.name) == wanted and path.is_file()
    except (InvalidWheelFilename, InvalidVersion):
        return False
