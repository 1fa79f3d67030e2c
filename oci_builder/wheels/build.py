"""Pure wheels from the sdists of projects that a recipe names under [python] build: the one thing that runs foreign
code on the host, and only when asked to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.tags import Tag
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

from oci_builder import inputs
from oci_builder.digest import Digest, digest_file
from oci_builder.errors import DigestMismatch, ResolutionError, UnsafeArchive, UnsupportedRequirement, WheelError
from oci_builder.files import fill
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.tree.tarread import extract_archive
from oci_builder.wheels.normalise import normalise
from oci_builder.wheels.pins import Sdist, WheelPin
from oci_builder.wheels.pip import PipRules, WheelSources, build, for_target, run
from oci_builder.wheels.requirements import RequirementLine
from oci_builder.wheels.target import Target

MAX_MEMBERS = 50_000
MAX_BYTES = 1 << 30
"""What a source archive may unpack to."""

RUNS_HERE = "its build code runs on this machine"
"""What is told of a build; of an image that is up to date it is not true."""

ZIP_EPOCH = 315532800
"""1980-01-01: the oldest time a zip can say, given to builds so that a wheel does not tell when it was made."""
_PURE = Tag("py3", "none", "any")
_RECORDS = "normal-wheels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Builds wheels on this machine, of what ``sources`` let be built; they are kept in ``store``.

    An sdist is built once: the store remembers. What building takes comes from ``sources`` as well, and of that nothing
    is built that they do not name.
    """

    sources: WheelSources
    store: Store
    reporter: Reporter

    def build(self, target: Target, lines: Sequence[RequirementLine]) -> dict[str, WheelPin]:
        """A pin, by normalised name, of a wheel built from the newest sdist that ``lines`` allow.

        Raises ResolutionError (no sdist), UnsafeArchive, UnsupportedRequirement (the build needs an sdist), and
        WheelError (the build failed, or its wheel is not pure).
        """
        built: dict[str, WheelPin] = {}
        for name in sorted(self.sources.build):
            ours = [line for line in lines if line.name == name]
            specifier = ",".join(sorted({line.specifier for line in ours} - {""}))
            hashes = [text for line in ours for text in line.hashes]
            built[name] = self._built(f"{name}{specifier}", hashes, name, target)
        return built

    def rebuild(self, pin: WheelPin, target: Target) -> None:
        """Put the wheel of a pin that was ``built_from`` an sdist into the store.

        Raises what ``build`` does, DigestMismatch when the build gives another wheel than it once did, and
        UnsupportedRequirement when ``sources.build`` does not name it: a lock alone lets nothing run.
        """
        assert pin.built_from is not None
        if pin.name not in self.sources.build:
            why = (
                f"its lock says that it was built from {pin.built_from.filename}, and the recipe does not ask for that"
            )
            hint = f'name it in image.toml ([python] build = ["{pin.name}"]), put its wheel into wheels/, or lock again'
            raise UnsupportedRequirement(str(pin), "what is locked", why, hint=hint)
        sha256 = f"sha256:{pin.built_from.sha256.hex}"
        again = self._built(f"{pin.name}=={pin.version}", [sha256], pin.name, target)
        if again.sha256 != pin.sha256:
            raise DigestMismatch(
                f"{pin.filename}, built from {pin.built_from.filename}",
                expected=str(pin.sha256),
                actual=str(again.sha256),
                hint="this build is not reproducible: keep the wheel in the image's wheels/, or lock again",
            )

    def _built(self, requirement: str, hashes: Sequence[str], name: str, target: Target) -> WheelPin:
        with self.store.scratch() as scratch:
            sdist = _fetch_sdist(requirement, hashes, name, target, self.sources, scratch)
            source = Sdist(filename=sdist.name, sha256=digest_file(str(sdist))[0])
            filename, digest, size = _remembered(source, self.store) or self._build(sdist, source)
        try:
            found, version, _, tags = parse_wheel_filename(filename)
        except InvalidWheelFilename as error:
            raise WheelError(filename, f"built from {source.filename}, it has not the name of a wheel") from error
        if found != name or _PURE not in tags:
            raise WheelError(
                filename,
                f"built from {source.filename}, it is not a pure wheel, and this host cannot build for another machine",
                hint="build it where it will run, put it into the image's wheels/, and take it out of [python] build",
            )
        return WheelPin(
            name=name,
            version=str(version),
            filename=filename,
            sha256=digest,
            size=size,
            requested=True,
            built_from=source,
        )

    def _build(self, sdist: Path, source: Sdist) -> tuple[str, Digest, int]:
        unpacked = _unpack(sdist)
        self.reporter.note(f"building {sdist.name}: {RUNS_HERE}")
        folder = sdist.parent.with_name("wheel")
        # The cache may lie in somebody's checkout, whose files are no part of this project.
        environ = {**self.sources.environ, "GIT_CEILING_DIRECTORIES": str(unpacked.parent)}
        quiet = replace(self.sources, environ=environ)
        outcome = build([f"--wheel-dir={folder}"], unpacked, sources=quiet, epoch=ZIP_EPOCH)
        wheels = inputs.matching(folder, "*.whl")
        if outcome.code != 0 or len(wheels) != 1:
            said = [line.strip() for line in outcome.said.splitlines() if line.strip()]
            raise WheelError(sdist.name, "building it failed:\n  " + "\n  ".join(said[-12:]))
        normalise(wheels[0], sdist.name)
        digest, size = digest_file(str(wheels[0]))
        self.store.put_file(wheels[0], digest=digest, size=size, what=wheels[0].name)
        record = {"filename": wheels[0].name, "sha256": digest.hex, "size": size}
        self.store.put_record(_RECORDS, source.sha256.hex, json.dumps(record, sort_keys=True).encode())
        return wheels[0].name, digest, size


