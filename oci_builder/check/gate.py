"""The gate: an image that cannot run does not leave the builder. Nothing of the image is run to know that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from oci_builder.check.facts import Distribution, ElfFile, Facts, layer_facts
from oci_builder.check.finding import Allowance, Finding, Gated, judged
from oci_builder.check.imports import import_findings
from oci_builder.check.modules import Modules
from oci_builder.check.native import Native
from oci_builder.check.python import PythonClosure
from oci_builder.check.sanity import mode_findings, same_bytes_findings, secret_findings, size_findings
from oci_builder.digest import Digest
from oci_builder.image import Image
from oci_builder.layer import Layer
from oci_builder.oci.jsonio import encode
from oci_builder.store import Store
from oci_builder.tree.entry import Entry
from oci_builder.tree.tree import Tree
from oci_builder.wheels.target import Target

RECORDS = "gate-1"
"""The number is raised when the same image gives other findings than before."""

Supplier = Callable[[str], str]
"""Names the Debian package that brings a shared library, or gives empty text."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a recipe says of the check. ``max_size`` is in bytes of files, 0 for no limit; ``imports`` reads every
    module too, which takes seconds the first time."""

    allow: tuple[Allowance, ...] = ()
    max_size: int = 0
    imports: bool = False


def gate(
    image: Image, base: Sequence[Layer], target: Target, *, rules: Rules, supplier: Supplier, store: Store
) -> Gated:
    """What is wrong with ``image``, whose lowest layers are ``base``.

    An image with the layers of one that was judged before is not looked at again. Raises DigestMismatch for a
    damaged layer in the store.
    """
    key = _key(image, base, target, rules)
    findings = _remembered(key, store)
    if findings is None:
        findings = tuple(_findings(image, base, target, rules=rules, store=store))
        store.put_record(RECORDS, key, msgspec.json.encode(findings))
    return judged((_with_supplier(finding, supplier) for finding in findings), rules.allow)


def _key(image: Image, base: Sequence[Layer], target: Target, rules: Rules) -> str:
    decides = {
        "layers": [str(layer.diff_id) for layer in image.layers],
        "base": len(base),
        "target": str(target),
        "purelib": target.promise.purelib,
        "library_path": image.run.env.get("LD_LIBRARY_PATH", ""),
        "max_size": rules.max_size,
        "imports": rules.imports,
    }
    return Digest.of(encode(decides)).hex


def _remembered(key: str, store: Store) -> tuple[Finding, ...] | None:
    data = store.record(RECORDS, key)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=tuple[Finding, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        store.drop_record(RECORDS, key)
        return None


def _findings(image: Image, base: Sequence[Layer], target: Target, *, rules: Rules, store: Store) -> Iterator[Finding]:
    trees = [layer.tree(store) for layer in image.layers]
    tree = Tree().overlaid(entry for each in trees for entry in each)
    facts = [layer_facts(layer, store) for layer in image.layers]
    distributions = _distributions(facts, tree)
    modules = Modules(tree, target)
    ours = _above(trees[len(base) :], tree)
    yield from Native(
        tree=tree,
        files=_files(facts, tree),
        distributions=distributions,
        modules=modules,
        machine=target.platform.machine,
        scripts=target.promise.scripts.strip("/"),
        base=frozenset(entry.origin for each in trees[: len(base)] for entry in each),
        library_path=image.run.env.get("LD_LIBRARY_PATH", ""),
    ).findings()
    yield from PythonClosure(distributions, modules, target).findings()
    yield from mode_findings(ours)
    yield from secret_findings(ours)
    yield from same_bytes_findings(ours)
    if rules.max_size:
        yield from size_findings(list(tree), distributions, rules.max_size)
    if rules.imports:
        yield from import_findings(image.layers, modules, store)


def _above(trees: Sequence[Tree], tree: Tree) -> list[Entry]:
    """The entries that come from ``trees``, the upper layers, but for folders they only repeat."""
    return [entry for each in trees for entry in each if tree.get(entry.path) is entry]


def _files(facts: Sequence[Facts], tree: Tree) -> Mapping[str, ElfFile]:
    """The ELF files by path that no later layer has replaced."""
    found = {file.path: file for each in facts for file in each.files}
    return {
        path: file for path, file in found.items() if (entry := tree.get(path)) and entry.sha256 in ("", file.sha256)
    }


def _distributions(facts: Sequence[Facts], tree: Tree) -> list[Distribution]:
    found = {distribution.path: distribution for each in facts for distribution in each.distributions}
    return [found[path] for path in sorted(found) if f"{path}/METADATA" in tree]


def _with_supplier(finding: Finding, supplier: Supplier) -> Finding:
    package = supplier(finding.subject) if finding.kind == "library" and not finding.hint else ""
    return msgspec.structs.replace(finding, hint=f"add {package} to base-packages") if package else finding
