"""Native closure: every library, symbol version, loader and machine that the image's ELF files count on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from oci_builder.gate.facts import Distribution, ElfFile
from oci_builder.gate.finding import Finding, Severity
from oci_builder.gate.loader import Loaded, Loader, Missing, Unversioned
from oci_builder.gate.modules import Modules
from oci_builder.image import Image
from oci_builder.tree.tree import Tree

_OF_THE_DRIVER = frozenset({"libcuda.so.1", "libcudadebugger.so.1", "libnvidia-ml.so.1", "libnvidia-opticalflow.so.1"})
"""Libraries of the host's GPU driver: a container gets them from whoever starts it, and no image may bring them."""

_MUSL = "libc.musl-"
_FOR_GLIBC = "it is made for musl (Alpine): take a wheel for glibc"


@dataclass(frozen=True)
class Native:
    """What the native closure of an image is judged by. ``base`` are the origins that the base brings, ``started``
    the files that the image starts."""

    tree: Tree
    files: Mapping[str, ElfFile]
    distributions: Sequence[Distribution]
    modules: Modules
    machine: str
    scripts: str
    base: frozenset[str]
    library_path: str = ""
    started: frozenset[str] = frozenset()
    _named: dict[str, frozenset[str]] = field(default_factory=dict)
    _reached: dict[str, frozenset[str]] = field(default_factory=dict)
    _mentioned: dict[str, frozenset[str]] = field(default_factory=dict)

    def findings(self) -> Iterator[Finding]:
        """All that is wrong, grouped by who has it and what it is."""
        yield from self._machines()
        yield from self._damaged()
        yield from self._loaders()
        yield from self._closure()

    def _machines(self) -> Iterator[Finding]:
        borrowed: dict[str, list[ElfFile]] = {}
        at_home: set[str] = set()
        for file in self.files.values():
            if file.elf is not None and file.elf.kind == "ET_DYN":
                if file.elf.machine == self.machine:
                    at_home.add(file.origin)
                else:
                    borrowed.setdefault(file.origin, []).append(file)
        for origin, files in sorted(borrowed.items()):
            # Debuggers and emulators bring files for other machines on purpose, beside those for this one.
            needed = [file for file in files if origin not in at_home or self._severity(file.path) == "error"]
            if needed:
                yield self._machine(origin, needed)

    def _machine(self, origin: str, files: Sequence[ElfFile]) -> Finding:
        first = files[0]
        machine = first.elf.machine if first.elf else ""
        who = f"{self._some(first.path, len(files))} {'is' if len(files) == 1 else 'are'}"
        return Finding(
            severity="error",
            kind="machine",
            origin=origin,
            subject=machine,
            message=f"{origin}: {who} for {machine}, and the image is for {self.machine}",
            hint=f"its wheel says it is for {self.machine} and is not: get it again from who made it",
        )

    def _damaged(self) -> Iterator[Finding]:
        for file in self.files.values():
            if file.damage and self._severity(file.path) == "error":
                message = f"{file.origin}: {self.modules.shown(file.path)} is a damaged ELF file: {file.damage}"
                yield Finding(
                    severity="error", kind="damaged-elf", origin=file.origin, subject=f"/{file.path}", message=message
                )

    def _loaders(self) -> Iterator[Finding]:
        for file in self.files.values():
            loader = file.elf.interpreter if file.elf and file.elf.machine == self.machine else ""
            if loader and self.tree.resolve(loader) not in self.tree:
                hint = _FOR_GLIBC if "musl" in loader else ""
                shown = self.modules.shown(file.path)
                yield Finding(
                    severity=self._severity(file.path),
                    kind="program-loader",
                    origin=file.origin,
                    subject=loader,
                    message=f"{file.origin}: {shown} is started by {loader}, which is not in the image",
                    hint=hint,
                )

    def _closure(self) -> Iterator[Finding]:
        """Problems by origin, subject and severity, each said once with the first of those that have it."""
        groups: dict[tuple[str, str, str, Severity], list[tuple[str, Missing | Unversioned]]] = {}
        for path, loaded in self._loaded():
            for problem in loaded.problems:
                kind, subject = _sort(problem)
                if kind != "library-path" or not self._brought(path, problem):
                    severity = self._weight(path, kind, problem)
                    key = (self.files[path].origin, kind, subject, severity)
                    groups.setdefault(key, []).append((path, problem))
        for (origin, kind, subject, severity), members in sorted(groups.items()):
            if severity == "error" or (origin, kind, subject, "error") not in groups:
                yield self._said(origin, kind, subject, severity, members)

    def _loaded(self) -> Iterator[tuple[str, Loaded]]:
        """Modules and programs with all they load, then the libraries that none of them loads."""
        loader = Loader(self.tree, self.files, self.machine, self.library_path)
        ours = [path for path, file in self.files.items() if file.elf and file.elf.machine == self.machine]
        dynamic = [path for path in ours if self._elf_kind(path) in ("ET_DYN", "ET_EXEC")]
        roots = [path for path in dynamic if self.modules.extension(path) or self._is_program(path)]
        first, done = frozenset(roots), set[str]()
        for path in (*roots, *(path for path in dynamic if path not in first)):
            if path in first or path not in done:
                loaded = loader.load(path)
                done.update(loaded.paths)
                yield path, loaded

    def _said(
        self,
        origin: str,
        kind: str,
        subject: str,
        severity: Severity,
        members: Sequence[tuple[str, Missing | Unversioned]],
    ) -> Finding:
        path, problem = min(members, key=lambda member: (member[0] != member[1].needed_by, member[0]))
        who = self._some(path, len(members))
        through = f" (through {self.modules.shown(problem.needed_by)})" if problem.needed_by != path else ""
        needs = "needs" if len(members) == 1 else "need"
        if isinstance(problem, Unversioned):
            rest = f"{problem.version} of {problem.library}, and {self.modules.shown(problem.found)} does not have it"
            hint = "take an older release or one made for an older system, or a base with a newer " + _library(problem)
        elif problem.elsewhere:
            place = self.modules.shown(problem.elsewhere)
            rest = f"{problem.library}, which is at {place}, where the loader does not look for it"
            hint = "that works only if something loads it before"
        else:
            rest = f"{problem.library}, which is not in the image"
            hint = _FOR_GLIBC if subject.startswith(_MUSL) else ""
        message = f"{origin}: {who} {needs} {rest}{through}"
        return Finding(severity=severity, kind=kind, origin=origin, subject=subject, message=message, hint=hint)

    def _some(self, path: str, count: int) -> str:
        others = f" and {count - 1} other{'s' if count > 2 else ''}" if count > 1 else ""
        return f"{self.modules.shown(path)}{others}"

    def _weight(self, path: str, kind: str, problem: Missing | Unversioned) -> Severity:
        if kind == "library-path" or problem.library in _OF_THE_DRIVER:
            return "warning"
        return self._severity(path)

    def _severity(self, path: str) -> Severity:
        """An error where importing the package, or starting the program, meets it; else a warning."""
        origin = self.files[path].origin
        if path in self.started:
            return "error"
        if origin in self.base:
            return "warning"
        if module := self.modules.extension(path):
            parts = module.split(".")
            # cv2.cv2 is loaded by its package in ways that no reading of it finds; yaml._yaml is tried, as can be read.
            usual = len(parts) == 2 and parts[0] == parts[1].lstrip("_") and module not in self._mentioned_of(origin)
            return "error" if len(parts) == 1 or usual or module in self._reached_of(origin) else "warning"
        return "error" if path.startswith(f"{self.scripts}/") or self._is_scripts_own(path) else "warning"

    def _is_scripts_own(self, path: str) -> bool:
        """Whether it is a program whose name stands in what a console script of the same distribution runs."""
        origin = self.files[path].origin
        if not self._is_program(path):
            return False
        if origin not in self._named:
            points = [point for each in self.distributions if each.origin == origin for _, point in each.scripts]
            starts = [point.partition(":")[0].partition("[")[0].strip() for point in points]
            self._named[origin] = self.modules.named(origin, starts)
        return path.rpartition("/")[2] in self._named[origin]

    def _reached_of(self, origin: str) -> frozenset[str]:
        if origin not in self._reached:
            self._reached[origin] = self.modules.reached(origin)
        return self._reached[origin]

    def _mentioned_of(self, origin: str) -> frozenset[str]:
        if origin not in self._mentioned:
            self._mentioned[origin] = self.modules.mentioned(origin)
        return self._mentioned[origin]

    def _brought(self, path: str, problem: Missing | Unversioned) -> bool:
        """Whether the library is that of a distribution this one requires, and so loaded before, as with torch."""
        holder = self.files[problem.elsewhere].origin if isinstance(problem, Missing) else ""
        return holder.partition(" ")[0] in self._requires.get(self.files[path].origin, ())

    @cached_property
    def _requires(self) -> Mapping[str, tuple[str, ...]]:
        return {each.origin: each.required_names for each in self.distributions}

    def _is_program(self, path: str) -> bool:
        file = self.files[path]
        return file.elf is not None and bool(file.elf.interpreter) and not path.rpartition("/")[2].startswith("lib")

    def _elf_kind(self, path: str) -> str:
        file = self.files[path]
        return file.elf.kind if file.elf is not None else ""


def _sort(problem: Missing | Unversioned) -> tuple[str, str]:
    """The kind and the subject of a problem."""
    if isinstance(problem, Unversioned):
        return "symbol-version", f"{problem.library} {problem.version}"
    return "library-path" if problem.elsewhere else "library", problem.library


def _library(problem: Unversioned) -> str:
    return "glibc" if problem.version.startswith("GLIBC_") else problem.library


def library_findings(paths: Iterable[str], tree: Tree, files: Mapping[str, ElfFile], image: Image) -> Iterator[Finding]:
    """Errors for what the programs at ``paths`` need and is not there, in an image that nobody knows a Python of."""
    machine = image.platform.machine
    loader = Loader(tree, files, machine, image.run.env.get("LD_LIBRARY_PATH", ""))
    for path in sorted(paths):
        file = files.get(path)
        if file is not None and file.elf is not None and file.elf.machine == machine:
            for problem in loader.load(path).problems:
                kind, subject = _sort(problem)
                if kind == "library":
                    message = f"{file.origin}: /{path} needs {subject}, which is not in the image"
                    yield Finding(severity="error", kind=kind, origin=file.origin, subject=subject, message=message)
