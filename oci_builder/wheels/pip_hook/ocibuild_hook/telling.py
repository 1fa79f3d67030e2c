"""Telling who asked what was refused, in data, and noticing that nobody asks any more."""

from __future__ import annotations

import json
import os
import select
import signal
from typing import NoReturn

from pip._internal.models.link import Link
from pip._internal.req.req_install import InstallRequirement

_LONG, _SHORT = 2000, 200


class Refused(BaseException):
    """Ends pip: no handler of pip's for its own errors may go on after it."""


class Teller:
    """Tells the parent what was refused, in data: its prose is pip's affair."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def refuse(
        self, kind: str, req: InstallRequirement | None = None, *, link: Link | None = None, why: str = ""
    ) -> NoReturn:
        """End pip because of ``req``, or of ``link`` where it is not known what for; ``why`` where that varies.

        Raises Refused, which no handler of pip's catches.
        """
        what = str(req.req or req.link) if req is not None else ""
        self.say(kind, what or (link.url if link else ""), url=link.url if link else "", askers=_askers(req), why=why)
        raise Refused(kind)

    def say(self, kind: str, what: str, *, url: str = "", askers: list[str] | None = None, why: str = "") -> None:
        """Write one line, short enough for a pipe that nobody empties yet."""
        said = {"kind": kind, "what": what[:_LONG], "url": url[:_LONG], "askers": askers or [], "why": why[:_SHORT]}
        os.write(self._descriptor, json.dumps(said).encode() + b"\n")


def _askers(req: InstallRequirement | None) -> list[str]:
    """Who asks for ``req``, nearest first; the last may be a place in a file, as pip writes it."""
    found: list[str] = []
    asker = req.comes_from if req is not None else None
    while asker is not None and len(found) < 10:
        found.append((asker if isinstance(asker, str) else str(asker.req or asker.link))[:_LONG])
        asker = None if isinstance(asker, str) else asker.comes_from
    return found


def end_with_reader(descriptor: int) -> None:
    """End this session as soon as nobody reads the other end of a pipe any more: who asked is gone, however it went."""
    watch = select.poll()
    # Nothing is asked for: what is reported all the same is that the other end was closed (POLLERR).
    watch.register(descriptor, 0)
    while not watch.poll():
        pass
    if os.getpgrp() == os.getpid():
        # What builds for us leads no group of its own.
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
