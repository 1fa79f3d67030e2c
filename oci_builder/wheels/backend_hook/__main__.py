"""The program: a build backend (PEP 517) in an environment of its own, and what it looked at besides the project.

It runs without the packages of whoever started it: only the standard library and the environment are on its path. What
it was told, and what it tells, is JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import site
import sys
import threading
from pathlib import Path
from typing import Any

_MOST = 20
"""Places that are told of; one is as good as many."""

_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.spawn")
_ASKS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")
_READS = ("open", "os.listdir", "os.scandir")


class BackendWatch:
    """Notes whatever may decide a wheel and is neither the project's files nor those of what builds it."""

    def __init__(self, project: str, known: list[str]) -> None:
        self.project, self.seen = f"{project}/", list[str]()
        self._known = tuple(f"{place}/" for place in known)
        self._busy = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Hear an audit event."""
        if self._busy or len(self.seen) >= _MOST:
            return
        self._busy = True
        try:
            if found := self._odd(event, arguments):
                self.seen.append(found)
        finally:
            self._busy = False

    def _odd(self, event: str, arguments: tuple[Any, ...]) -> str:
        if event in _STARTS:
            return f"it starts {arguments[:1]!r}"
        if event in _ASKS:
            return "it asks a network"
        if event == "sqlite3.connect" and arguments[0] != ":memory:":
            return "it opens a database"
        if event == "exec" and getattr(arguments[0], "co_filename", "").startswith(self.project):
            return "code of the project runs"
        # An open file by its number was named when it was opened; a folder without a name is the one that it stands in.
        if event not in _READS:
            return ""
        named = "." if arguments[0] is None else arguments[0]
        if not isinstance(named, str | bytes | os.PathLike):
            return ""
        place = os.path.realpath(os.fsdecode(named))
        if place == f"{self.project}setup.py":
            return "code of the project runs"
        if f"{place}/".startswith((self.project, *self._known)) or place.startswith("/dev/"):
            return ""
        return f"it reads {place}"


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Do what was ordered; gives the name of the wheel, or what building it takes that is not here."""
    project = str(Path.cwd().resolve())
    ours = (order["place"], sys.executable, Path(os.__file__).parent, *sys.path)
    watch = BackendWatch(project, [os.path.realpath(place) for place in ours])
    site.addsitedir(order["site"])
    # Python's own start, which was left out for the packages that it brings, also brings exit() to scripts.
    site.setquit()
    sys.path[:0] = [str(Path(project, path)) for path in order["path"]]
    sys.addaudithook(watch)
    name, _, inner = order["backend"].partition(":")
    backend: Any = importlib.import_module(name)
    for part in filter(None, inner.split(".")):
        backend = getattr(backend, part)
    ask = getattr(backend, "get_requires_for_build_wheel", None)
    needs = sorted(set(ask(None)) - set(order["have"])) if ask is not None else []
    if needs:
        return {"needs": needs}
    return {"wheel": backend.build_wheel(order["dest"], None, None), "seen": watch.seen}


def _end_with_reader(descriptor: int) -> None:
    """End this session as soon as nobody reads the other end of a pipe any more: who asked is gone."""
    watch = select.poll()
    watch.register(descriptor, 0)
    while not watch.poll():
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    os.set_inheritable(told["tell"], False)
    threading.Thread(target=_end_with_reader, args=(told["tell"],), daemon=True).start()
    sys.path.remove(str(Path(__file__).parent))
    sys.argv[1:] = []
    os.write(told["tell"], json.dumps(main(told)).encode())
