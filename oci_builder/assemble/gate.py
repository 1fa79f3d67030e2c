"""The gate on the way out: what a recipe says of it, and what becomes of what it finds."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace
from packaging.requirements import InvalidRequirement, Requirement

from oci_builder.assemble.base import BaseResolver
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.foreign_locks import foreign_decides
from oci_builder.bases import Base, Pulling, library_supplier, open_base
from oci_builder.digest import Digest
from oci_builder.errors import CheckFailed, InvalidValue
from oci_builder.gate.finding import Allowance, GateResult, judged, summary
from oci_builder.gate.gate import RECORDS, BaseContents, GateRules, gate, remembered
from oci_builder.gate.languages import speaks
from oci_builder.image import Image
from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.packages import Inventory
from oci_builder.oci.documents import RunConfig
from oci_builder.oci.jsonio import encode
from oci_builder.platforms import Platform
from oci_builder.recipes import AllowRecipe, ImageSource, ImageToml
from oci_builder.reference import Reference
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.version import __version__
from oci_builder.wheels.project_requirements import ProjectRequirements, read_pyproject
from oci_builder.wheels.requirements import scan
from oci_builder.wheels.target import Target

_MADE = f"made-{RECORDS}"
"""The kind of the records of what was found in images that were made already."""

_LINES = 5
"""Lines of warnings that a build says; ``ocibuild check`` says them all."""


def judge(
    source: ImageSource,
    image: Image,
    base: Base,
    *,
    context: BuildContext,
    policy: BuildPolicy,
    imports: bool = False,
) -> GateResult:
    """What is wrong with ``image``, and what of it the recipe allows. Raises DigestMismatch for a damaged layer."""
    rules = GateRules(
        allow=(*map(_allowance, source.recipe.checks.allow), *_unscripted(source.recipe)),
        max_size=source.recipe.max_bytes,
        imports=imports,
        extras={} if policy.frozen else _asked(source, base, context.environ),
        inherited=_inherited(source.recipe),
        languages=frozenset(filter(speaks, source.recipe.config.env)),
    )
    ground = BaseContents(layers=base.layers, tree=base.tree, target=base.target if base.promise else None)
    bases = BaseResolver(source, context, policy)
    supplier = library_supplier(base, bases.layer_of_release)
    return gate(_whole(image, base), ground, rules=rules, supplier=supplier, store=context.store)


def judge_made(
    place: Path | Reference,
    found: Inventory,
    *,
    pulling: Pulling | None = None,
    store: Store,
    memory: Store | None = None,
    reporter: Reporter,
) -> GateResult:
    """What is wrong with the image at ``place``, made by whomever; ``found`` is what is in it. Nothing is allowed.

    Only its Python distributions are judged: what the system below them is like was decided by who made that. An image
    for a platform that nobody builds for here gives no findings. Its layers are in the store afterwards, unless
    ``memory`` knows what was found in an image of the same bytes. Raises what ``open_base`` raises.
    """
    key = _identity(found.contents) if memory is not None else ""
    known = remembered(_MADE, key, memory) if memory is not None and key else None
    if known is not None:
        return judged(known, ())
    result = _judge_made(place, found, pulling, store, reporter)
    if memory is not None and key:
        memory.put_record(_MADE, key, msgspec.json.encode([*result.errors, *result.warnings]))
    return result


def _identity(contents: ImageContents) -> str:
    """The key of an image whose every byte was held to a digest when it was read; nothing where one was not."""
    layers = [layer.identity if layer.digest is None else str(layer.digest) for layer in contents.layers]
    if not all(re.fullmatch(r"sha256:[0-9a-f]{64}", text) for text in layers):
        return ""
    return Digest.of(encode({"config": str(contents.config_digest), "layers": layers, "by": __version__})).hex


def _judge_made(
    place: Path | Reference, found: Inventory, pulling: Pulling | None, store: Store, reporter: Reporter
) -> GateResult:
    try:
        platform = Platform.parse(found.contents.platform)
    except InvalidValue:
        return GateResult(errors=(), warnings=())
    base = open_base(place, platform, store=store, pulling=pulling, reporter=reporter)
    site = base.tree.resolve(base.promise.purelib.strip("/")) if base.promise else ""
    ours = {each for each in found.packages if each.kind == "python" and each.place.rpartition("/")[0] == site}
    labelled = frozenset(package.label for package in ours)
    labels = {path: package.label for path, package in found.owners.items() if package in ours}
    named = ((entry, label) for path, label in labels.items() if (entry := base.tree.get(path)) is not None)
    tree = base.tree.overlaid(replace(entry, origin=label) for entry, label in named)
    run = base.inherited.run if base.inherited is not None else RunConfig()
    image = Image(platform=base.platform, run=run, created=base.created, layers=base.layers)
    ground = BaseContents(layers=base.layers, tree=tree, target=base.target if base.promise else None, judged=labelled)
    return gate(_whole(image, base), ground, rules=GateRules(), supplier=lambda _: "", store=store)


def _whole(image: Image, base: Base) -> Image:
    """The image with the healthcheck that stays the base's, which nobody reads to write it."""
    kept = base.inherited.healthcheck if base.inherited is not None else None
    if kept is None or image.run.healthcheck is not None:
        return image
    return dataclasses.replace(image, run=dataclasses.replace(image.run, healthcheck=kept))


