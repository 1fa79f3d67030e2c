"""A project's wheel by its backend alone, in an environment that is kept: what pip would do, without pip.

The backend runs as it does under pip: a program of its own, in a session that is killed as one, in a copy of the
project, without the packages of ocibuild. What cannot be done so is left to pip, and with it what went wrong.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oci_builder import inputs
from oci_builder.bounded import load_json
from oci_builder.errors import OcibuildError
from oci_builder.redaction import redact_text
from oci_builder.store import Store
from oci_builder.wheels import process
from oci_builder.wheels.build import ZIP_EPOCH
from oci_builder.wheels.build_environment import BuildEnvironment, environment_for
from oci_builder.wheels.pip import WheelSources, environment
from oci_builder.wheels.process import Running
from oci_builder.wheels.project_requirements import BuildSystem

_HOOK = Path(__file__).with_name("backend_hook")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel:
    """A wheel, and why what it was made from may not be all that decides it; nothing where it is."""

    path: Path
    seen: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The backend of a ``system``, in the environment that is kept for it in ``store``."""

    system: BuildSystem
    sources: WheelSources
    store: Store
    running: Running
    _found: dict[tuple[str, ...], BuildEnvironment | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def environment(self, more: Sequence[str] = ()) -> BuildEnvironment | None:
        """The one with what the system requires and ``more``; None where only pip can make it."""
        # Of what is named there to be built from its source, pip knows how.
        if self.sources.build:
            return None
        requires = tuple(sorted({*self.system.requires, *more}))
        if requires not in self._found:
            try:
                found = environment_for(requires, sources=self.sources, store=self.store, running=self.running)
            except OcibuildError:
                if self.running.stopped:
                    raise
                found = None  # pip is asked again, and says why in the words of all builds
            self._found[requires] = found
        return self._found[requires]

    def build(self, copy: Path, scratch: Path) -> BuiltWheel | None:
        """The wheel of the project in ``copy``, below ``scratch``, an empty folder; None where pip has to be asked."""
        try:
            more: tuple[str, ...] = ()
            for attempt in ("first", "second"):
                found = self.environment(more)
                if found is None:
                    return None
                told = self._run(found, copy, scratch / attempt, more)
                needs = told.get("needs", [])
                if not isinstance(needs, list) or not needs:
                    return _wheel(told, scratch / attempt)
                more = tuple(map(str, needs))
        except (OcibuildError, OSError, ValueError, TypeError, AttributeError):
            if self.running.stopped:
                raise
        return None

    def _run(self, found: BuildEnvironment, copy: Path, place: Path, have: Sequence[str]) -> Mapping[str, object]:
        site, dest, temporary = place / "site", place / "wheel", place / "tmp"
        for folder in (place, dest, temporary):
            folder.mkdir(parents=True)
        found.unpack(site, self.store)
        order = {
            "backend": self.system.backend,
            "path": list(self.system.path),
            "place": str(place),
            "site": str(site),
            "dest": str(dest),
            "have": sorted({*self.system.requires, *have}),
        }
        ended = process.run(
            lambda tell: [sys.executable, "-S", "-s", str(_HOOK), json.dumps({**order, "tell": tell})],
            environ=self._environ(site) | {"TMPDIR": str(temporary)},
            folder=copy,
            clean=redact_text,
            hear=None,
            running=self.running,
        )
        told = load_json(ended.told) if ended.code == 0 else None
        if not isinstance(told, dict):
            raise ValueError("the backend failed")
        return told

    def _environ(self, site: Path) -> dict[str, str]:
        environ = environment(self.sources)
        paths = [str(site / "bin"), *filter(None, [inputs.variable(environ, "PATH")])]
        return environ | {
            "PATH": os.pathsep.join(paths),
            "PYTHONPATH": str(site),
            "PYTHONNOUSERSITE": "1",
            "PYTHONHASHSEED": "0",
            "SOURCE_DATE_EPOCH": str(ZIP_EPOCH),
            # git describe, which some backends ask for a version, must not touch the user's index.
            "GIT_OPTIONAL_LOCKS": "0",
        }


def _wheel(told: Mapping[str, object], place: Path) -> BuiltWheel:
    wheels, seen = inputs.matching(place / "wheel", "*.whl"), told.get("seen")
    if len(wheels) != 1 or wheels[0].name != told.get("wheel") or not isinstance(seen, list):
        raise ValueError("the backend made no wheel")
    return BuiltWheel(path=wheels[0], seen=tuple(map(str, seen)))
