"""Requirements → pins, decided by pip as it would decide inside the image."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from oci_builder import inputs
from oci_builder.digest import Digest, digest_file
from oci_builder.errors import NoMatchingWheel, ResolutionError, ToolFailed
from oci_builder.files import explained, fill
from oci_builder.redaction import redact_text
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.wheels.build import Workshop
from oci_builder.wheels.explain import Failure, network_error
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import Here, PipRules, WheelSources, for_target, run
from oci_builder.wheels.process import LINE
from oci_builder.wheels.project_requirements import ProjectRequirements
from oci_builder.wheels.requirements import RequirementLine, Requirements, read
from oci_builder.wheels.standing import StandingPins, standing
from oci_builder.wheels.target import Target
from oci_builder.wheels.wheelurl import parse_wheel_url

__all__ = ["WheelSources", "resolve"]

_LOG = 64 << 20
"""Bytes of pip's log that are read."""

_REPORT = 256 << 20
"""Bytes of its report: what packages say of themselves is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """``files`` and ``limits`` are made for pip; ``origins`` tells which line of the user's stands in their lines."""

    files: tuple[Path, ...]
    folder: Path
    limits: tuple[Path, ...]
    origins: Mapping[str, RequirementLine]
    lines: tuple[RequirementLine, ...]
    target: Target
    sources: WheelSources
    scratch: Path
    complete: bool = False

    def arguments(self, report: Path) -> list[str]:
        files = [f"--requirement={path.absolute()}" for path in self.files]
        limits = [f"--constraint={path.absolute()}" for path in self.limits]
        # --no-user: a user = true in pip's configuration is about this machine.
        fixed = ["--dry-run", "--ignore-installed", "--no-user", "--only-binary=:all:", f"--report={report}"]
        fixed += ["--no-deps"] if self.complete else []
        return ["install", *fixed, *for_target(self.target), *self.sources.arguments(), *files, *limits]


def resolve(
    requirements: Sequence[Path | ProjectRequirements],
    target: Target,
    *,
    sources: WheelSources,
    preferred: Sequence[WheelPin] = (),
    store: Store,
    reporter: Reporter,
) -> tuple[WheelPin, ...]:
    """The wheels that ``requirements`` mean on ``target``, sorted by name; nothing depends on this host.

    Versions of ``preferred`` pins are kept where the requirements still allow them. Projects that ``sources`` name to
    be built are built from their sdist, and must come out as pure wheels. A size is known when a preferred pin tells it
    or the wheel was local: pip does not pass on what an index says, and what the store happens to hold must not show in
    a lock. ``fetch.sized`` fills it in.

    Raises UnsupportedRequirement, RecipeError, NotFound (from ``scan``); NoMatchingWheel; ResolutionError;
    TransportError; UnsafeArchive and WheelError for what is built; ToolFailed.
    """
    asked = read(requirements, environ=sources.environ)
    project = next(
        (each.project for each in requirements if isinstance(each, ProjectRequirements) and each.project), None
    )
    if all(line.constraint for line in asked.lines) and project is None:
        return ()
    sizes = {pin.sha256: pin.size for pin in preferred}
    kept = {pin.name: pin for pin in preferred if _still_allowed(pin, asked.lines)}
    stands = StandingPins(asked=asked, target=target, sources=sources, store=store, kept=kept, sizes=sizes)
    if (known := standing(stands, requirements)) is not None:
        return known
    # In the file that pip is given to resolve they stand anyway; a sdist is asked for in another.
    workshop = Workshop(sources=replace(sources, options=asked.where), store=store, reporter=reporter)
    with store.scratch() as scratch:
        built = workshop.build(target, asked.lines)
        request = _request(requirements, asked, target, sources, scratch, store)
        request = replace(
            request,
            limits=(*request.limits, *_file(scratch / "built.txt", _as_urls(built, scratch, store))),
        )
        items = _ask_with_preference(request, preferred, set(built), reporter)
        pins = [_pin(item, target, built, store) for item in items]
        _note_yanked(items, reporter)
    # The project changes with every edit of its sources: what is pinned is what it needs.
    pins = [pin for pin in pins if project is None or pin.name != project.name]
    return tuple(sorted((replace(pin, size=sizes.get(pin.sha256, pin.size)) for pin in pins), key=lambda pin: pin.name))


