"""A run stopped at each of its system calls in turn, and what must hold afterwards."""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oci_builder import cli
from tests.crash.scenarios import Scenario
from tests.support.syscalls import WATCHED, Act, Call, Ending, kill_all, watched

SAID = "said"
"""The file that takes what a run says."""

_LEFTOVER = re.compile(r"\.\d+-[0-9a-f]{16}$")
_TOKEN = re.compile(r"\d+-[0-9a-f]{16}|tmp\w{8}")
_TRIAL = re.compile(r"[a-z0-9_]{8}")
"""How Python finds out whether a folder takes temporary files: it writes one, and who is stopped then leaves it."""

_SEAL = re.compile(rb'{"sha256":"([0-9a-f]{64})","record":(.*)}\Z', re.DOTALL)
_SPACE = frozenset(
    {"write", "pwrite64", "writev", "pwritev", "open", "openat", "creat", "mkdir", "mkdirat", "rename", "renameat"}
    | {"link", "linkat", "symlink", "symlinkat", "fallocate", "ftruncate", "fsync", "sendfile", "copy_file_range"}
)
"""What a full disk refuses: whatever needs a new block."""

_REMOVING = frozenset({"unlink", "unlinkat", "rmdir"})


def _once(number: int, failure: int) -> Act:
    return lambda call: failure if call.number == number else 0


def _from_there(number: int, failure: int, calls: frozenset[str]) -> Act:
    def act(call: Call) -> int:
        # What is said goes elsewhere: a disk that is full takes no words, and that is tried at single calls.
        hit = call.number >= number and call.name in calls and not call.path.endswith(f"/{SAID}")
        return failure if hit else 0

    return act


def _abort(number: int) -> Act:
    def act(call: Call) -> int:
        if call.number == number:
            kill_all()
        return 0

    return act


def _signalled(number: int, which: signal.Signals) -> Act:
    def act(call: Call) -> int:
        if call.number == number:
            # Ctrl-C reaches all that the terminal runs, a polite kill the program alone.
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if which is signal.SIGINT else os.kill)(call.leader, which)
        return 0

    return act


