"""The user's own project as a wheel: built on this machine, by the backend its pyproject.toml names."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from packaging.metadata import RawMetadata, parse_email
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from oci_builder import inputs
from oci_builder.digest import Digest, digest_file
from oci_builder.errors import WheelError
from oci_builder.files import explained
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.threads import in_threads
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.backend import Backend
from oci_builder.wheels.build import RUNS_HERE, ZIP_EPOCH
from oci_builder.wheels.normalise import normalise
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import BACKENDS, PipRules, WheelSources, build, run, wheels_but
from oci_builder.wheels.process import Running
from oci_builder.wheels.project_requirements import PYPROJECT, ProjectRequirements, build_requires, build_system
from oci_builder.wheels.project_tree import copy_tree
from oci_builder.wheels.project_wheels import RememberedWheel, remember, wheel_key, wheel_of
from oci_builder.wheels.target import Target

_AT_ONCE = 4
"""Projects built at a time: each is a pip that mostly waits for what builds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A built project: its wheel, which is in the store, and what that says it needs."""

    folder: Path
    pin: WheelPin
    requires: tuple[str, ...]
    requires_python: str

    def listed(self, extras: Iterable[str]) -> ProjectRequirements:
        """Its dependencies, with those of ``extras``, as requirements."""
        lines = tuple((1, text) for text in self.requires)
        return ProjectRequirements(
            file=self.folder / PYPROJECT, lines=lines, project=self.pin, extras=tuple(sorted(set(extras)))
        )


def build_project(folder: Path, target: Target, *, sources: WheelSources, store: Store, reporter: Reporter) -> Project:
    """Build the project in ``folder`` in isolation, from a copy: nothing is written beside the sources.

    The wheel is remembered where nothing but the project's files and what builds them had a say; any other is built
    anew each time. What building takes are wheels, but for the projects of ``sources.build``. Raises WheelError (the
    build failed, or its wheel does not run on ``target``), UnsupportedRequirement (the build needs an sdist),
    FileProblem.
    """
    (project,) = build_projects([folder], target, sources=sources, store=store, jobs=1, reporter=reporter)
    return project


def build_projects(
    folders: Sequence[Path], target: Target, *, sources: WheelSources, store: Store, jobs: int, reporter: Reporter
) -> tuple[Project, ...]:
    """The same for each of ``folders``, up to ``jobs`` at once, in their order. Raises as ``build_project``."""
    running = Running()
    # Nobody knows which variables a backend asks for. What it may read elsewhere, and the releases of it that an index
    # has, are not looked at again: as for `RUN pip install .` in a Dockerfile, what is in the project's folder decides.
    inputs.all_variables()
    builds = [_Build(folder=folder, sources=sources, store=store, running=running) for folder in folders]
    known = [each.remembered() for each in builds]
    # Said here, for reporters are told by one thread at a time.
    for folder, found in zip(folders, known, strict=True):
        if found is None:
            reporter.note(f"building {inputs.real(folder).name}: {RUNS_HERE}")
    work = [each.make for each, found in zip(builds, known, strict=True) if found is None]
    with contextlib.closing(in_threads(work, count=max(1, min(jobs, _AT_ONCE)), give_up=running.stop)) as done:
        made = iter(list(done))
    wheels = [next(made) if found is None else found for found in known]
    return tuple(_project(folder, wheel, target, store) for folder, wheel in zip(folders, wheels, strict=True))


@dataclass(frozen=True, kw_only=True)
class _Build:
    """The building of the project in ``folder``."""

    folder: Path
    sources: WheelSources
    store: Store
    running: Running

    def remembered(self) -> RememberedWheel | None:
        """The wheel that was built of the same before, if nothing else decided it."""
        key = self._key()
        return None if key is None else wheel_of(key, self.store)

    def make(self) -> RememberedWheel:
        """The wheel, in the store; from now on remembered, where that can be. Raises as ``build_project``."""
        backend = self._backend
        # Before anything is copied, and again when the wheel is there: what was built is then what was described.
        before = self._key()
        with self.store.scratch() as scratch:
            copy = scratch / "project" / self._real.name
            copy.parent.mkdir()
            copy_tree(self._real, copy, without=self._without)
            built = None if backend is None else backend.build(copy, scratch / "backend")
            if built is None and inputs.is_dir(scratch / "backend"):
                # The backend has begun, and may have left something.
                shutil.rmtree(copy)
                copy_tree(self._real, copy, without=self._without)
            wheel = (
                _built(copy, self.folder, scratch / "wheel", self.sources, self.running)
                if built is None
                else built.path
            )
            normalise(wheel, str(self.folder))
            digest, size = digest_file(str(wheel))
            self.store.put_file(wheel, digest=digest, size=size, what=wheel.name)
            found = RememberedWheel(filename=wheel.name, sha256=digest.hex, size=size)
        # A backend that left the tree, started something or ran code of the project's own knows more than the key says.
        if built is not None and not built.seen and before is not None and self._key() == before:
            remember(before, found, self.store)
        return found

    @cached_property
    def _real(self) -> Path:
        return inputs.real(self.folder)

    @property
    def _without(self) -> frozenset[Path]:
        return frozenset(inputs.real(each) for each in (self.store.root, *self.sources.downloads))

    @cached_property
    def _backend(self) -> Backend | None:
        system = build_system(self._real / PYPROJECT)
        if system is None:
            return None
        return Backend(system=system, sources=self.sources, store=self.store, running=self.running)

    def _key(self) -> str | None:
        return None if self._backend is None else wheel_key(self._real, self._backend, without=self._without)


def _project(folder: Path, wheel: RememberedWheel, target: Target, store: Store) -> Project:
    try:
        name, version, _, tags = parse_wheel_filename(wheel.filename)
    except InvalidWheelFilename as error:
        raise WheelError(str(folder), f"its build gave {wheel.filename!r}, which is not the name of a wheel") from error
    if tags.isdisjoint(target.tags()):
        why = f"this machine built {wheel.filename}, which does not run on {target}"
        hint = "build the wheel where it will run, put it into the image's wheels/, and require it instead"
        raise WheelError(str(folder), why, hint=hint)
    digest = Digest(wheel.sha256)
    pin = WheelPin(
        name=name, version=str(version), filename=wheel.filename, sha256=digest, size=wheel.size, requested=True
    )
    said = _metadata(store.path(digest), wheel.filename)
    requires = tuple(sorted(said.get("requires_dist", [])))
    return Project(folder=folder, pin=pin, requires=requires, requires_python=said.get("requires_python", ""))


def download_backend(folder: Path, dest: Path, *, sources: WheelSources) -> None:
    """Fill ``dest`` with what building the project in ``folder`` takes on this machine: wheels, and the sdists of
    ``sources.build``. Raises WheelError, UnsupportedRequirement."""
    with explained(dest):
        dest.mkdir(parents=True, exist_ok=True)
    wanted = build_requires(folder / PYPROJECT)
    if not wanted:
        return
    links = replace(sources, find_links=(dest, *sources.find_links))
    words = ["download", "--use-feature=inprocess-build-deps", f"--dest={dest}", *wheels_but(sources.build)]
    rules = PipRules(markers=None, names=sources.build)
    outcome = run([*words, *links.arguments(), *wanted], sources=links, rules=rules)
    if outcome.code != 0:
        raise WheelError(str(folder), f"what builds it cannot be had:\n  {_last(outcome.said)}")


def _built(copy: Path, folder: Path, dest: Path, sources: WheelSources, running: Running) -> Path:
    # git describe, which some backends ask for a version, must not touch the user's index.
    environ = {**sources.environ, "GIT_OPTIONAL_LOCKS": "0"}
    quiet = replace(sources, environ=environ)
    outcome = build([f"--wheel-dir={dest}"], copy, sources=quiet, epoch=ZIP_EPOCH, running=running)
    wheels = inputs.matching(dest, "*.whl")
    if outcome.code == 0 and len(wheels) == 1:
        return wheels[0]
    hint = f"try it alone: pip wheel --no-deps {folder}"
    if sources.offline:
        image = sources.image or "NAME"
        hint = f"offline, what builds it must lie in wheels/{BACKENDS}/: ocibuild download {image} puts it there"
        hint += "; where there is a network, build with --online"
    raise WheelError(str(folder), f"building it failed:\n  {_last(outcome.said)}", hint=hint)


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return "\n  ".join(lines[-12:])


def _metadata(path: Path, filename: str) -> RawMetadata:
    # It was made here a moment ago; whoever installs it holds it to its RECORD.
    archive = open_wheel(path, filename, unverified=True)
    return parse_email(archive.read(f"{archive.dist_info}/METADATA"))[0]
