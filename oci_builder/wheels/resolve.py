"""Requirements → pins, decided by pip as it would decide inside the image."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from oci_builder.digest import Digest, digest_file
from oci_builder.errors import NoMatchingWheel, ResolutionError, ToolFailed
from oci_builder.files import explained, fill
from oci_builder.listener import Listener
from oci_builder.store import Store
from oci_builder.wheels.build import build_wheels
from oci_builder.wheels.explain import Failure, network_error
from oci_builder.wheels.listed import Listed
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import WheelSources, for_target, run
from oci_builder.wheels.requirements import RequirementLine, scan
from oci_builder.wheels.target import Target

__all__ = ["WheelSources", "resolve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    requirements: tuple[Path, ...]
    folder: Path
    constraints: tuple[Path, ...]
    lines: tuple[RequirementLine, ...]
    target: Target
    sources: WheelSources
    scratch: Path

    def arguments(self, report: Path) -> list[str]:
        files = [f"--requirement={path.absolute()}" for path in self.requirements]
        limits = [f"--constraint={path.absolute()}" for path in self.constraints]
        # --no-user: a user = true in pip's configuration is about this machine.
        fixed = ["--dry-run", "--ignore-installed", "--no-user", "--only-binary=:all:", f"--report={report}"]
        return ["install", *fixed, *for_target(self.target), *self.sources.arguments(), *files, *limits]


def resolve(
    requirements: Sequence[Path | Listed],
    target: Target,
    *,
    sources: WheelSources,
    build: Collection[str] = (),
    constraints: Sequence[Path] = (),
    preferred: Sequence[WheelPin] = (),
    store: Store,
    listener: Listener,
) -> tuple[WheelPin, ...]:
    """The wheels that ``requirements`` mean on ``target``, sorted by name; nothing depends on this host.

    Versions of ``preferred`` pins are kept where the requirements still allow them. Projects named in ``build`` are
    built from their sdist, and must come out as pure wheels. A size is known when a preferred pin tells it or the
    wheel was local: pip does not pass on what an index says, and what the store happens to hold must not show in a
    lock. ``fetch.sized`` fills it in.

    Raises UnsupportedRequirement, RecipeError, NotFound (from ``scan``); NoMatchingWheel; ResolutionError;
    TransportError; UnsafeArchive and WheelError for what is built; ToolFailed.
    """
    lines = scan(requirements, constraints=constraints, environ=sources.environ)
    project = next((each.project for each in requirements if isinstance(each, Listed) and each.project), None)
    if all(line.constraint for line in lines) and project is None:
        return ()
    with store.scratch() as scratch:
        built = build_wheels(build, target, lines=lines, sources=sources, store=store, listener=listener)
        request = _Request(
            requirements=tuple(_files(requirements, lines, scratch, store)),
            folder=_folder(requirements),
            constraints=(*constraints, *_constraints_file(scratch / "built.txt", _as_urls(built, scratch, store))),
            lines=lines,
            target=target,
            sources=sources,
            scratch=scratch,
        )
        items = _ask_with_preference(request, preferred, set(built), listener)
        pins = [_pin(item, target, built, store) for item in items]
        _note_yanked(items, listener)
    sizes = {pin.sha256: pin.size for pin in preferred}
    # The project changes with every edit of its sources: what is pinned is what it needs.
    pins = [pin for pin in pins if project is None or pin.name != project.name]
    return tuple(sorted((replace(pin, size=sizes.get(pin.sha256, pin.size)) for pin in pins), key=lambda pin: pin.name))


def _files(
    requirements: Sequence[Path | Listed], lines: Sequence[RequirementLine], scratch: Path, store: Store
) -> Iterator[Path]:
    """The requirements as files for pip."""
    for number, each in enumerate(requirements):
        if isinstance(each, Path):
            yield each
            continue
        asked = [text for _, text in each.lines]
        if each.project is not None:
            extras = f"[{','.join(each.extras)}]" if each.extras else ""
            # One hash in a file makes pip ask for all the others.
            proof = f" --hash=sha256:{each.project.sha256.hex}" if any(line.hashes for line in lines) else ""
            asked = [f"{each.project.name}{extras} @ {_as_url(each.project, scratch, store)}{proof}"]
        yield from _constraints_file(scratch / f"{number}-{each.file.name}.txt", asked)


def _folder(requirements: Sequence[Path | Listed]) -> Path:
    first = requirements[0]
    return (first.file if isinstance(first, Listed) else first).absolute().parent


def _ask_with_preference(
    request: _Request, preferred: Sequence[WheelPin], built: Collection[str], listener: Listener
) -> list[dict[str, Any]]:
    kept = [pin for pin in preferred if pin.name not in built and _still_allowed(pin, request.lines)]
    if kept:
        text = [f"{pin.name}=={pin.version}" for pin in kept]
        limits = (*request.constraints, *_constraints_file(request.scratch / "preferred.txt", text))
        try:
            return _ask(replace(request, constraints=limits))
        except (NoMatchingWheel, ResolutionError):
            listener.note("the locked versions no longer fit together; choosing all of them anew")
    return _ask(request)


def _ask(request: _Request) -> list[dict[str, Any]]:
    """pip's report. Its log is only written when it has failed: there, it is what tells why."""
    report, log = request.scratch / "report.json", request.scratch / "pip.log"
    arguments = request.arguments(report)
    markers, folder = request.target.markers(), request.folder
    outcome = run([*arguments, "--quiet"], sources=request.sources, markers=markers, folder=folder)
    if outcome.code == 0:
        return _installs(report)
    if "(from versions: none)" in outcome.said and (network := network_error(outcome.said)):
        # Nothing more would be learnt, and pip's retries take their time.
        raise network
    again = run([*arguments, f"--log={log}"], sources=request.sources, markers=markers, folder=folder)
    if again.code == 0:
        return _installs(report)
    told = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    raise Failure(
        said=again.said, log=told, target=request.target, lines=request.lines, sources=request.sources
    ).error()


