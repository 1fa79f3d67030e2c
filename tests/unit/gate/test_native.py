"""The native closure: what ELF files count on, found missing where it was left out and nowhere else."""

from __future__ import annotations

import pytest

from oci_builder.store import Store
from oci_builder.tree.entry import Entry, file
from tests.support.elves import ElfSpec, make_elf
from tests.support.gates import DEMO, base, judged, kinds, metadata, module, source

EXTENSION = "demo/_fast.cpython-311-x86_64-linux-gnu.so"
IMPORTED = source("demo/__init__.py", "from . import _fast\n")
NEEDS_C = ElfSpec(needed=["libc.so.6"], wanted={"libc.so.6": ["GLIBC_2.2.5"]})
NEEDS_GL = ElfSpec(needed=["libc.so.6", "libGL.so.1"])


def test_an_image_that_has_all_it_needs_gives_no_findings(store: Store) -> None:
    assert kinds(judged(store, IMPORTED, module(EXTENSION, NEEDS_C))) == []


def test_a_missing_library_of_a_module_that_the_package_imports_is_an_error(store: Store) -> None:
    gated = judged(store, IMPORTED, module(EXTENSION, NEEDS_GL))
    assert kinds(gated) == [("error", "library", "libGL.so.1")]
    assert gated.errors[0].message == f"demo 1.0: {EXTENSION} needs libGL.so.1, which is not in the image"
    assert gated.errors[0].supplier == "libgl1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "try:\n    from . import _fast\nexcept ImportError:\n    pass\n",
        "def draw():\n    from . import _fast\n",
        "import sys\nif sys.platform == 'win32':\n    from . import _fast\n",
    ],
)
def test_a_missing_library_of_an_optional_module_is_a_warning(store: Store, text: str) -> None:
    gated = judged(store, source("demo/__init__.py", text), module(EXTENSION, NEEDS_GL))
    assert kinds(gated) == [("warning", "library", "libGL.so.1")]


@pytest.mark.parametrize(
    "entries",
    [
        [source("demo/__init__.py", "from .core import f\n"), source("demo/core.py", "import demo._fast\n")],
        [source("demo/__init__.py", "def start():\n    from . import _fast\n\nstart()\n")],
        [source("demo/__init__.py", "import importlib\nx = importlib.import_module('demo._fast')\n")],
    ],
)
def test_imports_are_followed_from_module_to_module(store: Store, entries: list[Entry]) -> None:
    assert kinds(judged(store, *entries, module(EXTENSION, NEEDS_GL))) == [("error", "library", "libGL.so.1")]


def test_a_module_named_like_its_package_is_always_imported(store: Store) -> None:
    gated = judged(store, source("cv2/__init__.py"), module("cv2/cv2.abi3.so", NEEDS_GL))
    assert kinds(gated) == [("error", "library", "libGL.so.1")]


def test_a_module_named_like_its_package_that_is_only_tried_is_optional(store: Store) -> None:
    tries = source("yaml/__init__.py", "try:\n    from .cyaml import *\nexcept ImportError:\n    pass\n")
    entries = [tries, source("yaml/cyaml.py", "from yaml._yaml import CParser\n")]
    gated = judged(store, *entries, module("yaml/_yaml.abi3.so", NEEDS_GL))
    assert kinds(gated) == [("warning", "library", "libGL.so.1")]


def test_what_a_vendored_library_needs_is_needed_by_who_loads_it(store: Store) -> None:
    loads = ElfSpec(needed=["libvendored-1.so"], runpath="$ORIGIN/../demo.libs")
    vendored = module("demo.libs/libvendored-1.so", ElfSpec(soname="libvendored-1.so", needed=["libGL.so.1"]))
    gated = judged(store, IMPORTED, module(EXTENSION, loads), vendored)
    assert kinds(gated) == [("error", "library", "libGL.so.1")]
    assert "through demo.libs/libvendored-1.so" in gated.errors[0].message


def test_a_vendored_library_is_found_by_rpath_also_by_those_it_is_handed_on_to(store: Store) -> None:
    gated = judged(
        store,
        IMPORTED,
        module(EXTENSION, ElfSpec(needed=["liba.so"], rpath="$ORIGIN/../demo.libs")),
        module("demo.libs/liba.so", ElfSpec(soname="liba.so", needed=["libb.so"])),
        module("demo.libs/libb.so", ElfSpec(soname="libb.so")),
    )
    assert kinds(gated) == []


def test_a_runpath_is_not_handed_on(store: Store) -> None:
    gated = judged(
        store,
        IMPORTED,
        module(EXTENSION, ElfSpec(needed=["liba.so"], runpath="$ORIGIN/../demo.libs")),
        module("demo.libs/liba.so", ElfSpec(soname="liba.so", needed=["libb.so"])),
        module("demo.libs/libb.so", ElfSpec(soname="libb.so")),
    )
    assert kinds(gated) == [("warning", "library-path", "libb.so")]


def test_a_library_of_a_required_distribution_may_be_loaded_by_that_one(store: Store) -> None:
    entries = [IMPORTED, module(EXTENSION, ElfSpec(needed=["libtorch.so"]))]
    entries.append(module("torch/lib/libtorch.so", ElfSpec(soname="libtorch.so"), origin="torch 2.0"))
    alone = judged(store, *entries, *metadata("demo"), *metadata("torch", "2.0"))
    required = judged(store, *entries, *metadata("demo", "1.0", "Requires-Dist: torch"), *metadata("torch", "2.0"))
    assert kinds(alone) == [("warning", "library-path", "libtorch.so")]
    assert kinds(required) == []


