"""rm and find in a RUN: what was copied and is removed again is not copied at all."""

from __future__ import annotations

import posixpath
import re
from itertools import pairwise
from pathlib import PurePosixPath

from oci_builder.dockerfiles.draft import Copied, Place, Verdict

_NOTHING = re.compile(
    r"/(tmp|var/tmp|var/lib/apt|var/cache|var/log|root|home/[^/]+/\.cache|usr/share/(doc|man|locale|info))(/.*)?"
    r"|/usr/(local/)?lib/python[^/]*/.*|.*/(\.cache|__pycache__|\.git)(/.*)?|.*\.pyc"
)
"""What installers and apt leave behind, which nothing here makes."""

_SYSTEM = re.compile(r"/(bin|sbin|lib|lib64|etc|usr|boot|opt|var|sys|proc|dev)(/.*)?")


def remove(words: list[str], line: int, place: Place) -> None:
    """``rm``: each path is left out of what was copied there."""
    for word in words[1:]:
        if "$" in word or "`" in word:
            text = f"{' '.join(words)}: where it removes what is copied, write that into exclude of its [[copy]]"
            place.draft.say(line, Verdict.BY_HAND, text)
            return
        if not word.startswith("-"):
            _without(place.path(word), line, place)


def find(words: list[str], line: int, place: Place) -> None:
    """``find DIR -name PATTERN -delete`` and its like; every other find is a command that nobody runs."""
    names = [words[number + 1] for number, word in enumerate(words[:-1]) if word in ("-name", "-iname")]
    deletes = "-delete" in words or any(pair == ("-exec", "rm") for pair in pairwise(words))
    if not names or not deletes:
        place.draft.say(line, Verdict.NOT_NEEDED, f"{' '.join(words)}: it changes nothing that is copied")
        return
    folders = [word for word in words[1:] if not word.startswith(("-", "(", "!", "\\"))][:1] or ["."]
    for name in names:
        _below(place.path(folders[0]), name, line, place)


def _without(path: str, line: int, place: Place) -> None:
    """Leave ``path`` of the image, which may be a pattern, out of the copies that lead there."""
    met = False
    for copy in place.copies:
        where = posixpath.normpath(copy.place)
        if where == path or PurePosixPath(where).match(path) or where.startswith(f"{path.rstrip('/')}/"):
            met = True
            if not copy.is_dropped:
                copy.is_dropped, copy.note = True, "it is removed again"
        elif copy.is_folder and path.startswith(f"{where.rstrip('/')}/"):
            met = True
            _exclude(copy, path[len(where.rstrip("/")) + 1 :], line, place)
    if met and place.is_final:
        place.draft.say(line, Verdict.DONE, f"{path}: not copied, as it is removed again")
    elif not met and place.is_final and _SYSTEM.fullmatch(path) and not _NOTHING.fullmatch(path):
        hint = "name a base that does not have it"
        place.draft.say(line, Verdict.CANNOT, f"rm {path}: nothing is taken away from a base; {hint}")


def _below(folder: str, name: str, line: int, place: Place) -> None:
    for copy in place.copies:
        where = posixpath.normpath(copy.place)
        if not copy.is_folder or copy.is_dropped:
            continue
        if where == folder or where.startswith(f"{folder.rstrip('/')}/"):
            _exclude(copy, f"**/{name}", line, place)
        elif folder.startswith(f"{where.rstrip('/')}/"):
            _exclude(copy, f"{folder[len(where.rstrip('/')) + 1 :]}/**/{name}", line, place)
    place.draft.say(line, Verdict.NOT_NEEDED, f"{name} below {folder}: what was copied comes without")


def _exclude(copy: Copied, pattern: str, line: int, place: Place) -> None:
    if pattern not in copy.exclude and not copy.is_dropped:
        copy.exclude.append(pattern)
        if place.is_final:
            place.draft.say(line, Verdict.DONE, f"exclude {pattern} of [[copy]] {copy.src}")
