"""Which wheels a build takes: those of its lock, or what pip resolves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_builder.assemble.options import Options
from oci_builder.errors import StaleLock
from oci_builder.listener import Listener
from oci_builder.recipes import ImageSource
from oci_builder.store import Store, atomic
from oci_builder.wheels import lock as locks
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.requirements import fingerprint, scan
from oci_builder.wheels.resolve import resolve
from oci_builder.wheels.target import Target


@dataclass(frozen=True, kw_only=True)
class LockChange:
    """What locking came to: the file, the text it should hold, and the moves from the old to the new in words.

    ``current`` tells that the file holds that text already.
    """

    path: Path
    text: bytes
    changes: tuple[str, ...]
    current: bool


def wheel_sources(source: ImageSource, options: Options) -> WheelSources:
    """Where wheels come from: a ``wheels/`` folder beside the recipe makes a build offline unless it is told not to."""
    folder = source.wheels.is_dir()
    offline = folder if options.offline is None else options.offline
    links: list[Path | str] = [source.wheels] if folder else []
    links += [source.folder / link if "://" not in link else link for link in source.recipe.python.find_links]
    return WheelSources(find_links=(*links, *options.find_links), offline=offline, environ=options.environ)


def choose(
    source: ImageSource,
    target: Target,
    targets: Sequence[Target],
    *,
    options: Options,
    store: Store,
    listener: Listener,
) -> tuple[WheelPin, ...]:
    """The wheels for ``target``. Without a lock pip resolves; a lock that fell behind is brought up to date, in file.

    Raises StaleLock where ``locked`` or ``frozen`` ask for a lock that is not there or does not hold, and what
    resolving raises.
    """
    if not source.lock.is_file():
        if options.locked or options.frozen:
            raise StaleLock(str(source.lock), "there is no lock", hint=f"write it: ocibuild lock {source.recipe.name}")
        return _resolved(source, target, preferred=(), options=options, store=store, listener=listener)
    lock = locks.read(source.lock)
    # A lock of another tool says nothing of what it was made from; it is taken as it is.
    if options.frozen or lock.fingerprint in ("", _fingerprint(source, targets, options)):
        return lock.select(target)
    if options.locked:
        hint = f"bring it up to date: ocibuild lock {source.recipe.name}"
        raise StaleLock(str(source.lock), "the requirements, the base or the platforms have changed since", hint=hint)
    if not options.keep_lock:
        preferred = _known(lock, target)
        return _resolved(source, target, preferred=preferred, options=options, store=store, listener=listener)
    change = relock(source, targets, options=options, store=store, listener=listener)
    _keep(change)
    moved = ", ".join(change.changes) or "no version moved"
    listener.note(f"{source.lock.name} was behind and has been brought up to date: {moved}")
    return locks.read(source.lock).select(target)


def relock(
    source: ImageSource,
    targets: Sequence[Target],
    *,
    options: Options,
    store: Store,
    listener: Listener,
    upgrade: bool = False,
    upgrade_packages: Collection[str] = (),
) -> LockChange:
    """Resolve for every target, keeping what the lock holds already but for what is to be upgraded. Writes nothing."""
    old = locks.read(source.lock) if source.lock.is_file() else None
    pins: dict[Target, tuple[WheelPin, ...]] = {}
    for target in targets:
        known = _known(old, target) if old is not None and not upgrade else ()
        preferred = [pin for pin in known if pin.name not in upgrade_packages]
        pins[target] = _resolved(source, target, preferred=preferred, options=options, store=store, listener=listener)
    text = locks.encode(pins, fingerprint=_fingerprint(source, targets, options))
    new = locks.parse(text, path=source.lock)
    return LockChange(
        path=source.lock,
        text=text,
        changes=tuple(locks.changes(old, new)),
        current=source.lock.is_file() and source.lock.read_bytes() == text,
    )


def _keep(change: LockChange) -> None:
    with atomic(change.path) as sink:
        sink.write(change.text)


def _resolved(
    source: ImageSource,
    target: Target,
    *,
    preferred: Sequence[WheelPin],
    options: Options,
    store: Store,
    listener: Listener,
) -> tuple[WheelPin, ...]:
    return resolve(
        source.requirements,
        target,
        sources=wheel_sources(source, options),
        build=source.recipe.python.build,
        preferred=preferred,
        store=store,
        listener=listener,
    )


def _fingerprint(source: ImageSource, targets: Sequence[Target], options: Options) -> str:
    lines = scan(source.requirements, environ=options.environ)
    return fingerprint(lines, build=source.recipe.python.build, targets=[str(target) for target in targets])


def _known(lock: locks.WheelLock, target: Target) -> tuple[WheelPin, ...]:
    try:
        return lock.select(target)
    except StaleLock:
        return ()  # made before this platform was asked for