def _installs(report: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(report.read_bytes())["install"]
    except (OSError, ValueError, KeyError) as error:
        raise ToolFailed("pip", f"its report cannot be read: {error}") from error
    return found


def _pin(item: Mapping[str, Any], target: Target, built: Mapping[str, WheelPin], store: Store) -> WheelPin:
    info, metadata = item["download_info"], item["metadata"]
    name, filename = canonicalize_name(metadata["name"]), _filename(info["url"])
    if name in built:
        return replace(built[name], requested=item["requested"])
    digest = _digest(info, name)
    _check_fits(filename, name, target)
    direct = json.dumps(_placeless(info), sort_keys=True) if item["is_direct"] else None
    size = None
    if item["is_direct"] and (path := _local(info["url"])):
        # No index has it: what is in the store now is what will be installed.
        with explained(path):
            size = path.stat().st_size
        store.put_file(path, digest=digest, size=size, what=filename)
    return WheelPin(
        name=name,
        version=str(Version(metadata["version"])),
        filename=filename,
        sha256=digest,
        size=size,
        requested=item["requested"],
        direct_url=direct,
    )


def _digest(info: Mapping[str, Any], name: str) -> Digest:
    found = info.get("archive_info", {}).get("hashes", {}).get("sha256")
    if found:
        return Digest.parse(f"sha256:{found}")
    if path := _local(info["url"]):
        with explained(path):
            return digest_file(str(path))[0]
    raise ResolutionError(
        name, "the index gives no sha256 for its wheel", hint="put the wheel into the image's wheels/"
    )


def _check_fits(filename: str, name: str, target: Target) -> None:
    try:
        tags = parse_wheel_filename(filename)[3]
    except InvalidWheelFilename as error:
        raise ResolutionError(name, f"pip chose {filename}, which is no wheel") from error
    if tags.isdisjoint(target.tags()):
        raise ResolutionError(name, f"pip chose {filename}, which does not run on {target}")


def _placeless(info: Mapping[str, Any]) -> dict[str, Any]:
    # Where a file lay on the machine that resolved would make the image depend on it.
    return {**info, "url": f"file:///{_filename(info['url'])}"} if _local(info["url"]) else dict(info)


def _filename(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _local(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _still_allowed(pin: WheelPin, lines: Sequence[RequirementLine]) -> bool:
    ours = [line for line in lines if line.name == pin.name]
    if pin.direct_url or pin.built_from or any(line.wheel for line in ours):
        return False
    return all(SpecifierSet(line.specifier).contains(pin.version, prereleases=True) for line in ours)


def _as_urls(built: Mapping[str, WheelPin], scratch: Path, store: Store) -> list[str]:
    return [f"{pin.name} @ {_as_url(pin, scratch, store)}" for pin in built.values()]


def _as_url(pin: WheelPin, scratch: Path, store: Store) -> str:
    (scratch / pin.filename).symlink_to(store.path(pin.sha256).absolute())
    return (scratch / pin.filename).as_uri()


def _constraints_file(path: Path, lines: Sequence[str]) -> tuple[Path, ...]:
    if not lines:
        return ()
    fill(path, "".join(f"{line}\n" for line in lines).encode())
    return (path,)


def _note_yanked(items: Sequence[Mapping[str, Any]], listener: Listener) -> None:
    for item in items:
        if item.get("is_yanked"):
            metadata = item["metadata"]
            listener.note(f"{metadata['name']} {metadata['version']} has been yanked by its authors")
