"""Images onto other bases: both opened wherever they are, the old base found, and the result given to a store."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from oci_builder.assemble.build import Built, write_image
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.delivery import push_built
from oci_builder.assemble.updates import Place, UpdateTask, names_of, opened_parts, write
from oci_builder.bases import Base, Pulling, Supply, open_base
from oci_builder.bases.images import as_base
from oci_builder.catalog import read_reference
from oci_builder.digest import Digest
from oci_builder.errors import CheckFailed, InvalidValue, OcibuildError, RegistryError
from oci_builder.gate.finding import Finding
from oci_builder.image import Image
from oci_builder.imported.opening import describe, open_image
from oci_builder.oci.inherited import inherit
from oci_builder.oci.manifest import platform_of
from oci_builder.platforms import Platform
from oci_builder.rebase.config import BASE_DIGEST, BASE_NAME
from oci_builder.rebase.oldbase import OldBase, expect_below, known_base, said_of
from oci_builder.rebase.swap import Swap, rebase
from oci_builder.reference import Reference
from oci_builder.registry.pulling import fetch_image
from oci_builder.registry.pushing import Pushed
from oci_builder.updates.update import Update, UpdatePolicy

_OURS = "ocibuild base "
"""How the history's line of a base begins that was made of Debian packages: one layer."""

_SHOWN = 5
"""Reasons of one kind that are said in full."""

_NAME_IT = "name the version of the base that it was made on with --base: a file, a folder or NAME@DIGEST"


class RebaseRefused(OcibuildError):
    """An image that nothing is to be done for: nobody knows its base, or it is on the new one."""


@dataclass(frozen=True, kw_only=True)
class RebaseTask:
    """What is wanted: ``image`` onto the base ``onto``, off ``base`` if that is named; ``kept`` is as of ``Swap``."""

    image: Place
    onto: Place
    base: Place | None = None
    platform: Platform | None = None
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class RebasedImage:
    """An image on its new base, whose layers are in the store, with the names of the one it was made of.

    ``old`` and ``new`` are what the bases are called; ``below`` and ``own`` count the layers of the new base and of the
    image itself. With ``findings``, it would not run there as it did.
    """

    image: Image
    references: tuple[Reference, ...]
    old: str
    new: str
    below: int
    own: int
    findings: tuple[Finding, ...]


def put_onto(task: RebaseTask, context: BuildContext, policy: BuildPolicy) -> RebasedImage:
    """Put an image onto another base and judge it; nothing is written.

    Raises RebaseRefused, UnsupportedImage, DigestMismatch, RegistryError, FileProblem, and what opening a base raises.
    """
    with contextlib.ExitStack() as stack:
        parts = stack.enter_context(opened_parts(task.image, task.platform, context, partial_is_well=False))
        platform = task.platform or platform_of(parts.config, what=parts.name)
        with context.reporter.stage("read"):
            found = open_image(parts, platform, store=context.store, reporter=context.reporter)
        image = as_base(found, platform)
        annotations, references = parts.annotations, names_of(parts)
    opener = _Opener(context, policy)
    new = opener.open(task.onto, platform)
    swap = Swap(image=image, old=OldBase(name="", layers=0), new=new, annotations=annotations, kept=task.kept)
    if swap.is_done:
        raise RebaseRefused(f"{image.name} stands on {new.name} already: there is nothing to do")
    swap = replace(swap, old=_old_base(task, image, annotations, opener))
    with context.reporter.stage("check"):
        done = rebase(swap, context.store)
    return RebasedImage(
        image=done.image,
        references=references,
        old=swap.old.name,
        new=new.name,
        below=len(new.layers),
        own=len(swap.own),
        findings=done.findings,
    )


@dataclass(frozen=True)
class _Opener:
    """Opens bases, of whatever kind."""

    context: BuildContext
    policy: BuildPolicy

    def open(self, place: Place, platform: Platform) -> Base:
        """The base at ``place``. Raises what opening one of its kind raises."""
        context, policy = self.context, self.policy
        supply = Supply(
            now=context.now,
            mirrors=policy.mirrors,
            offline=bool(policy.offline),
            locked=policy.locked,
            writes_locks=policy.update_lock,
            jobs=context.jobs,
        )
        return open_base(
            place,
            platform,
            store=context.store,
            supply=supply,
            pulling=Pulling(registries=context.registries, jobs=context.jobs, offline=bool(policy.offline)),
            reporter=context.reporter,
        )