def let_through(gated: GateResult, recipe: ImageToml, reporter: Reporter) -> None:
    """Say the warnings, in a few lines. Raises CheckFailed with the errors, if there are any."""
    if gated.errors:
        raise refusal(gated, recipe)
    for line in summary(gated.warnings, limit=_LINES):
        reporter.note(f"warning: {line}")


def refusal(gated: GateResult, recipe: ImageToml) -> CheckFailed:
    """The errors, each said with the others' hints, as the error that says them."""
    packages = list(dict.fromkeys(finding.supplier for finding in gated.errors if finding.supplier))
    hints = [f"add to image.toml: base-packages = [{', '.join(map(_quoted, packages))}]"] if packages else []
    hints += list(dict.fromkeys(finding.hint for finding in gated.errors if finding.hint))
    allow = "what is right as it is can be allowed in image.toml, with a reason: [checks] allow"
    lines = [finding.message for finding in gated.errors]
    return CheckFailed(f"{recipe.name} would not run as it is", lines, hint="; ".join([*hints, allow]))


def _inherited(recipe: ImageToml) -> frozenset[str]:
    """The keys of the configuration that the recipe leaves to others: to its base, and what is so by default."""
    config = recipe.config
    said = {
        "entrypoint": bool(config.entrypoint),
        "cmd": config.cmd is not None,
        "workdir": config.workdir is not None,
        "healthcheck.test": config.healthcheck is not None,
    }
    return frozenset(key for key, own in said.items() if not own)


def _asked(source: ImageSource, base: Base, environ: Mapping[str, str]) -> Mapping[str, Collection[str]]:
    """The extras that the recipe's requirements ask for. Where a lock is taken unseen nobody looks at them."""
    if base.promise is None or foreign_decides(source):
        return {}
    python = source.recipe.python
    files: list[Path | ProjectRequirements] = [*source.requirements]
    files += [read_pyproject(path, extras=python.extras, groups=python.groups) for path in source.pyprojects]
    found: dict[str, set[str]] = {}
    for line in scan(files, environ=environ):
        asked = _extras(line.text, base.target) if line.wheel is None and not line.constraint else ()
        if asked:
            found.setdefault(line.name, set()).update(asked)
    return found


def _extras(text: str, target: Target) -> Collection[str]:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return ()  # a wheel's bare URL
    applies = requirement.marker is None or requirement.marker.evaluate(dict(target.markers()))
    return requirement.extras if applies else ()


def _quoted(text: str) -> str:
    return f'"{text}"'


def _unscripted(recipe: ImageToml) -> Iterator[Allowance]:
    """Who has the scripts of a package passed over says why there."""
    for name, reason in recipe.debian.skipped.items():
        yield Allowance(reason=reason, finding="scripts-skipped", package=name)


def _allowance(recipe: AllowRecipe) -> Allowance:
    return Allowance(
        reason=recipe.reason,
        finding=recipe.finding or "",
        library=recipe.library or "",
        package=recipe.package or "",
        subject=recipe.subject or "",
    )
