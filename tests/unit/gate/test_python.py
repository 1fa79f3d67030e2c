"""The Python closure: requirements, the interpreter, scripts, and what modules import."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from oci_builder.gate.gate import GateRules
from oci_builder.store import Store
from oci_builder.tree.entry import entry_path
from tests.support.elves import ElfSpec
from tests.support.gates import base, gate_of, judged, kinds, made, metadata, module, source
from tests.support.targets import SITE

SCRIPTS = "[console_scripts]\ndemo = demo.cli:main\n"


def test_a_requirement_that_is_there_gives_no_finding(store: Store) -> None:
    assert (
        kinds(judged(store, *metadata("demo", "1.0", "Requires-Dist: Other_Lib>=2"), *metadata("other-lib", "2.1")))
        == []
    )


def test_a_requirement_that_is_missing_is_an_error(store: Store) -> None:
    gated = judged(store, *metadata("demo", "1.0", "Requires-Dist: Other_Lib>=2"))
    assert kinds(gated) == [("error", "requirement", "other-lib")]
    assert gated.errors[0].message == "demo 1.0 requires Other_Lib >=2, and it is not in the image"


def test_a_requirement_in_another_version_is_an_error(store: Store) -> None:
    gated = judged(store, *metadata("demo", "1.0", "Requires-Dist: other>=2"), *metadata("other", "1.9"))
    assert kinds(gated) == [("error", "requirement", "other")]
    assert "the image has other 1.9" in gated.errors[0].message


@pytest.mark.parametrize(
    "marker",
    ["sys_platform == 'win32'", "python_version < '3.11'", "platform_machine == 'aarch64'", "extra == 'more'"],
)
def test_a_requirement_of_another_world_is_none(store: Store, marker: str) -> None:
    assert kinds(judged(store, *metadata("demo", "1.0", f"Requires-Dist: other; {marker}"))) == []


def test_an_extra_counts_when_another_distribution_asks_for_it(store: Store) -> None:
    wanted = metadata("demo", "1.0", "Provides-Extra: more", "Requires-Dist: other; extra == 'more'")
    asking = metadata("app", "1.0", "Requires-Dist: demo[more]")
    assert kinds(judged(store, *wanted, *asking)) == [("error", "requirement", "other")]


@pytest.mark.parametrize(("asked", "found"), [({"demo": ["more"]}, [("error", "requirement", "other")]), ({}, [])])
def test_an_extra_counts_when_the_recipe_asks_for_it(
    store: Store, asked: dict[str, list[str]], found: list[tuple[str, str, str]]
) -> None:
    wanted = metadata("demo", "1.0", "Provides-Extra: more", "Requires-Dist: other; extra == 'more'")
    assert kinds(judged(store, *wanted, rules=GateRules(extras=asked))) == found
    assert kinds(judged(store, *wanted, *metadata("other"), rules=GateRules(extras=asked))) == []


def test_a_distribution_for_another_python_is_an_error(store: Store) -> None:
    gated = judged(store, *metadata("demo", "1.0", "Requires-Python: >=3.11.5"))
    assert kinds(gated) == [("error", "requires-python", "3.11.2")]


def test_a_script_starts_a_module_that_exists(store: Store) -> None:
    entries = metadata("demo", scripts=SCRIPTS)
    assert kinds(judged(store, *entries)) == [("error", "script", "demo")]
    assert kinds(judged(store, *entries, source("demo/cli.py"))) == []


def test_a_distribution_in_two_versions_is_an_error(store: Store) -> None:
    assert kinds(judged(store, *metadata("demo"), *metadata("demo", "2.0"))) == [("error", "installed-twice", "demo")]


def test_what_a_distribution_vendors_is_its_own_affair(store: Store) -> None:
    vendored = [*metadata("demo", "0.9"), *metadata("other", "1.0", "Requires-Dist: nowhere", "Requires-Python: <3")]
    moved = [replace(entry, path=entry_path(entry.path.replace(SITE, f"{SITE}/demo/_vendor"))) for entry in vendored]
    assert kinds(judged(store, *metadata("demo"), *moved)) == []


def test_imports_are_read_only_when_asked_for(store: Store) -> None:
    image = made(store, source("demo/__init__.py", "import nowhere\n"))
    assert kinds(gate_of(image, store)) == []
    assert kinds(gate_of(image, store, rules=GateRules(imports=True))) == [("warning", "import", "nowhere")]


@pytest.mark.parametrize(
    "text",
    [
        "import json, os.path, math\n",
        "import demo.other\nfrom . import other\nfrom .other import anything\nfrom .. import x\n",
        "try:\n    import nowhere\nexcept ImportError:\n    nowhere = None\n",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import nowhere\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere\n",
        "def f():\n    import nowhere\n",
        "this is not Python",
    ],
)
def test_what_is_there_or_guarded_is_no_finding(store: Store, text: str) -> None:
    gated = judged(store, source("demo/__init__.py", text), source("demo/other.py"), rules=GateRules(imports=True))
    assert kinds(gated) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("import nowhere.deep\n", "nowhere"),
        ("from nowhere import x\n", "nowhere"),
        ("from .absent import x\n", "demo.absent"),
        ("try:\n    import nowhere\nexcept KeyError:\n    pass\n", "nowhere"),
        ("class C:\n    import nowhere\n", "nowhere"),
        ("import tkinter\n", "tkinter"),
    ],
)
def test_an_import_of_nothing_is_a_warning(store: Store, text: str, missing: str) -> None:
    gated = judged(store, source("demo/__init__.py", text), rules=GateRules(imports=True))
    assert kinds(gated) == [("warning", "import", missing)]


def test_tests_may_import_what_they_like(store: Store) -> None:
    gated = judged(store, source("demo/tests/test_x.py", "import pytest\n"), rules=GateRules(imports=True))
    assert kinds(gated) == []


def test_imports_are_one_line_for_a_distribution(store: Store) -> None:
    entries = [source(f"demo/m{number}.py", "import nowhere, elsewhere\n") for number in range(3)]
    gated = judged(store, *entries, rules=GateRules(imports=True))
    assert [finding.message for finding in gated.warnings] == [
        "demo 1.0: some of its modules import what is not in the image: elsewhere (demo/m0.py and "
        "2 more), nowhere (demo/m0.py and 2 more)"
    ]


def test_what_importing_a_distribution_meets_is_told_from_what_some_module_wants(store: Store) -> None:
    entries = [source("demo/__init__.py", "from . import core\n"), source("demo/core.py", "import nowhere\n")]
    gated = judged(store, *entries, source("demo/plugin.py", "import elsewhere\n"), rules=GateRules(imports=True))
    assert sorted(finding.message.partition(" what ")[0] for finding in gated.warnings) == [
        "demo 1.0: importing it asks for",
        "demo 1.0: some of its modules import",
    ]


def test_what_the_metadata_lists_under_an_extra_may_be_missing_where_nothing_reaches_it(store: Store) -> None:
    entries = metadata("demo", "1.0", "Provides-Extra: more", "Requires-Dist: no-where; extra == 'more'")
    plugin = source("demo/plugin.py", "import no_where\n")
    assert kinds(judged(store, *entries, plugin, source("demo/__init__.py"), rules=GateRules(imports=True))) == []
    reached = source("demo/__init__.py", "from . import plugin\n")
    gated = judged(store, *entries, plugin, reached, rules=GateRules(imports=True))
    assert kinds(gated) == [("warning", "import", "no_where")]


def test_a_script_finds_what_lies_beside_it(store: Store) -> None:
    entries = [source("demo/tools/run.py", "import helper\n"), source("demo/tools/helper.py")]
    assert kinds(judged(store, *entries, rules=GateRules(imports=True))) == []


def test_a_vendored_distribution_is_found_by_who_vendors_it(store: Store) -> None:
    entries = [source("demo/__init__.py", "import helper, space.deep\n"), source("demo/_vendor/space/deep/__init__.py")]
    gated = judged(store, *entries, source("demo/_vendor/helper.py"), rules=GateRules(imports=True))
    assert kinds(gated) == []


def test_an_extension_module_makes_what_is_below_it_though_a_folder_is_called_like_it(store: Store) -> None:
    entries = [source("demo/__init__.py", "import demo._C._deep.more\nfrom demo._C import x\n")]
    entries += [module("demo/_C.cpython-311-x86_64-linux-gnu.so", ElfSpec()), source("demo/_C/__init__.pyi")]
    assert kinds(judged(store, *entries, rules=GateRules(imports=True))) == []


def test_a_module_that_a_later_layer_replaced_is_not_read(store: Store) -> None:
    old = source("demo/__init__.py", "import nowhere\n", origin="old 1")
    gated = judged(store, source("demo/__init__.py"), on=base(old), rules=GateRules(imports=True))
    assert kinds(gated) == []