def test_the_environment_of_the_image_names_folders_too(store: Store) -> None:
    entries = [IMPORTED, module(EXTENSION, NEEDS_GL), file("opt/x/libGL.so.1", make_elf(), origin=DEMO)]
    assert kinds(judged(store, *entries)) == [("warning", "library-path", "libGL.so.1")]
    assert kinds(judged(store, *entries, env={"LD_LIBRARY_PATH": "/opt/x"})) == []


def test_a_symbol_version_that_the_base_lacks_is_an_error(store: Store) -> None:
    newer = ElfSpec(needed=["libc.so.6"], wanted={"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.38"]})
    gated = judged(store, IMPORTED, module(EXTENSION, newer))
    assert kinds(gated) == [("error", "symbol-version", "libc.so.6 GLIBC_2.38")]
    assert "newer glibc" in gated.errors[0].hint


def test_a_weak_symbol_version_may_be_missing(store: Store) -> None:
    weak = ElfSpec(needed=["libc.so.6"], wanted={"libc.so.6": ["GLIBC_2.38"]}, weak=["GLIBC_2.38"])
    assert kinds(judged(store, IMPORTED, module(EXTENSION, weak))) == []


def test_a_distribution_for_another_machine_is_an_error(store: Store) -> None:
    gated = judged(store, IMPORTED, module(EXTENSION, ElfSpec(machine="aarch64", needed=["libc.so.6"])))
    assert kinds(gated) == [("error", "machine", "aarch64")]
    assert gated.errors[0].message == f"demo 1.0: {EXTENSION} is for aarch64, and the image is for x86_64"


def test_a_file_for_another_machine_beside_those_for_this_one_is_none(store: Store) -> None:
    tool = module("demo/attach_x86.so", ElfSpec(machine="i386", needed=["libc.so.6"]))
    assert kinds(judged(store, IMPORTED, module(EXTENSION, NEEDS_C), tool)) == []


def test_a_program_without_its_loader_is_an_error(store: Store) -> None:
    musl = make_elf(ElfSpec(interpreter="/lib/ld-musl-x86_64.so.1"))
    glibc = make_elf(ElfSpec(interpreter="/lib/ld-linux-x86-64.so.2"))
    gated = judged(
        store,
        file("usr/local/bin/ninja", musl, mode=0o755, origin=DEMO),
        file("usr/local/bin/cmake", glibc, mode=0o755, origin=DEMO),
    )
    assert kinds(gated) == [("error", "program-loader", "/lib/ld-musl-x86_64.so.1")]
    assert "musl" in gated.errors[0].hint


def test_a_module_made_for_musl_is_said_to_be(store: Store) -> None:
    gated = judged(store, IMPORTED, module(EXTENSION, ElfSpec(needed=["libc.musl-x86_64.so.1"])))
    assert kinds(gated) == [("error", "library", "libc.musl-x86_64.so.1")]
    assert "musl" in gated.errors[0].hint


def test_the_libraries_of_the_gpu_driver_come_from_the_host(store: Store) -> None:
    gated = judged(store, IMPORTED, module(EXTENSION, ElfSpec(needed=["libcuda.so.1"])))
    assert kinds(gated) == [("warning", "library", "libcuda.so.1")]


def test_a_library_that_is_known_to_be_loaded_by_name_has_to_be_there(store: Store) -> None:
    magic = metadata("python-magic")
    gated = judged(store, *magic)
    assert kinds(gated) == [("error", "library", "libmagic.so.1")]
    library = file("usr/lib/libmagic.so.1.0.0", make_elf(ElfSpec(soname="libmagic.so.1")), origin="libmagic1 1")
    assert kinds(judged(store, *magic, library)) == []


def test_a_distribution_that_brings_anothers_library_makes_it_do_without(store: Store) -> None:
    assert kinds(judged(store, *metadata("psycopg"))) == [("error", "library", "libpq.so.5")]
    assert kinds(judged(store, *metadata("psycopg"), *metadata("psycopg-binary"))) == []


def test_a_damaged_module_is_an_error_and_damaged_test_data_is_not(store: Store) -> None:
    broken = make_elf()[:150]
    data = source("demo/data/broken.bin")
    gated = judged(
        store,
        IMPORTED,
        file(f"usr/local/lib/python3.11/site-packages/{EXTENSION}", broken, origin=DEMO),
        file(data.path, broken, origin=DEMO),
    )
    assert [(finding.kind, finding.subject.endswith(EXTENSION)) for finding in gated.errors] == [("damaged-elf", True)]
    assert gated.warnings == ()


def test_what_the_base_lacks_itself_is_a_warning(store: Store) -> None:
    tk = file(
        "usr/local/lib/python3.11/lib-dynload/_tkinter.cpython-311-x86_64-linux-gnu.so",
        make_elf(ElfSpec(needed=["libtk8.6.so"])),
        origin="python3.11 3.11.2",
    )
    assert kinds(judged(store, on=base(tk))) == [("warning", "library", "libtk8.6.so")]


def test_a_library_that_a_later_layer_replaced_is_not_asked(store: Store) -> None:
    gl = file("usr/lib/libGL.so.1", make_elf(ElfSpec(needed=["libnone.so"])), origin="gl 1")
    gated = judged(store, file("usr/lib/libGL.so.1", make_elf(), origin=DEMO), on=base(gl))
    assert kinds(gated) == []


def test_one_line_speaks_for_all_files_that_miss_the_same(store: Store) -> None:
    others = [module(f"demo/_x{number}.abi3.so", NEEDS_GL) for number in range(3)]
    gated = judged(store, source("demo/__init__.py", "from . import _x0, _x1, _x2"), *others)
    assert [finding.message for finding in gated.errors] == [
        "demo 1.0: demo/_x0.abi3.so and 2 others need libGL.so.1, which is not in the image"
    ]