def _request(
    requirements: Sequence[Path | ProjectRequirements],
    asked: Requirements,
    target: Target,
    sources: WheelSources,
    scratch: Path,
    store: Store,
) -> _Request:
    """What pip is asked: in files made for it, so that it reads what was read here and nothing else."""
    built = [each for each in requirements if isinstance(each, ProjectRequirements) and each.project is not None]
    # What is said twice pip need not read twice.
    once: dict[tuple[str, bool], RequirementLine] = {}
    for line in asked.lines:
        once.setdefault((line.raw, line.constraint), line)
    given = [line for line in once.values() if line.raw]
    wanted, limits = [line for line in given if not line.constraint], [line for line in given if line.constraint]
    projects = [_project(each, asked, scratch, store) for each in built]
    files = _file(scratch / "requirements.txt", [*asked.options, *(line.raw for line in wanted), *projects])
    constraints = _file(scratch / "constraints.txt", [line.raw for line in limits])
    first = len(asked.options) + 1
    origins = {f"{path.absolute()} (line {first + at})": line for path in files for at, line in enumerate(wanted)}
    origins |= {f"{path.absolute()} (line {1 + at})": line for path in constraints for at, line in enumerate(limits)}
    return _Request(
        files=files,
        folder=_folder(requirements),
        limits=constraints,
        origins=origins,
        lines=asked.lines,
        target=target,
        sources=sources,
        scratch=scratch,
        complete=any(isinstance(each, ProjectRequirements) and each.complete for each in requirements),
    )


def _project(each: ProjectRequirements, asked: Requirements, scratch: Path, store: Store) -> str:
    assert each.project is not None
    extras = f"[{','.join(each.extras)}]" if each.extras else ""
    # One hash in a file makes pip ask for all the others.
    proof = f" --hash=sha256:{each.project.sha256.hex}" if any(line.hashes for line in asked.lines) else ""
    return f"{each.project.name}{extras} @ {_as_url(each.project, scratch, store)}{proof}"


def _folder(requirements: Sequence[Path | ProjectRequirements]) -> Path:
    first = requirements[0]
    return (first.file if isinstance(first, ProjectRequirements) else first).absolute().parent


def _ask_with_preference(
    request: _Request, preferred: Sequence[WheelPin], built: Collection[str], reporter: Reporter
) -> list[dict[str, Any]]:
    kept = [pin for pin in preferred if pin.name not in built and _still_allowed(pin, request.lines)]
    if kept:
        text = [f"{pin.name}=={pin.version}" for pin in kept]
        limits = (*request.limits, *_file(request.scratch / "preferred.txt", text))
        try:
            return _ask(replace(request, limits=limits))
        except (NoMatchingWheel, ResolutionError):
            # Only where that helps it was the versions.
            items = _ask(request)
        reporter.note("the locked versions no longer fit together; all of them were chosen anew")
        return items
    return _ask(request)


def _ask(request: _Request) -> list[dict[str, Any]]:
    """pip's report. Its log is only written when it has failed: there, it is what tells why."""
    report, log = request.scratch / "report.json", request.scratch / "pip.log"
    arguments = request.arguments(report)
    rules = PipRules(markers=request.target.markers())
    sources = request.sources
    inputs.all_variables()
    if not sources.offline:
        inputs.unwatched("an index said which versions there are")
    here = Here(folder=request.folder, places={made: line.place for made, line in request.origins.items()})
    outcome = run([*arguments, "--quiet"], sources=sources, rules=rules, here=here)
    if outcome.code == 0:
        return _installs(report)
    if "(from versions: none)" in outcome.said and (network := network_error(outcome.said)):
        # Nothing more would be learnt, and pip's retries take their time.
        raise network
    again = run([*arguments, f"--log={log}"], sources=sources, rules=rules, here=here)
    if again.code == 0:
        return _installs(report)
    raise Failure(
        said=_as_asked(again.said, request),
        log=_logged(log),
        target=request.target,
        lines=request.lines,
        sources=request.sources,
    ).error()


