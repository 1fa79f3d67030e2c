"""Pins → verified wheels in the store."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from oci_builder import inputs
from oci_builder.errors import DigestMismatch, OcibuildError, ResolutionError, UnsupportedRequirement
from oci_builder.files import fill
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.threads import in_threads
from oci_builder.wheels.build import Workshop
from oci_builder.wheels.explain import disk_error, distilled, mismatch_error, network_error
from oci_builder.wheels.lock import direct_url
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import Here, PipRules, WheelSources, for_target, run
from oci_builder.wheels.process import Running
from oci_builder.wheels.target import Target
from oci_builder.wheels.wheelurl import WheelUrl, check_filename, parse_wheel_url

_AT_ONCE = 4
"""pips downloading at a time: one fills most lines, and each costs a third of a second to start."""

_PER_RUN = 8
"""Wheels that one pip downloads: it hands them over when it has them all, and only those outlast an interruption."""

_BEGINS = re.compile(r"(?:Downloading|Using cached) (?:\S*/)?([^/\s]+\.whl)(?: \(|$)")
_NO_MATCH = re.compile(r"No matching distribution found for (?P<what>.+)")


def fetch_wheels(
    pins: Sequence[WheelPin],
    target: Target,
    *,
    sources: WheelSources,
    store: Store,
    jobs: int,
    reporter: Reporter,
) -> Mapping[str, Path]:
    """Where each pin's verified bytes are in the store, by sha256 in hex.

    What the store does not have is copied from the find-links folders when name and digest match, then asked of pip
    by name, version and digest. Progress counts wheels. Raises DigestMismatch, ResolutionError (nobody has it),
    UnsupportedRequirement for a pin that does not lead to a wheel, and what ``Workshop.rebuild`` does.
    """
    missing = [pin for pin in pins if not store.has(pin.sha256, pin.size)]
    progress = _Progress(reporter, total=len(missing))
    missing = [pin for pin in missing if not _copied(pin, sources, store, progress)]
    workshop = Workshop(sources=sources, store=store, reporter=reporter)
    for pin in [pin for pin in missing if pin.built_from]:
        workshop.rebuild(pin, target)
        progress.have(pin.filename)
    _download([pin for pin in missing if not pin.built_from], target, sources, store, jobs, progress)
    return {pin.sha256.hex: store.path(pin.sha256) for pin in pins}


def sized(pins: Sequence[WheelPin], store: Store) -> tuple[WheelPin, ...]:
    """The pins with the sizes of their fetched wheels, for a lock that says them."""
    return tuple(replace(pin, size=inputs.size_of(store.path(pin.sha256))) for pin in pins)


class _Progress:
    """Which wheels are here; told from several threads, said to the reporter from one at a time."""

    def __init__(self, reporter: Reporter, *, total: int) -> None:
        self._listener, self._total = reporter, total
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def have(self, filename: str) -> None:
        with self._lock:
            if filename not in self._seen:
                self._seen.add(filename)
                self._listener.advance(filename, len(self._seen), self._total)


def _copied(pin: WheelPin, sources: WheelSources, store: Store, progress: _Progress) -> bool:
    for folder in sources.folders():
        path = folder / pin.filename
        if not inputs.is_file(path):
            continue
        try:
            store.put_file(path, digest=pin.sha256, size=inputs.size_of(path), what=str(path))
        except DigestMismatch as error:
            # The folder may hold another build under the same name; the index is asked next, unless there is none.
            if sources.offline:
                again = f"ocibuild lock {sources.image}".rstrip()
                error.hint = f"put the locked one there ({sources.bring()}), or lock this one: {again}"
                raise
            continue
        progress.have(pin.filename)
        return True
    return False


def _download(
    pins: Sequence[WheelPin], target: Target, sources: WheelSources, store: Store, jobs: int, progress: _Progress
) -> None:
    if not pins:
        return
    workers = max(1, min(jobs, _AT_ONCE, len(pins)))
    runs, running = max(workers, -(-len(pins) // _PER_RUN)), Running()
    parts = [pins[start::runs] for start in range(runs)]
    work = [partial(_download_part, part, target, sources, store, progress, running) for part in parts]
    # A silent index would hold up even Ctrl-C: the threads wait for their pips, so those are stopped.
    with contextlib.closing(in_threads(work, count=workers, give_up=running.stop)) as done:
        for _ in done:
            pass


def _download_part(
    pins: Sequence[WheelPin], target: Target, sources: WheelSources, store: Store, progress: _Progress, running: Running
) -> None:
    with store.scratch() as scratch:
        asked, folder = scratch / "pins.txt", scratch / "wheels"
        fixed = ["download", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--dest={folder}"]
        arguments = [*fixed, f"--requirement={asked}", *for_target(target), *sources.arguments()]
        failures = []
        for lines in _attempts(pins, sources):
            fill(asked, "\n".join([*sources.options, *lines, ""]).encode())
            heard, rules = _Heard(progress), PipRules(markers=target.markers())
            outcome = run(
                arguments, sources=sources, rules=rules, here=Here(folder=scratch), hear=heard, running=running
            )
            if outcome.code == 0:
                break
            failures.append(_failure(outcome.said, pins, sources))
        else:
            raise failures[0]
        for pin in pins:
            path = _saved(pin, folder)
            store.put_file(path, digest=pin.sha256, size=pin.size or inputs.size_of(path), what=pin.filename)
            progress.have(pin.filename)


def _saved(pin: WheelPin, folder: Path) -> Path:
    """What pip saved for ``pin``: by its name, or by that in the URL it came from."""
    urls = [each for each in (_direct(pin), _elsewhere(pin)) if each is not None]
    for filename in (pin.filename, *(url.filename for url in urls)):
        if inputs.is_file(folder / filename):
            return folder / filename
    raise ResolutionError(str(pin), f"pip fetched no {pin.filename}", hint="lock again")


class _Heard:
    """Makes progress of pip's lines: when it begins a wheel, it has finished the one before."""

    def __init__(self, progress: _Progress) -> None:
        self._progress, self._current = progress, ""

    def __call__(self, line: str) -> None:
        if found := _BEGINS.search(line):
            if self._current:
                self._progress.have(self._current)
            self._current = found[1]


