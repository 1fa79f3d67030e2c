"""The gate: an image that cannot run does not leave the builder. Nothing of the image is run to know that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from oci_builder.debian.unscripted import SAID, unscripted_of
from oci_builder.digest import Digest
from oci_builder.gate.copied import copied_import_findings
from oci_builder.gate.dlopen import by_name_findings
from oci_builder.gate.facts import Distribution, ElfFile, Facts, layer_facts
from oci_builder.gate.finding import Allowance, Finding, GateResult, judged
from oci_builder.gate.imports import import_findings
from oci_builder.gate.languages import language_findings
from oci_builder.gate.modules import Modules
from oci_builder.gate.native import Native, library_findings
from oci_builder.gate.programs import Programs
from oci_builder.gate.python import PythonClosure
from oci_builder.gate.sanity import mode_findings, same_bytes_findings, secret_findings, size_findings
from oci_builder.gate.starting import judge_starts
from oci_builder.image import Image
from oci_builder.imported.layers import ORIGIN as IMPORTED
from oci_builder.imported.names import readable
from oci_builder.layer import Layer
from oci_builder.oci.jsonio import encode
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry
from oci_builder.tree.tree import Tree
from oci_builder.wheels.target import Target

RECORDS = "gate-5"
"""The number is raised when the same image gives other findings than before."""

Supplier = Callable[[str], str]
"""Names the Debian package that brings a shared library, or gives empty text."""


@dataclass(frozen=True, kw_only=True)
class GateRules:
    """What a recipe says of the check. ``max_size`` is in bytes of files, 0 for no limit; ``imports`` reads every
    module too, which takes seconds the first time. ``extras`` are those it asks for, by normalised name; ``inherited``
    are the keys of the configuration that come from the base, ``languages`` its variables that name locales."""

    allow: tuple[Allowance, ...] = ()
    max_size: int = 0
    imports: bool = False
    extras: Mapping[str, Collection[str]] = field(default_factory=dict)
    inherited: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class BaseContents:
    """What an image stands on: the base's layers and their tree. Without a ``target`` there is no Python to check.

    ``judged`` are origins in that tree that are looked at as if they were none of the base's: the distributions of an
    image that is all base, because it is read from a file.
    """

    layers: Sequence[Layer]
    tree: Tree
    target: Target | None
    judged: frozenset[str] = frozenset()


def gate(image: Image, ground: BaseContents, *, rules: GateRules, supplier: Supplier, store: Store) -> GateResult:
    """What is wrong with ``image``, whose lowest layers are those of ``ground``.

    An image with the layers of one that was judged before is not looked at again. Raises DigestMismatch for a
    damaged layer in the store.
    """
    key = _key(image, ground, rules)
    findings = remembered(RECORDS, key, store)
    if findings is None:
        findings = tuple(
            # What a base made elsewhere is like by itself was decided by who made it.
            _readable(finding)
            for finding in _findings(image, ground, rules, store)
            if finding.origin != IMPORTED
        )
        store.put_record(RECORDS, key, msgspec.json.encode(findings))
    # A label costs nothing to read, and is no part of the layers that findings are remembered by.
    return judged((_with_supplier(finding, supplier) for finding in (*findings, *_unscripted(image))), rules.allow)


def _unscripted(image: Image) -> Iterator[Finding]:
    """The packages that the image names so, less those of its base, of which its maker knew."""
    inherited = image.inherited.run.labels if image.inherited is not None else {}
    for name in sorted(unscripted_of({"Labels": image.run.labels}) - unscripted_of({"Labels": inherited})):
        message = f"{name}: {SAID}"
        yield Finding(severity="warning", kind="scripts-skipped", origin=name, subject=name, message=message)


def _key(image: Image, ground: BaseContents, rules: GateRules) -> str:
    decides = {
        "layers": [str(layer.diff_id) for layer in image.layers],
        "base": len(ground.layers),
        "judged": sorted(ground.judged),
        "target": str(ground.target),
        "purelib": ground.target.promise.purelib if ground.target else "",
        "library_path": image.run.env.get("LD_LIBRARY_PATH", ""),
        "run": [image.run.user, image.run.workdir, image.run.entrypoint, image.run.cmd],
        "healthcheck": image.run.healthcheck.test if image.run.healthcheck else [],
        "path": [image.run.env.get(name, "") for name in ("PATH", "PYTHONPATH")],
        "inherited": sorted(rules.inherited),
        **({"languages": {name: image.run.env.get(name, "") for name in rules.languages}} if rules.languages else {}),
        "max_size": rules.max_size,
        "imports": rules.imports,
        "extras": {name: sorted(extras) for name, extras in rules.extras.items()},
    }
    return Digest.of(encode(decides)).hex


def remembered(kind: str, key: str, store: Store) -> tuple[Finding, ...] | None:
    """The findings that were kept as a record; None without one that reads."""
    data = store.record(kind, key)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=tuple[Finding, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        store.drop_record(kind, key)
        return None


def _findings(image: Image, ground: BaseContents, rules: GateRules, store: Store) -> Iterator[Finding]:
    upper = [layer.tree(store) for layer in image.layers[len(ground.layers) :]]
    tree = ground.tree.overlaid(entry for each in upper for entry in each)
    facts = [layer_facts(layer, store) for layer in image.layers]
    modules = Modules(tree, ground.target) if ground.target is not None else None
    distributions = _distributions(facts, tree, modules)
    judged = (entry for entry in ground.tree if entry.origin in ground.judged) if ground.judged else ()
    ours = [*_above(upper, tree), *judged]
    files = _files(facts, tree)
    with MappedFiles() as sources:
        programs = Programs(tree, files, image.run, image.platform.machine, sources)
        scripts = ground.target.promise.scripts if ground.target else ""
        started = judge_starts(tree, image.run, programs, inherited=rules.inherited, modules=modules, scripts=scripts)
        yield from started.findings
        yield from started.scripts(ours)
        # To musl every name is one.
        if rules.languages and ground.target is not None and ground.target.promise.musl == (0, 0):
            yield from language_findings(image, tree, rules.languages, sources)
    if ground.target is not None and modules is not None:
        native = _native(image, ground, tree, files, distributions, modules)
        yield from replace(native, started=started.files).findings()
        yield from by_name_findings(distributions, files.values())
        yield from PythonClosure(distributions, modules, ground.target, rules.extras).findings()
        if rules.imports:
            yield from import_findings(image.layers, modules, distributions, store)
            yield from copied_import_findings(ours, tree, modules, image.run)
    else:
        yield from library_findings(started.files, tree, files, image)
    yield from mode_findings(ours)
    yield from secret_findings(ours)
    yield from same_bytes_findings(ours)
    if rules.max_size:
        yield from size_findings(list(tree), distributions, rules.max_size)


def _native(
    image: Image,
    ground: BaseContents,
    tree: Tree,
    files: Mapping[str, ElfFile],
    distributions: Sequence[Distribution],
    modules: Modules,
) -> Native:
    target = ground.target
    assert target is not None, "without a Python nobody asks what it loads"
    return Native(
        tree=tree,
        files=files,
        distributions=distributions,
        modules=modules,
        machine=target.platform.machine,
        scripts=target.promise.scripts.strip("/"),
        base=frozenset(entry.origin for entry in ground.tree) - ground.judged,
        library_path=image.run.env.get("LD_LIBRARY_PATH", ""),
    )


def _above(trees: Sequence[Tree], tree: Tree) -> list[Entry]:
    """The entries that come from ``trees``, the upper layers, but for folders they only repeat."""
    return [entry for each in trees for entry in each if tree.get(entry.path) is entry]


def _files(facts: Sequence[Facts], tree: Tree) -> Mapping[str, ElfFile]:
    """The ELF files by path that no later layer has replaced."""
    found = {file.path: file for each in facts for file in each.files}
    return {
        path: msgspec.structs.replace(file, origin=entry.origin)
        for path, file in found.items()
        if (entry := tree.get(path)) and entry.sha256 in ("", file.sha256)
    }


def _distributions(facts: Sequence[Facts], tree: Tree, modules: Modules | None) -> list[Distribution]:
    """Those that no later layer has replaced, where Python looks for them: others are a system's, or vendored."""
    found = {distribution.path: distribution for each in facts for distribution in each.distributions}
    sites = {tree.resolve(site) for site in modules.sites} if modules else set[str]()
    return [
        msgspec.structs.replace(found[path], origin=entry.origin)
        for path in sorted(found)
        if path.rpartition("/")[0] in sites and (entry := tree.get(f"{path}/METADATA"))
    ]


def _readable(finding: Finding) -> Finding:
    """A finding that can be written: a file of the base may have a name that is no UTF-8."""
    if finding.message.isascii() and finding.subject.isascii():
        return finding
    texts = {key: readable(getattr(finding, key)) for key in ("message", "subject", "hint")}
    return msgspec.structs.replace(finding, **texts)


def _with_supplier(finding: Finding, supplier: Supplier) -> Finding:
    return (
        msgspec.structs.replace(finding, supplier=supplier(finding.subject)) if finding.kind == "library" else finding
    )