def _old_base(task: RebaseTask, image: Base, annotations: Mapping[str, str], opener: _Opener) -> OldBase:
    """The base that the image was made on. Raises RebaseRefused where nothing tells, UnsupportedImage."""
    if task.base is not None:
        base = opener.open(task.base, image.platform)
        expect_below(base.name, [layer.diff_id for layer in base.layers], image)
        return known_base(base.name, said_of(base))
    said = {**annotations, **(image.inherited.run.labels if image.inherited else {})}
    name = said.get(BASE_NAME, "")
    reference = _reference(name, said.get(BASE_DIGEST, ""))
    if reference is not None and opener.policy.offline:
        raise RebaseRefused(f"{image.name} stands on {reference}, which would have to be asked for", hint=_NAME_IT)
    if reference is not None:
        return _served(reference, image, opener.context)
    if image.layers and image.layers[0].created_by.startswith(_OURS):
        return OldBase(name=name or image.layers[0].created_by.removeprefix(_OURS), layers=1)
    raise RebaseRefused(f"nothing in {image.name} says which base it stands on", hint=_NAME_IT)


def _reference(name: str, digest: str) -> Reference | None:
    """The image of a registry that labels name; None where they name none."""
    try:
        found = read_reference(name) if name else None
        return found if found is None or not digest else replace(found, tag="", digest=Digest.parse(digest))
    except InvalidValue:
        return None


def _served(reference: Reference, image: Base, context: BuildContext) -> OldBase:
    """The base that a registry still has; of it, no layer is fetched. Raises UnsupportedImage, RegistryError."""
    try:
        found = fetch_image(reference, image.platform, context.registries)
    except RegistryError as error:
        hint = f"{error.hint}; or {_NAME_IT}" if error.hint else _NAME_IT
        raise RegistryError(
            error.method, error.url, error.why, status=error.status, codes=error.codes, hint=hint
        ) from error
    name = str(reference)
    described = describe(found.config, image.platform, layers=len(found.layers), what=name)
    expect_below(name, [layer.diff_id for layer in described.layers], image)
    return known_base(name, inherit(described.config, layers=len(described.layers), what=name))


@dataclass(frozen=True, kw_only=True)
class RebaseTarget:
    """Where an image on its new base goes, called ``references``: a ``file``, and registries.

    ``since`` makes the file an update for a target that has that image. With ``verify`` it is read again before it
    appears.
    """

    file: Path | None = None
    pushes: tuple[Reference, ...] = ()
    references: tuple[Reference, ...] = ()
    since: Place | None = None
    policy: UpdatePolicy = field(default_factory=UpdatePolicy)
    verify: bool = False


@dataclass(frozen=True, kw_only=True)
class DeliveredRebase:
    """What became of it: the file's size in bytes, 0 without one; the ``update`` in it; what was pushed."""

    size: int = 0
    update: Update | None = None
    pushed: tuple[Pushed, ...] = ()


def deliver(found: RebasedImage, target: RebaseTarget, context: BuildContext) -> DeliveredRebase:
    """Write an image on its new base, then push it: what others see comes last. Raises CheckFailed where it has
    findings, and what writing, updating and pushing raise."""
    if found.findings:
        raise refusal(found)
    references = target.references or found.references
    size, update = 0, None
    if target.file is not None and target.since is not None:
        task = UpdateTask(
            old=target.since,
            new=found.image,
            platform=found.image.platform,
            references=references,
            policy=target.policy,
            verify=target.verify,
        )
        update, size = write(task, target.file, context)
    elif target.file is not None:
        size = write_image(found.image, target.file, references=references, context=context, verify=target.verify)
    built = Built(image=found.image, wheels=())
    pushed = push_built([built], target.pushes, context) if target.pushes else ()
    return DeliveredRebase(size=size, update=update, pushed=pushed)


def refusal(found: RebasedImage) -> CheckFailed:
    """All reasons at once, those of one kind together where there are many."""
    lines: list[str] = []
    groups: dict[str, list[Finding]] = {}
    for finding in found.findings:
        groups.setdefault(finding.kind, []).append(finding)
    for kind, members in groups.items():
        lines += [each.message for each in members[:_SHOWN]]
        if len(members) > _SHOWN:
            lines.append(f"and {len(members) - _SHOWN} more of that kind ({kind}); --json names them all")
    hints = list(dict.fromkeys(finding.hint for finding in found.findings if finding.hint))
    return CheckFailed(
        f"the image would not run on {found.new} as it does on {found.old}", lines, hint="; ".join(hints)
    )