def _alone(number: int) -> Act:
    def act(call: Call) -> int:
        if call.number == number:
            with contextlib.suppress(ProcessLookupError):
                os.kill(call.pid, signal.SIGKILL)
        return 0

    return act


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong at a call: ``act`` does it, ``codes`` are how the run may end then, other than well.

    ``words`` are said when it ends with 1. ``tidy`` tells that the run itself can clear away what it began.
    """

    act: Callable[[int], Act]
    codes: Sequence[int]
    words: str = ""
    tidy: bool = True


FAULTS: Mapping[str, Fault] = {
    "nospace": Fault(lambda number: _once(number, errno.ENOSPC), [1], os.strerror(errno.ENOSPC)),
    "full": Fault(lambda number: _from_there(number, errno.ENOSPC, _SPACE), [1], os.strerror(errno.ENOSPC)),
    "error": Fault(lambda number: _once(number, errno.EIO), [1], os.strerror(errno.EIO)),
    "dead": Fault(lambda number: _from_there(number, errno.EIO, WATCHED), [1], os.strerror(errno.EIO), tidy=False),
    "abort": Fault(_abort, [-signal.SIGKILL], tidy=False),
    "killed": Fault(_alone, [-signal.SIGKILL, 1], tidy=False),
    "terminated": Fault(lambda number: _signalled(number, signal.SIGTERM), [143]),
    "interrupted": Fault(lambda number: _signalled(number, signal.SIGINT), [130]),
}


@dataclass
class Found:
    """What an enumeration showed: how many points there were, how many were tried, and what did not hold."""

    points: int = 0
    tried: int = 0
    followed: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """All of it in a line."""
        ends = ", ".join(f"{count} with {code}" for code, count in sorted(self.codes.items()))
        return (
            f"{self.points} calls that change files; {self.tried} runs stopped at one ({ends}); "
            f"{self.followed} states that a next run was right from; {len(self.findings)} findings"
        )


class Enumeration:
    """One scenario in a folder of its own, stopped where one likes.

    What was tried is added to the file ``log``, and what stands there is not tried again.
    """

    def __init__(self, scenario: Scenario, root: Path, *, words: Sequence[str], log: Path | None = None) -> None:
        self._log = log
        self._done = set(log.read_text().splitlines()) if log is not None and log.exists() else set()
        self._scenario, self._words = scenario, words
        self.work, self._template, self._said = root / "work", root / "template", root / SAID
        self._right: set[str] = set()
        self.found = Found()
        self._tmp = self.work / "tmp"
        self._tmp.mkdir(parents=True)
        scenario.prepare(self.work)
        _copy(self.work, self._template)
        self._old = self._outputs()
        whole = self.run(lambda call: 0)
        if whole.code != 0:
            raise AssertionError(whole.said)
        self._new = self._outputs()
        self.found.points = len(whole.calls)
        outputs = {str(self.work / name) for name in self._new}
        self.found.findings += (f"{call}: not on the disk yet" for call in unsynced(whole.calls, outputs))
        for call in whole.calls:
            self.found.calls[call.name] = self.found.calls.get(call.name, 0) + 1

    def run(self, act: Act) -> Ending:
        """Run the scenario where it stands."""
        self._said.unlink(missing_ok=True)
        for path in self._tmp.iterdir():
            # The machine's own folder of such things: what was killed leaves them there, and the machine clears it.
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return watched(lambda: _program(self.work, self._words), self._said, act, patience=self._scenario.patience)

    def at_all(self, name: str, points: Iterable[int]) -> None:
        """Have the fault of that name happen at each of ``points``, until a run ends before one is reached."""
        for number in points:
            if not self.at(name, number):
                return

    def at(self, name: str, number: int) -> bool:
        """Have the fault happen at a call; False if the run has fewer."""
        fault, tried = FAULTS[name], f"{name} {number}"
        if tried in self._done:
            return True
        shutil.rmtree(self.work)
        _copy(self._template, self.work)
        ending = self.run(fault.act(number))
        if len(ending.calls) < number:
            return False
        call = ending.calls[number - 1]
        self.found.tried += 1
        self.found.codes[str(ending.code)] = self.found.codes.get(str(ending.code), 0) + 1
        for problem in (*self._ended(ending, fault, call), *self._kept(ending, fault, call), *self._next(ending)):
            self.found.findings.append(f"{name} at {call}: {problem}")
        # What did not hold is tried again.
        if self._log is not None and not any(line.startswith(f"{name} at {number} ") for line in self.found.findings):
            with self._log.open("a") as stream:
                stream.write(f"{tried}\n")
        return True

    def _ended(self, ending: Ending, fault: Fault, call: Call) -> Iterator[str]:
        if ending.code is None or ending.left:
            yield f"it does not end: {ending.left}: {ending.said}"
        elif ending.code not in (0, *fault.codes):
            yield f"exit code {ending.code}: {ending.said}"
        if "Traceback" in ending.said or "internal error" in ending.said:
            yield f"a traceback: {ending.said}"
        # What is said cannot be read where it is the saying that failed.
        if ending.code == 1 and fault.words and call.path != str(self._said):
            if fault.words.lower() not in ending.said.lower():
                yield f"the cause is not said: {ending.said}"
            if "hint: " not in ending.said:
                yield f"no hint: {ending.said}"

    def _kept(self, ending: Ending, fault: Fault, call: Call) -> Iterator[str]:
        yield from unsound(self.work / "cache")
        now = self._outputs()
        for name in sorted({*now, *self._old, *self._new}):
            if now.get(name) not in (self._old.get(name), self._new.get(name)) and not _LEFTOVER.search(name):
                yield f"{name} is neither as it was nor as it will be"
        if ending.code == 0 and now != self._new:
            yield f"exit code 0, and the outputs are not all there: {_differ(now, self._new)}"
        last = self._scenario.last
        if last and now.get(last) == self._new[last] != self._old.get(last) and not self._new.items() <= now.items():
            yield f"{last} is new before the others are: {_differ(now, self._new)}"
        if fault.tidy and call.name not in _REMOVING:
            yield from (f"left behind: {name}" for name in self._leftovers())

    def _next(self, ending: Ending) -> Iterator[str]:
        """The next run is right, whatever this one left; what has been tried is not tried again."""
        state = _state(self.work)
        if state in self._right:
            return
        self.found.followed += 1
        following = self.run(lambda call: 0)
        problems = [*unsound(self.work / "cache")]
        if following.code != 0:
            problems.append(f"exit code {following.code}: {following.said}")
        if (now := self._outputs()) != self._new:
            problems.append(f"other outputs: {_differ(now, self._new)}")
        problems += (f"left behind: {name}" for name in self._leftovers())
        if not problems:
            self._right.add(state)
        yield from (f"the next run: {problem}" for problem in problems)

    def _outputs(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.work)): _digest(path)
            for output in self._scenario.outputs
            for path in _files(self.work / output)
        }

    def _leftovers(self) -> Iterator[str]:
        for path in sorted((self.work / "cache" / "v1" / "tmp").glob("*")):
            yield f"{path.relative_to(self.work)}"
        for path in sorted(self.work.rglob(".*")):
            if _LEFTOVER.search(path.name):
                yield f"{path.relative_to(self.work)}"
        for path in sorted(self._tmp.iterdir()):
            if not _TRIAL.fullmatch(path.name):
                yield f"{path.relative_to(self.work)}"


def unsynced(calls: Iterable[Call], outputs: Collection[str]) -> Iterator[Call]:
    """The renames that give an output its name before all that was written to it is on the disk."""
    last: dict[str, str] = {}
    for call in calls:
        folder, name = os.path.split(call.path)
        if call.name in ("write", "fsync"):
            last[_LEFTOVER.sub("", call.path)] = call.name
        elif call.name.startswith("rename") and call.path in outputs and last.get(f"{folder}/.{name}") != "fsync":
            yield call


def unsound(cache: Path) -> Iterator[str]:
    """What is wrong with a cache, read without the program: names that are not their blobs', seals that do not hold,
    layers without a blob."""
    blobs = cache / "v1" / "blobs" / "sha256"
    for path in _files(blobs):
        if path.name != _digest(path):
            yield f"the blob {path.name[:12]} is another"
    for path in _files(cache / "v1" / "records"):
        found = _SEAL.match(path.read_bytes())
        if found is None or hashlib.sha256(found[2]).hexdigest().encode() != found[1]:
            yield f"the record {path.relative_to(cache)} does not hold"
        elif path.parent.name == "layer":
            digest = json.loads(found[2])["digest"].removeprefix("sha256:")
            if not (blobs / digest).is_file():
                yield f"the record {path.relative_to(cache)} names a blob that is not there"


def _program(folder: Path, words: Sequence[str]) -> int:
    """Be ``ocibuild`` with ``words``, as its console script is."""
    os.chdir(folder)
    os.environ |= {"HOME": str(folder), "XDG_CACHE_HOME": str(folder), "TMPDIR": str(folder / "tmp")}
    tempfile.tempdir = None
    sys.argv = ["ocibuild", *words]
    code: object = 0
    try:
        cli.run()
    except SystemExit as request:
        code = request.code
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code if isinstance(code, int) else 0 if code is None else 1


def _copy(source: Path, dest: Path) -> None:
    """A copy of a folder; blobs, which nobody writes to where they are, are the same files."""

    def place(one: str, other: str) -> str:
        if "/blobs/sha256/" not in one:
            return shutil.copy2(one, other)
        os.link(one, other)
        return other

    shutil.copytree(source, dest, symlinks=True, copy_function=place)


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (each for each in sorted(path.rglob("*")) if each.is_file())
    elif path.exists():
        yield path
    yield from (each for each in sorted(path.parent.glob(f".{path.name}.*")) if _LEFTOVER.search(each.name))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _state(root: Path) -> str:
    """All that a later run could see of the folder, less the names that are drawn by lot."""
    seen = []
    for path in root.rglob("*"):
        info = path.lstat()
        what = os.readlink(path) if path.is_symlink() else _digest(path) if path.is_file() else ""
        seen.append(f"{_TOKEN.sub('*', str(path.relative_to(root)))} {info.st_mode:o} {what}")
    return hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()


def _differ(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
