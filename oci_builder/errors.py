"""Every failure ocibuild reports to a person.

An error is a value with fields: the thing, the place, the cause, and in ``hint`` the next step. Only ``cli`` turns one
into text and an exit code.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any

_SHOWN = 300
"""Letters of a value that an error shows."""


class OcibuildError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the constructor with ``args``, which keyword-only fields do not survive;
        # errors cross process borders here.
        return (_revive, (type(self), self.args, self.__dict__))


def _revive(kind: type[OcibuildError], args: tuple[object, ...], fields: dict[str, object]) -> OcibuildError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


def _brief(text: str) -> str:
    """What is shown of a text that may be anybody's, and of any length."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


# What the user wrote: exit code 2.


class RecipeError(OcibuildError):
    """A recipe that says something it cannot say."""

    exit_code = 2

    def __init__(self, file: str, key: str, why: str, *, line: int | None = None, hint: str | None = None) -> None:
        place = f"{file}:{line}" if line else file
        super().__init__(f"{place}: {f'{key}: ' if key else ''}{why}", hint=hint)
        self.file, self.key, self.why, self.line = file, key, why, line


class BadKey(OcibuildError, ValueError):
    """A value of the right type that still cannot be; ``key`` is relative to the table it stands in.

    A ValueError, so that msgspec passes it on from ``__post_init__``; ``tomlfile`` adds the file and the line.
    """

    exit_code = 2

    def __init__(self, key: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{f'{key}: ' if key else ''}{why}", hint=hint)
        self.key, self.why = key, why


class NotFound(OcibuildError):
    """A name that leads to no folder."""

    exit_code = 2

    def __init__(self, what: str, name: str, *, searched: Sequence[str], hint: str | None = None) -> None:
        places = ", ".join(searched) or "nowhere"
        super().__init__(f"no {what} {_brief(name)!r} (looked in {places})", hint=hint)
        self.what, self.name, self.searched = what, name, tuple(searched)


class UnclearCommand(OcibuildError):
    """A project of which nobody can tell what it starts: several are equally right, or what serves it is missing."""

    exit_code = 2

    def __init__(self, folder: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{folder}: {why}", hint=hint)
        self.folder, self.why = folder, why


class InvalidValue(OcibuildError):
    """Text that does not parse as what it should be: a reference, a platform, a digest."""

    exit_code = 2

    def __init__(self, what: str, text: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{_brief(text)!r} is not {'an' if what[0] in 'aeio' else 'a'} {what}: {why}", hint=hint)
        self.what, self.text, self.why = what, text, why


class OutsideProject(OcibuildError):
    """A file that a recipe names and that lies outside of its project, or is reached through a link that leads out."""

    exit_code = 2

    def __init__(self, path: str, root: str, *, hint: str | None = None) -> None:
        why = f"it leads out of the project, {root}"
        super().__init__(f"{path}: {why}", hint=hint)
        self.path, self.root, self.why = path, root, why


class UnsupportedRequirement(OcibuildError):
    """A requirement that pip would take and ocibuild does not."""

    exit_code = 2

    def __init__(self, requirement: str, place: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{place}: {_brief(requirement)}: {why}", hint=hint)
        self.requirement, self.place, self.why = requirement, place, why


# What came from outside: exit code 1.


class DigestMismatch(OcibuildError):
    """Bytes that are not the bytes their digest or size names."""

    def __init__(self, what: str, *, expected: str, actual: str, hint: str | None = None) -> None:
        super().__init__(f"{what}: expected {expected}, got {actual}", hint=hint)
        self.what, self.expected, self.actual = what, expected, actual


class CorruptBlob(DigestMismatch):
    """A blob of our own store that no longer holds what its name says; it has been dropped."""


class CacheEmptied(DigestMismatch):
    """Something that was put in the store a moment ago, and is not there any more: somebody else empties it."""

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        hint = hint or "something else empties or replaces the cache meanwhile: let it end, then build again"
        super().__init__(f"{what} in the cache", expected="what was just put there", actual="nothing", hint=hint)


class UnsafePath(OcibuildError):
    """A path that would land outside the tree, or that means something to a layer."""

    def __init__(self, path: str, why: str, *, origin: str = "") -> None:
        super().__init__(f"{f'{origin}: ' if origin else ''}refusing path {_brief(path)!r}: {why}")
        self.path, self.why, self.origin = path, why, origin


class UnsafeArchive(OcibuildError):
    """A foreign archive that is damaged, too large, or would unpack outside its folder."""

    def __init__(self, archive: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"refusing to unpack {archive}: {why}", hint=hint)
        self.archive, self.why = archive, why


class PathConflict(OcibuildError):
    """Two origins want different things at one path."""

    def __init__(self, path: str, first: str, second: str, *, hint: str | None = None) -> None:
        who = (
            f"both {first} and {second}, and they differ" if first != second else f"{first} twice: a file and a folder"
        )
        super().__init__(f"{path} comes from {who}", hint=hint)
        self.path, self.first, self.second = path, first, second


class WheelError(OcibuildError):
    """A wheel that cannot be installed as it is."""

    def __init__(self, wheel: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{wheel}: {why}", hint=hint)
        self.wheel, self.why = wheel, why


class NoMatchingWheel(OcibuildError):
    """A requirement for which no wheel runs on the target."""

    def __init__(self, requirement: str, target: str, *, rejected: Sequence[str] = (), hint: str | None = None) -> None:
        seen = "".join(f"\n  {line}" for line in rejected)
        super().__init__(f"no wheel of {requirement} runs on {target}{seen}", hint=hint)
        self.requirement, self.target, self.rejected = requirement, target, tuple(rejected)


class ResolutionError(OcibuildError):
    """Requirements that pip could not turn into a set of wheels."""

    def __init__(self, what: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"cannot resolve {what}: {why}", hint=hint)
        self.what, self.why = what, why


class StaleLock(OcibuildError):
    """A lock that no longer says what to build."""

    def __init__(self, lock: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{lock}: {why}", hint=hint)
        self.lock, self.why = lock, why


class PackageError(OcibuildError):
    """A Debian package, or a list of them, that cannot be used as it is."""

    def __init__(self, package: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{package}: {why}", hint=hint)
        self.package, self.why = package, why


class PackageUnavailable(OcibuildError):
    """A locked Debian package that no source could give."""

    def __init__(self, package: str, *, tried: Sequence[str], hint: str | None = None) -> None:
        lines = "".join(f"\n  {line}" for line in tried)
        super().__init__(f"cannot get {package}{lines}", hint=hint)
        self.package, self.tried = package, tuple(tried)


class ArchiveIndexError(OcibuildError):
    """A Debian suite whose signed index does not hold: signature, date, name or digest."""

    def __init__(self, suite: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{suite}: {why}", hint=hint)
        self.suite, self.why = suite, why


class TransportError(OcibuildError):
    """A download that failed; ``url`` holds no credentials, ``status`` is HTTP's where there was an answer."""

    def __init__(self, url: str, why: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(f"{url}: {why}", hint=hint)
        self.url, self.why, self.status = url, why, status


class RegistryError(OcibuildError):
    """A registry that refused, failed or did not answer.

    ``url`` holds neither credentials nor a query; ``status`` is HTTP's where there was an answer, ``codes`` are the
    registry's own (distribution-spec, "Error Codes").
    """

    def __init__(
        self,
        method: str,
        url: str,
        why: str,
        *,
        status: int | None = None,
        codes: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(f"{method} {url}: {why}", hint=hint)
        self.method, self.url, self.why, self.status, self.codes = method, url, why, status, tuple(codes)


class DamagedElf(OcibuildError):
    """A program or library whose headers cannot be read."""

    def __init__(self, file: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{file}: a damaged ELF file: {why}", hint=hint)
        self.file, self.why = file, why


class MissingLibrary(OcibuildError):
    """A shared library that a file needs and the image does not have."""

    def __init__(self, library: str, needed_by: str, *, hint: str | None = None) -> None:
        super().__init__(f"{needed_by} needs {library}, which is not in the image", hint=hint)
        self.library, self.needed_by = library, needed_by


class UnsupportedImage(OcibuildError):
    """An image, or a document of one, that does not follow its specification or goes past a limit."""

    def __init__(self, image: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{image}: {why}", hint=hint)
        self.image, self.why = image, why


class NoPython(OcibuildError):
    """A base in which no Python that wheels could be installed for was found."""

    def __init__(self, base: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{base}: {why}", hint=hint)
        self.base, self.why = base, why


class FileProblem(OcibuildError):
    """A file or folder of this machine that cannot be read or written."""

    def __init__(self, path: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{path}: {why}", hint=hint)
        self.path, self.why = path, why


class LoadFailed(OcibuildError):
    """An engine that was to load an image, and is not there or did not."""

    def __init__(self, engine: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{engine}: {why}", hint=hint)
        self.engine, self.why = engine, why


class ToolFailed(OcibuildError):
    """A program ocibuild starts (pip, apt-get, the target's interpreter) that did not do its work."""

    def __init__(self, tool: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{tool}: {why}", hint=hint)
        self.tool, self.why = tool, why


class ProcessKilled(OcibuildError):
    """A process of ours that something outside ended: ``status`` is its exit code, below 0 a signal's number."""

    def __init__(self, what: str, doing: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(f"{what} {_ended(status)}: it was at {doing}", hint=hint or _AFTER.get(status))
        self.what, self.doing, self.status = what, doing, status


_AFTER = {
    -signal.SIGKILL: "build with --jobs 1, or where there is more memory",
    -signal.SIGBUS: "a file was cut short while it was read, or the disk fails: `ocibuild cache verify` reads all",
}


def _ended(status: int) -> str:
    # SIGKILL is what the kernel sends when memory is short, and hardly anybody else does.
    if status == -signal.SIGKILL:
        return "was killed, probably for memory"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended (status {status})"


class MachineExhausted(OcibuildError):
    """Something that this machine, or a limit set on us, does not give any more: memory, files, processes."""

    def __init__(self, what: str, why: str, *, hint: str | None = None) -> None:
        super().__init__(f"{what}: {why}", hint=hint)
        self.what, self.why = what, why


# A check said no: exit code 3.


class ImagesFailed(OcibuildError):
    """Some of several images could not be made; the others are."""

    def __init__(self, failed: Mapping[str, OcibuildError], *, made: int) -> None:
        names = ", ".join(failed)
        super().__init__(f"{len(failed)} of {len(failed) + made} images were not made: {names}")
        self.failed = failed


class CheckFailed(OcibuildError):
    """An image, or a lock, that is not what it should be."""

    exit_code = 3

    def __init__(self, what: str, findings: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__(f"{what}: " + "\n  ".join(findings), hint=hint)
        self.what, self.findings = what, tuple(findings)
