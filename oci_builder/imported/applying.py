"""One layer laid out as docker lays it out, entry by entry, in an empty folder: what lies where, what is refused.

docker's overlay takes each layer by itself, whatever lies below it. Only names are kept here.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Sequence

from oci_builder.imported.names import layer_path, listed_path, refusal, shown
from oci_builder.tree.entry import OPAQUE, WHITEOUT
from oci_builder.tree.limits import Unfit
from oci_builder.tree.tarstream import TarMember

_FOLDER, _LINK, _OTHER = 0, 1, 2
_KIND = 3
_KINDS = {tarfile.DIRTYPE: _FOLDER, tarfile.SYMTYPE: _LINK}
_PLAINLY = 4
"""Set where a place was listed by its own path."""

_STATES = 8
"""A place is the number of its entry (from 1; 0 is none) times this, and what lies there."""

_MAX_LINKS = 40
"""Links that Linux follows on one path."""

_MAX_STEPS = 4_000_000
"""Parts of paths and links that are followed in one layer, and places that are looked at when a folder goes."""


class Applied:
    """The places of one layer. Every method raises Unfit with a clause where docker refuses the layer."""

    def __init__(self) -> None:
        # By the real path, links of the layer followed.
        self._places: dict[str, int] = {"": _FOLDER}
        self._targets: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        # Names of whiteouts, and of entries that were listed by another name than their path.
        self._listed: set[str] = set()
        self._global: set[str] = set()
        self._lost: list[str] = []
        self._steps = 0

    def add_global_header(self, name: str) -> None:
        """docker writes down global headers by their names, too, and takes no name twice. Raises Unfit."""
        path = listed_path(name)
        if path in self._global:
            raise Unfit("is listed twice")
        self._global.add(path)

    def add(self, member: TarMember, number: int) -> Sequence[int]:
        """Place a member whose entry has this number, and give the numbers of the entries that are gone then.

        Raises Unfit for what docker would refuse.
        """
        path, listed = layer_path(member.name), listed_path(member.name)
        if not path:
            self._list(listed)
        if not path and (member.type == tarfile.DIRTYPE or listed == "."):
            return ()
        folder, _, name = path.rpartition("/")
        if name == OPAQUE:
            self._list(listed)
            # A file can be marked, too, and stays what it is.
            if self._places.get(folder, _FOLDER) & _KIND != _OTHER:
                self._made(folder)
            return ()
        real = self._made(folder)
        if name.startswith(WHITEOUT):
            self._list(listed)
            self._delete(posixpath.normpath(f"/{real}/{name.removeprefix(WHITEOUT)}").lstrip("/"))
            return ()
        place = f"{real}/{name}" if real else name
        plainly = place == path == listed
        if not plainly:
            self._list(listed)
        elif self._places.get(place, 0) & _PLAINLY:
            raise Unfit("is listed twice")
        return self._put(place, member, number, plainly=plainly)

    def finish(self) -> None:
        """Make sure that docker can end the layer: it sets the times of listed folders last. Raises Unfit."""
        for path in self._lost:
            folder, _, name = path.rpartition("/")
            try:
                real = self._followed(folder, make=False)
                there = (f"{real}/{name}" if real else name) in self._places
            except Unfit:
                there = False
            if not there:
                raise Unfit(f"replaces what it holds: {shown(path)} was a folder of it")

    def number_at(self, target: str) -> int:
        """The number of the entry that a hard link repeats. Raises Unfit where there is none."""
        path = layer_path(target)
        folder, _, name = path.rpartition("/")
        try:
            real = self._followed(folder, make=False)
        except Unfit:
            real = None
        place = None if real is None else self._places.get(f"{real}/{name}" if real else name)
        if place is None:
            # docker unpacks a layer by itself, whatever lies below it.
            raise Unfit(f"is a hard link to {shown(target)}, which does not come before it")
        if place & _KIND == _FOLDER:
            raise Unfit(f"is a hard link to {shown(target)}, which is a folder")
        if place < _STATES:
            raise Unfit(f"is a hard link to {shown(target)}, which its layer deletes")
        return place // _STATES - 1

    def _list(self, name: str) -> None:
        if name in self._listed:
            raise Unfit("is listed twice")
        self._listed.add(name)

    def _put(self, path: str, member: TarMember, number: int, *, plainly: bool) -> Sequence[int]:
        if why := refusal(member):
            raise Unfit(why)
        if not path:
            raise Unfit("takes the place of the root folder")
        before = self._places.get(path)
        kind = _KINDS.get(member.type, _OTHER)
        gone = [before] if before is not None else []
        if before is not None and before & _KIND == _FOLDER and kind != _FOLDER:
            gone += self._emptied(path)
        if kind == _LINK and not member.target:
            raise Unfit("is a symbolic link to nothing")
        if before is not None:
            del self._places[path]
            if self._targets.pop(path, None) is not None:
                self._folders.clear()
        if member.type == tarfile.LNKTYPE:
            # A hard link to a symbolic link is one.
            source = layer_path(member.target)
            self.number_at(member.target)
            real = self._real(source)
            if real in self._targets:
                kind, self._targets[path] = _LINK, self._targets[real]
        if kind == _LINK and member.type == tarfile.SYMTYPE:
            self._targets[path] = member.target
        marks = (before or 0) & _PLAINLY | (_PLAINLY if plainly else 0)
        self._places[path] = (number + 1) * _STATES + marks + kind
        return [place // _STATES - 1 for place in gone if place >= _STATES]

    def _emptied(self, folder: str) -> Sequence[int]:
        """What lay below a folder, and is gone."""
        self._steps += len(self._places)
        self._check_steps()
        below = [path for path in self._places if path.startswith(f"{folder}/")]
        self._folders.clear()
        self._lost += [
            path for path in below if self._places[path] & _KIND == _FOLDER and self._places[path] >= _STATES
        ]
        for path in below:
            self._targets.pop(path, None)
        return [self._places.pop(path) for path in below]

    def _check_steps(self) -> None:
        if self._steps > _MAX_STEPS:
            raise Unfit("asks for more steps than anybody goes")

    def _real(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        real = self._followed(folder, make=False)
        return f"{real}/{name}" if real else name

    def _delete(self, path: str) -> None:
        if path in self._places:
            raise Unfit("deletes an entry of its own layer")
        self._places[path] = _OTHER

    def _made(self, folder: str) -> str:
        """Where a folder really is; it is there afterwards."""
        place = self._places.get(folder)
        if place is not None and place & _KIND == _FOLDER:
            return folder
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = self._followed(folder, make=True)
        return known

    def _followed(self, folder: str, *, make: bool) -> str:
        place = self._places.get(folder)
        if place is not None and place & _KIND == _FOLDER:
            return folder
        # The parts to go, the next one last, each with whether a link names it: those have to be there.
        todo = [(part, False) for part in reversed(folder.split("/"))]
        here, links = "", 0
        while todo:
            self._steps += 1
            self._check_steps()
            part, linked = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            step = f"{here}/{part}" if here else part
            place = self._places.get(step)
            kind = _FOLDER if place is None else place & _KIND
            if place is None and (linked or not make):
                raise Unfit(f"lies below {shown(folder)}, a symbolic link to what is not in its layer")
            if kind == _OTHER:
                raise Unfit(f"lies below {shown(step)}, which is no folder")
            if kind == _LINK:
                links += 1
                if links > _MAX_LINKS:
                    raise Unfit(f"lies below {shown(folder)}, a symbolic link in a circle")
                target = self._targets[step]
                here = "" if target.startswith("/") else here
                parts = target.split("/")
                self._steps += len(parts)
                todo.extend((each, True) for each in reversed(parts))
                continue
            if place is None:
                self._places[step] = _FOLDER
            here = step
        return here