def _as_asked(said: str, request: _Request) -> str:
    """pip's words, with the lines of the user's files in place of those made for it."""

    def place(found: re.Match[str]) -> str:
        line = request.origins.get(found[0])
        return found[0] if line is None else f"{line.file.absolute()} (line {line.line})"

    made = "|".join(re.escape(str(path.absolute())) for path in (*request.files, *request.limits))
    return re.sub(rf"(?:{made}) \(line \d+\)", place, said)


def _logged(log: Path) -> str:
    """The log, as far as it is read, with lines that no pattern stumbles over."""
    lines, size = [], 0
    try:
        with log.open("rb") as stream:
            while size < _LOG and (line := stream.readline(_LOG)):
                size += len(line)
                lines.append(line[:LINE].decode("utf-8", "replace").rstrip("\r\n"))
    except OSError:
        return ""
    return redact_text("\n".join(lines))


def _installs(report: Path) -> list[dict[str, Any]]:
    try:
        with report.open("rb") as stream:
            data = stream.read(_REPORT + 1)
        if len(data) > _REPORT:
            raise ValueError(f"longer than {_REPORT} bytes")
        # Not bounded.load_json: what packages say may be in no encoding at all.
        found: list[dict[str, Any]] = json.loads(data)["install"]
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise ToolFailed("pip", f"its report cannot be read: {error}") from error
    return found


def _pin(item: Mapping[str, Any], target: Target, built: Mapping[str, WheelPin], store: Store) -> WheelPin:
    info, metadata = item["download_info"], item["metadata"]
    name, filename = canonicalize_name(metadata["name"]), _filename(info["url"])
    if name in built:
        return replace(built[name], requested=item["requested"])
    digest = _digest(info, name)
    _check_fits(filename, name, target)
    if item["is_direct"]:
        _check_url(_placeless(info)["url"], name)
    direct = json.dumps(_as_pip_says(_placeless(info)), sort_keys=True) if item["is_direct"] else None
    size = None
    if item["is_direct"] and (path := _local(info["url"])):
        # No index has it: what is in the store now is what will be installed.
        with explained(path):
            size = inputs.size_of(path)
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
        # As pip compares them: indexes, and requirements, may have them in capitals.
        return Digest.parse(f"sha256:{found.lower()}")
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


def _check_url(url: str, name: str) -> None:
    try:
        parse_wheel_url(url)
    except ValueError as error:
        raise ResolutionError(name, f"no lock can hold where its wheel is: {error}") from error


def _placeless(info: Mapping[str, Any]) -> dict[str, Any]:
    # Where a file lay on the machine that resolved would make the image depend on it.
    return {**info, "url": f"file:///{_filename(info['url'])}"} if _local(info["url"]) else dict(info)


def _as_pip_says(info: dict[str, Any]) -> dict[str, Any]:
    """``info`` without the sha256 that was computed on arrival where the URL has another hash: pip knows that alone."""
    archive = info.get("archive_info", {})
    hashes = archive.get("hashes", {})
    if len(hashes) < 2:
        return info
    kept = {name: text for name, text in hashes.items() if name != "sha256"}
    return {**info, "archive_info": {**archive, "hashes": kept}}


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


def _file(path: Path, lines: Sequence[str]) -> tuple[Path, ...]:
    if not lines:
        return ()
    fill(path, "".join(f"{line}\n" for line in lines).encode())
    return (path,)


def _note_yanked(items: Sequence[Mapping[str, Any]], reporter: Reporter) -> None:
    for item in items:
        if item.get("is_yanked"):
            metadata = item["metadata"]
            reporter.note(f"{metadata['name']} {metadata['version']} has been yanked by its authors")
