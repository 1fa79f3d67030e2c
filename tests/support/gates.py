"""Small images on a small base, and what the gate says of them."""

from __future__ import annotations

from collections.abc import Sequence

from oci_builder.gate.finding import Finding, GateResult
from oci_builder.gate.gate import BaseContents, GateRules, gate
from oci_builder.image import Image
from oci_builder.layer import Layer, write_layer
from oci_builder.oci.documents import RunConfig
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, file
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree
from tests.support.elves import ElfSpec, make_elf
from tests.support.targets import SITE, TARGET, base_tree

DEMO = "demo 1.0"
LIBC = make_elf(ElfSpec(soname="libc.so.6", versions=["libc.so.6", "GLIBC_2.2.5", "GLIBC_2.36"]))
PACKAGES = {"libGL.so.1": "libgl1"}


def base(*more: Entry) -> Tree:
    """A root filesystem with a C library, a loader and a bit of Python's library."""
    return base_tree(
        file("usr/lib/libc.so.6", LIBC, origin="libc6 2.36"),
        file("usr/lib/ld-linux-x86-64.so.2", make_elf(ElfSpec(soname="ld-linux-x86-64.so.2")), origin="libc6 2.36"),
        file("usr/local/lib/python3.11/json.py", b"", origin="python3.11 3.11.2"),
        *more,
    )


def module(path: str, spec: ElfSpec, *, origin: str = DEMO) -> Entry:
    """An ELF file below site-packages."""
    return file(f"{SITE}/{path}", make_elf(spec), mode=0o755, origin=origin)


def source(path: str, text: str = "", *, origin: str = DEMO) -> Entry:
    """A text below site-packages."""
    return file(f"{SITE}/{path}", text.encode(), origin=origin)


def metadata(name: str, version: str = "1.0", *lines: str, scripts: str = "") -> list[Entry]:
    """The .dist-info of a distribution."""
    folder, origin = f"{name.replace('-', '_')}-{version}.dist-info", f"{name} {version}"
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]
    found = [source(f"{folder}/METADATA", "\n".join(head) + "\n", origin=origin)]
    if scripts:
        found.append(source(f"{folder}/entry_points.txt", scripts, origin=origin))
    return found


def made(
    store: Store,
    *entries: Entry,
    on: Tree | None = None,
    env: dict[str, str] | None = None,
    run: RunConfig | None = None,
) -> Image:
    """An image of two layers: the base ``on``, and ``entries``."""
    below = on if on is not None else base()
    image = Image(platform=TARGET.platform, run=run or RunConfig(env=env or {}), created=0)
    return image.append(_layer(below, store), _layer(place(entries, below), store))


def judged(
    store: Store,
    *entries: Entry,
    on: Tree | None = None,
    env: dict[str, str] | None = None,
    rules: GateRules | None = None,
    run: RunConfig | None = None,
) -> GateResult:
    """What the gate says of that image."""
    image = made(store, *entries, on=on, env=env, run=run)
    return gate_of(image, store, rules=rules)


def gate_of(image: Image, store: Store, *, rules: GateRules | None = None) -> GateResult:
    """What the gate says of ``image``, whose first layer is its base."""
    ground = BaseContents(layers=image.layers[:1], tree=image.layers[0].tree(store), target=TARGET)
    return gate(image, ground, rules=rules or GateRules(), supplier=lambda name: PACKAGES.get(name, ""), store=store)


def kinds(gated: GateResult) -> list[tuple[str, str, str]]:
    """Severity, kind and subject of all that was found."""
    return _kinds([*gated.errors, *gated.warnings])


def _kinds(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.kind, finding.subject) for finding in findings]


def _layer(tree: Tree, store: Store) -> Layer:
    return write_layer(tree, store, created_by="a test", holds=())
