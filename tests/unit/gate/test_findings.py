"""Every kind of finding: seeded into an image that is sound, it is found, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.gate.finding import KINDS, Allowance
from oci_builder.gate.gate import GateRules
from oci_builder.oci.documents import RunConfig
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, directory, file, symlink
from tests.support.elves import ElfSpec, make_elf
from tests.support.gates import DEMO, judged, kinds, metadata, module, source

COPY = "copy"
LIBC = {"libc.so.6": ["GLIBC_2.2.5"]}
_SAME = bytes(2 << 20)
_SCRIPT = "[console_scripts]\ndemo = demo.cli:main\n"

SOUND = [
    *metadata("demo", "1.0", "Requires-Python: >=3.11,<4", "Requires-Dist: other>=1", scripts=_SCRIPT),
    *metadata("other", "1.2", "Requires-Dist: absent; extra == 'all'"),
    source(
        "demo/__init__.py", "from . import _fast\ntry:\n    import absent\nexcept ImportError:\n    absent = None\n"
    ),
    source("demo/cli.py", "import json, other\n"),
    source("other/__init__.py", origin="other 1.2"),
    module(
        "demo/_fast.abi3.so", ElfSpec(needed=["libc.so.6", "libown.so"], runpath="$ORIGIN/../demo.libs", wanted=LIBC)
    ),
    module("demo.libs/libown.so", ElfSpec(soname="libown.so", needed=["libc.so.6"])),
    file("usr/local/bin/run", make_elf(ElfSpec(interpreter="/lib/ld-linux-x86-64.so.2")), mode=0o755, origin=DEMO),
    directory("opt/shared", mode=0o2775, origin=COPY),
    directory("opt/tmp", mode=0o1777, origin=COPY),
    symlink("opt/link", "shared", origin=COPY),
    file("opt/.env.example", b"PASSWORD=\n", origin=COPY),
    file("opt/one.bin", _SAME, origin=COPY),
    # Two megabytes twice are not worth a line.
    file("opt/two.bin", _SAME, origin=COPY),
]
LIMITS = GateRules(imports=True, max_size=1 << 30)


def _program(interpreter: str) -> Entry:
    return file("usr/local/bin/odd", make_elf(ElfSpec(interpreter=interpreter)), mode=0o755, origin=DEMO)


SEEDS: dict[str, list[Entry]] = {
    "library": [module("_far.abi3.so", ElfSpec(needed=["libfar.so.1"]))],
    "library-path": [module("_far.abi3.so", ElfSpec(needed=["libown.so"]))],
    "symbol-version": [module("_far.abi3.so", ElfSpec(needed=["libc.so.6"], wanted={"libc.so.6": ["GLIBC_2.38"]}))],
    "machine": [module("_far.abi3.so", ElfSpec(machine="aarch64"))],
    "program-loader": [_program("/lib/ld-musl-x86_64.so.1")],
    "damaged-elf": [file("usr/local/bin/odd", make_elf()[:150], mode=0o755, origin=DEMO)],
    "requirement": metadata("third", "1.0", "Requires-Dist: other>=2"),
    "requires-python": metadata("third", "1.0", "Requires-Python: >=3.12"),
    "script": metadata("third", scripts="[console_scripts]\nthird = nowhere:main\n"),
    "import": [source("demo/more.py", "import nowhere\n")],
    "interpreter": [file("opt/odd", b"#!/bin/nowhere\n", mode=0o755, origin=COPY)],
    "setuid": [file("usr/local/bin/odd", b"data\n", mode=0o4755, origin=DEMO)],
    "world-writable": [file("opt/odd", b"", mode=0o666, origin=COPY)],
    "secret": [file("opt/.env", b"PASSWORD=x\n", origin=COPY)],
    "installed-twice": metadata("other", "1.1"),
    "same-bytes": [file(f"opt/more{number}.bin", _SAME, origin=COPY) for number in range(4)],
}


def test_a_sound_image_gives_no_finding_at_all(store: Store) -> None:
    assert kinds(judged(store, *SOUND, rules=LIMITS)) == []


@pytest.mark.parametrize("kind", sorted(SEEDS))
def test_what_is_seeded_is_found_and_nothing_else(store: Store, kind: str) -> None:
    assert [found for _, found, _ in kinds(judged(store, *SOUND, *SEEDS[kind], rules=LIMITS))] == [kind]


@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        ("max-size", GateRules(max_size=1000)),
        ("unused-allow", GateRules(allow=(Allowance(finding="setuid", reason="there was one"),))),
    ],
)
def test_what_a_recipe_rules_is_found_and_nothing_else(store: Store, kind: str, rules: GateRules) -> None:
    assert [found for _, found, _ in kinds(judged(store, *SOUND, rules=rules))] == [kind]


def test_what_does_not_start_is_found_and_nothing_else(store: Store) -> None:
    gated = judged(store, *SOUND, rules=LIMITS, run=RunConfig(entrypoint=("nowhere",)))
    assert [found for _, found, _ in kinds(gated)] == ["start"]


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "LC_TIME": "fr_FR.UTF-8"}, ["de_DE.UTF-8", "fr_FR.UTF-8"]),
        ({"LANG": "C.UTF-8", "LC_ALL": "POSIX", "LC_CTYPE": ""}, []),
        ({"LANG": "not/a name"}, ["not/a name"]),
        ({"LANG": "en_US.utf8"}, []),
    ],
)
def test_a_variable_that_names_a_locale_which_is_not_there_is_found(
    store: Store, env: dict[str, str], found: list[str]
) -> None:
    english = file("usr/lib/locale/en_US.utf8/LC_CTYPE", b"x", origin="locales-all 1")
    rules = GateRules(languages=frozenset(env))
    gated = judged(store, *SOUND, english, rules=rules, env=env)
    assert [(finding.kind, finding.subject) for finding in gated.warnings] == [("locale", each) for each in found]
    said = [
        f'[config] locale = "{each}" brings it' in line.message
        for each, line in zip(found, gated.warnings, strict=True)
    ]
    assert said == ["/" not in each for each in found]
    assert judged(store, *SOUND, english, env=env).warnings == ()


def test_whose_scripts_were_passed_over_is_found_and_allowed(store: Store) -> None:
    run = RunConfig(labels={"dev.ocibuild.scripts-skipped": "odd 1.0-1"})
    assert kinds(judged(store, *SOUND, rules=LIMITS, run=run)) == [("warning", "scripts-skipped", "odd 1.0-1")]
    allow = (Allowance(finding="scripts-skipped", package="odd", reason="a cache"),)
    allowed = judged(store, *SOUND, rules=GateRules(allow=allow), run=run)
    assert [reason for _, reason in allowed.allowed] == ["a cache"] and not allowed.warnings


def test_no_kind_is_left_out_here() -> None:
    assert {*SEEDS, "max-size", "unused-allow", "scripts-skipped", "locale", "start"} == set(KINDS)


def test_every_kind_is_explained() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "check-an-image.md").read_text()
    assert [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")] == list(KINDS)
