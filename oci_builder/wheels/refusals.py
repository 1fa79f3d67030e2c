"""What the hook in pip refused, as an error that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from oci_builder.bounded import load_json
from oci_builder.errors import FileProblem, OcibuildError, ResolutionError, ToolFailed, UnsupportedRequirement
from oci_builder.wheels.options import WHEEL_OF

_WHY = {
    "archive": "a source archive, whose build code would run on this machine",
    "checkout": "a version control checkout, whose build code would run on this machine",
    "editable": "an editable project, whose build code would run on this machine",
    "folder": "a folder of sources, whose build code would run on this machine",
    "scheme": "its URL is neither http, https nor a file of this machine",
    "source": "it would be built, and its build code would run on this machine",
}
_ENDLESS = {
    "endless": (
        "it does not end, or more is downloaded than all layers may unpack to",
        'if that is right, set max-unpacked = "1000GB" in image.toml',
    ),
    "endless-page": ("a page of an index that does not end", "ask another index, with --index-url or PIP_INDEX_URL"),
}
_ASKED = re.compile(r"-[rc] (?P<place>.+ \(line \d+\))\Z", re.DOTALL)
_SHOWN = 300


class _Told(msgspec.Struct, frozen=True):
    kind: str
    what: str
    url: str
    askers: tuple[str, ...]
    why: str = ""


def refusal(
    told: bytes, *, failed: bool, places: Mapping[str, str], clean: Callable[[str], str], bring: str = ""
) -> OcibuildError | None:
    """The error for the first thing that was refused, None where nothing was.

    ``places`` tells where that stands which pip knows by a line of a file made for it. A program that was not started
    is only told of when pip ``failed``. ``bring`` is the command that brings what is missing offline. Raises ToolFailed
    for what the hook never says.
    """
    for line in told.splitlines():
        try:
            said = msgspec.convert(load_json(line), _Told)
        except (ValueError, msgspec.ValidationError) as error:
            raise ToolFailed("pip", f"its hook cannot be understood: {error}") from error
        if said.kind == "program":
            if failed:
                return ToolFailed("pip", f"it wanted to start {said.what!r}, which choosing wheels does not take")
            continue
        if said.kind == "offline":
            filename = unquote(urlsplit(said.url).path).rpartition("/")[2]
            why = f"offline, and {_short(filename)} is in no folder of wheels"
            what = _short(clean(said.what or said.url))
            return ResolutionError(f"{what} ({_place(said, places, clean)})", why, hint=bring)
        if said.kind in _ENDLESS:
            why, hint = _ENDLESS[said.kind]
            return ResolutionError(_short(clean(said.url or said.what)), why, hint=hint)
        if said.kind == "metadata":
            filename = _short(unquote(urlsplit(said.url).path).rpartition("/")[2])
            what = f"{_short(clean(said.what or said.url))} ({_place(said, places, clean)})"
            hint = "ask for another version, and tell who publishes this one"
            return ResolutionError(what, f"the metadata of {filename} does not read ({clean(said.why)})", hint=hint)
        return _error(said, places, clean)
    return None


def _error(said: _Told, places: Mapping[str, str], clean: Callable[[str], str]) -> OcibuildError:
    if said.kind == "device":
        hint = "take it away: it is a pipe or a device, and reading it might never end"
        return FileProblem(_short(clean(said.url or said.what)), "is not a file", hint=hint)
    what = _short(clean(said.what or said.url))
    return UnsupportedRequirement(
        what, _place(said, places, clean), _WHY.get(said.kind, _WHY["source"]), hint=_hint(said)
    )


def _place(said: _Told, places: Mapping[str, str], clean: Callable[[str], str]) -> str:
    """Who asks, from the file to the package: "requirements.txt:3, app==1.0"."""
    chain = []
    for asker in reversed(said.askers):
        found = _ASKED.match(asker)
        chain.append(places.get(found["place"], found["place"]) if found else _short(clean(asker)))
    return ", ".join(chain) or "what the build needs"


def _hint(said: _Told) -> str:
    name = re.split(r"[^\w.-]", said.what, maxsplit=1)[0]
    packages = [asker for asker in said.askers if not _ASKED.match(asker)]
    if packages:
        asker = re.split(r"[^\w.-]", packages[0], maxsplit=1)[0]
        return (
            f"ask for a version of {asker} that needs {name} by name, or put a wheel of {asker} that does into the "
            f"image's wheels/, and a wheel of {name} beside it"
        )
    if not said.askers:
        return f'put a wheel of {name} where wheels come from, or let it be built: [python] build = ["{name}"]'
    return WHEEL_OF.format(name)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