def _fetch_sdist(
    requirement: str, hashes: Sequence[str], name: str, target: Target, sources: WheelSources, scratch: Path
) -> Path:
    asked, kept = scratch / "sdist.txt", scratch / "sdist"
    line = " ".join([requirement, *(f"--hash={text}" for text in hashes)])
    fill(asked, "\n".join([*sources.options, line, ""]).encode())
    kept.mkdir()
    arguments = ["download", "--no-deps", f"--no-binary={name}", f"--dest={scratch}", f"--requirement={asked}"]
    rules = PipRules(markers=target.markers(), keep=(name, kept))
    outcome = run([*arguments, *for_target(target), *sources.arguments()], sources=sources, rules=rules)
    found = inputs.listing(kept)
    if not found:
        errors = [line.removeprefix("ERROR: ") for line in outcome.said.splitlines() if line.startswith("ERROR: ")]
        why = errors[-1] if errors else "pip found no source archive"
        raise ResolutionError(requirement, why, hint="it stands under [python] build, so it needs an sdist")
    return found[0]


def _unpack(sdist: Path) -> Path:
    """Unpack ``sdist`` beside itself and return its folder: what was judged is what is built."""
    if not sdist.name.endswith(".tar.gz"):
        raise UnsafeArchive(sdist.name, "a source archive is a .tar.gz (PEP 625)")
    try:
        parse_sdist_filename(sdist.name)
    except InvalidSdistFilename as error:
        raise UnsafeArchive(sdist.name, "its name is not that of a source archive (PEP 625)") from error
    into = sdist.parent.with_name("unpacked")
    return extract_archive(sdist, into, max_members=MAX_MEMBERS, max_bytes=MAX_BYTES)


def _remembered(source: Sdist, store: Store) -> tuple[str, Digest, int] | None:
    data = store.record(_RECORDS, source.sha256.hex)
    if data is None:
        return None
    record = json.loads(data)
    digest = Digest(record["sha256"])
    return (record["filename"], digest, record["size"]) if store.has(digest, record["size"]) else None
