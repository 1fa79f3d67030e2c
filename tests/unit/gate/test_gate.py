"""The gate itself: what is allowed, what is remembered, what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from oci_builder.gate import facts, gate
from oci_builder.gate import finding as finding_module
from oci_builder.gate.finding import KINDS, Allowance, Finding, summary
from oci_builder.gate.gate import BaseContents, GateRules
from oci_builder.imported.layers import ORIGIN as IMPORTED
from oci_builder.store import Store
from oci_builder.tree.entry import file
from tests.support.elves import ElfSpec
from tests.support.gates import gate_of, judged, kinds, made, metadata, module, source
from tests.support.targets import TARGET

NEEDS_GL = [
    source("demo/__init__.py", "from . import _fast\n"),
    module("demo/_fast.abi3.so", ElfSpec(needed=["libGL.so.1", "libX11.so.6"])),
]


@pytest.mark.parametrize(
    "allowance",
    [
        Allowance(library="libGL.so.1", reason="r"),
        Allowance(library="libGL*", package="Demo", reason="r"),
        Allowance(finding="library", subject="libGL.so.1", reason="r"),
    ],
)
def test_what_is_allowed_is_kept_with_its_reason(store: Store, allowance: Allowance) -> None:
    gated = judged(store, *NEEDS_GL, rules=GateRules(allow=(allowance,)))
    assert kinds(gated) == [("error", "library", "libX11.so.6")]
    assert [(finding.subject, reason) for finding, reason in gated.allowed] == [("libGL.so.1", "r")]


@pytest.mark.parametrize(
    "allowance",
    [Allowance(library="libGL.so.1", package="other", reason="r"), Allowance(finding="setuid", reason="r")],
)
def test_an_allowance_for_nothing_is_a_warning(store: Store, allowance: Allowance) -> None:
    gated = judged(store, *NEEDS_GL, rules=GateRules(allow=(allowance,)))
    assert [finding.kind for finding in gated.errors] == ["library", "library"]
    assert [finding.kind for finding in gated.warnings] == ["unused-allow"]


def test_a_library_allowance_is_about_libraries_alone(store: Store) -> None:
    gated = judged(
        store,
        *metadata("demo", "1.0", "Requires-Dist: x"),
        rules=GateRules(allow=(Allowance(library="*", reason="r"),)),
    )
    assert [finding.kind for finding in gated.errors] == ["requirement"]


def test_an_image_is_looked_at_once(store: Store) -> None:
    image = made(store, *NEEDS_GL)
    first = gate_of(image, store)
    for layer in image.layers:
        store.drop(layer.descriptor.digest)
    assert gate_of(image, store) == first


def test_a_layer_is_read_once_whatever_image_it_is_in(store: Store) -> None:
    image = made(store, *NEEDS_GL)
    gate_of(image, store)
    assert all(store.record(facts.RECORDS, layer.descriptor.digest.hex) for layer in image.layers)
    assert [facts.layer_facts(layer, store) for layer in made(store, *NEEDS_GL).layers]


def test_whose_a_file_is_was_not_decided_by_who_read_the_layer_first(store: Store) -> None:
    image = made(store, *NEEDS_GL, *metadata("demo"))
    (layer,) = image.layers[1:]
    nobodys = tuple(msgspec.structs.replace(entry, origin=IMPORTED) for entry in layer.entries)
    foreign = replace(image, layers=(image.layers[0], replace(layer, entries=nobodys)))
    assert kinds(gate_of(foreign, store, rules=GateRules(max_size=1 << 30))) == []
    assert [finding.origin for finding in gate_of(image, store).errors] == ["demo 1.0"] * 2


def test_an_image_that_is_all_base_is_judged_by_the_origins_that_are_named(store: Store) -> None:
    image = made(store, *NEEDS_GL, file("usr/bin/su", b"x", mode=0o4755, origin="login 1"))
    tree = image.layers[0].tree(store).overlaid(image.layers[1].tree(store))
    for judged_origins, found in ((frozenset[str](), []), (frozenset({"demo 1.0"}), ["libGL.so.1", "libX11.so.6"])):
        ground = BaseContents(layers=image.layers, tree=tree, target=TARGET, judged=judged_origins)
        gated = gate.gate(image, ground, rules=GateRules(), supplier=lambda _: "", store=store)
        assert [finding.subject for finding in gated.errors] == found


def test_every_kind_of_finding_is_one_that_can_be_allowed() -> None:
    folder = Path(finding_module.__file__).parent
    texts = [path.read_text() for path in sorted(folder.glob("*.py")) if path.name != "finding.py"]
    assert [kind for kind in KINDS if not any(f'"{kind}"' in text for text in texts)] == ["unused-allow"]


def test_a_record_that_does_not_read_is_made_again(store: Store) -> None:
    image = made(store, *NEEDS_GL)
    first = gate_of(image, store)
    for kind in (facts.RECORDS, gate.RECORDS):
        for path in (store.root / "v1" / "records" / kind).iterdir():
            path.write_bytes(b"[")
    assert gate_of(image, store) == first


def test_warnings_are_few_lines_however_many_they_are() -> None:
    findings = [
        Finding(
            severity="warning", kind="library", origin=f"p{number % 7} 1", subject=f"lib{number}", message=f"m{number}"
        )
        for number in range(40)
    ]
    lines = summary(findings, limit=5)
    assert lines[0] == "m0; likewise lib7, lib14, lib21 and 2 more"
    assert lines[4] == "and 3 more kinds of warning"
    assert len(lines) == 5
    assert summary(findings[:1], limit=5) == ["m0"]