def _attempts(pins: Sequence[WheelPin], sources: WheelSources) -> Iterator[list[str]]:
    """The lines to give pip, and those to give it where it failed with them."""
    if sources.offline:
        yield [_line(pin, None) for pin in pins]
        return
    yield [_line(pin, _direct(pin)) for pin in pins]
    # First the index, which may be a mirror: the address in a lock is that of whoever made it.
    if any(pin.url for pin in pins):
        yield [_line(pin, _direct(pin) or _elsewhere(pin)) for pin in pins]


def _direct(pin: WheelPin) -> WheelUrl | None:
    return _wheel_url(pin, pin.direct_url, direct_url) if pin.direct_url else None


def _elsewhere(pin: WheelPin) -> WheelUrl | None:
    return _wheel_url(pin, pin.url, str) if pin.url else None


def _wheel_url(pin: WheelPin, text: str, read: Callable[[str], str]) -> WheelUrl | None:
    """The URL, where it is one of a network. Raises UnsupportedRequirement: nothing else is handed to pip."""
    try:
        url = parse_wheel_url(read(text))
        url.check_fits(pin.name, pin.version)
    except ValueError as error:
        raise UnsupportedRequirement(str(pin), "what is locked", str(error), hint="lock again") from error
    return url if url.path is None else None


def _line(pin: WheelPin, url: WheelUrl | None) -> str:
    check_filename(pin.filename, pin.name, pin.version)
    what = f"{pin.name} @ {url.url}" if url else f"{pin.name}=={pin.version}"
    return f"{what} --hash=sha256:{pin.sha256.hex}"


def _failure(said: str, pins: Sequence[WheelPin], sources: WheelSources) -> OcibuildError:
    again = f"ocibuild lock {sources.image}".rstrip()
    changed = f"the index, or something on the way, gives other bytes than were locked; if it may: {again}"
    if disk := disk_error(said):
        return disk
    if mismatch := mismatch_error(said, hint=changed):
        return mismatch
    if network := network_error(said):
        return network
    found = _NO_MATCH.search(said)
    what = found["what"].partition(" (from ")[0] if found else ", ".join(map(str, pins))
    hint = f"put the wheel into the image's wheels/, or, if its index no longer has it: {again}"
    if sources.offline:
        hint = f"put the wheel into the image's wheels/; {sources.bring()}"
    return ResolutionError(what, " ".join(distilled(said)), hint=hint)
