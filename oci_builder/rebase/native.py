"""Every ELF file of the image's own layers, loaded on paper upon both bases: what was found is found again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from oci_builder.gate.facts import ElfFile
from oci_builder.gate.finding import Finding
from oci_builder.gate.loader import Loader, Missing, Unversioned
from oci_builder.rebase.ability import Ability
from oci_builder.rebase.sides import Sides, refused
from oci_builder.rebase.symbols import Symbols
from oci_builder.tree.content import MappedFiles

_NEWER = "take a base with newer libraries, or one that has them"
_SHOWN = 5

Problem = tuple[str, str, str]
"""The kind of a finding, its subject, and the rest of a sentence that says it."""


def native_findings(sides: Sides, before: Ability, after: Ability, alone: Ability) -> Iterator[Finding]:
    """Libraries, symbol versions, symbols and loaders that files need, and that were there on the old base.

    What the new base lacks when it is ``alone`` is its own affair.
    """
    old, new, bare = _Loading(before), _Loading(after), _Loading(alone)
    own = frozenset(str(path) for path in sides.tree.paths)
    groups: dict[Problem, list[str]] = {}
    used: dict[str, list[str]] = {}
    for path in new.paths:
        loaded = new.loaded(path)
        problems = new.problems(path) - old.problems(path)
        for problem in problems - bare.problems(path) if path not in own else problems:
            groups.setdefault(problem, []).append(path)
        if path in own:
            for library in loaded.paths - own:
                used.setdefault(library, []).append(path)
            for library in (old.loaded(path).paths & own) - loaded.paths:
                said = f"/{library} of the image, in whose place the loader would find another"
                groups.setdefault(("library", f"/{library}", said), []).append(path)
    for (kind, subject, said), paths in sorted(groups.items()):
        needs = "needs" if len(paths) == 1 else "need"
        yield refused(kind, subject, f"{_some(paths, sides)} {needs} {said}", _NEWER)
    yield from _symbol_findings(sides, before, after, used)


def _some(paths: Sequence[str], sides: Sides) -> str:
    others = f" and {len(paths) - 1} other{'s' if len(paths) > 2 else ''}" if len(paths) > 1 else ""
    return f"/{paths[0]}{others}, of {sides.layer(paths[0])},"


@dataclass(frozen=True)
class _Opened:
    paths: frozenset[str]
    problems: frozenset[Problem]


@dataclass
class _Loading:
    """The loader of one side; each file is loaded once."""

    ability: Ability
    _known: dict[str, _Opened] = field(default_factory=dict)

    def __post_init__(self) -> None:
        side = self.ability.side
        self._machine = side.image.platform.machine
        library_path = side.run.env.get("LD_LIBRARY_PATH", "")
        self._loader = Loader(side.tree, self.ability.files, self._machine, library_path)

    @property
    def paths(self) -> Sequence[str]:
        """The files of this machine."""
        files = self.ability.files
        return [path for path in sorted(files) if self._is_ours(files[path])]

    def _is_ours(self, file: ElfFile | None) -> bool:
        return file is not None and file.elf is not None and file.elf.machine == self._machine

    def loaded(self, path: str) -> _Opened:
        """What loading a file comes to; nothing of one that is not there, or for another machine."""
        if path not in self._known:
            there = self._is_ours(self.ability.files.get(path))
            self._known[path] = self._load(path) if there else _Opened(frozenset(), frozenset())
        return self._known[path]

    def problems(self, path: str) -> frozenset[Problem]:
        """What is wrong with loading a file."""
        return self.loaded(path).problems

    def _load(self, path: str) -> _Opened:
        loaded = self._loader.load(path)
        problems = {_problem(each) for each in loaded.problems}
        parsed = self.ability.files[path].elf
        if parsed is not None and parsed.interpreter and self.ability.side.entry(parsed.interpreter) is None:
            said = f"{parsed.interpreter} to be started, which the new base does not have"
            problems.add(("program-loader", parsed.interpreter, said))
        return _Opened(frozenset(loaded.paths), frozenset(problems))


def _problem(problem: Missing | Unversioned) -> Problem:
    if isinstance(problem, Unversioned):
        said = f"{problem.version} of {problem.library}, which the new base's does not have"
        return "symbol-version", f"{problem.library} {problem.version}", said
    if problem.elsewhere:
        return "library-path", problem.library, f"{problem.library}, which the loader would not find any more"
    return "library", problem.library, f"{problem.library}, which the new base does not have"


def _symbol_findings(
    sides: Sides, before: Ability, after: Ability, used: Mapping[str, Sequence[str]]
) -> Iterator[Finding]:
    """Symbols that a library of the old base had, its successor has not, and files of the image ask for."""
    with MappedFiles() as sources:
        symbols = Symbols(sources)
        for library, users in sorted(used.items()):
            old = _same_library(library, before, after)
            if old is None or before.files[old].sha256 == after.files[library].sha256:
                continue
            gone = symbols.of(before.side.tree, old).offered - symbols.of(after.side.tree, library).offered
            if not gone:
                continue
            asked = {user: symbols.of(after.side.tree, user).wanted & gone for user in users}
            asked = {user: names for user, names in asked.items() if names}
            names = sorted({name.decode("utf-8", "replace") for each in asked.values() for name in each})
            if names:
                listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
                who = _some(sorted(asked), sides)
                why = f"{who} {'needs' if len(asked) == 1 else 'need'} {listed}, which /{library} of the new base lacks"
                yield refused("symbol", library, why, _NEWER)


def _same_library(path: str, before: Ability, after: Ability) -> str | None:
    """The old base's library of the same name as the new base's at ``path``."""
    if path in before.files:
        return path
    parsed = after.files[path].elf
    wanted = {path.rpartition("/")[2], parsed.soname if parsed else ""} - {""}
    return next(_named(before.files, wanted), None)


def _named(files: Mapping[str, ElfFile], names: Iterable[str]) -> Iterator[str]:
    wanted = frozenset(names)
    for path, file in files.items():
        if file.elf is not None and (file.elf.soname in wanted or path.rpartition("/")[2] in wanted):
            yield path
