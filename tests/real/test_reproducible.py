"""The same inputs give the same file, byte for byte: whoever builds, wherever, whenever, on whichever Python."""

from __future__ import annotations

import asyncio
import email
import os
import shutil
import sys
import tempfile
import time
import unittest
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from platformdirs import user_cache_path

from oci_builder.assemble.build import write
from oci_builder.assemble.context import BuildPolicy
from oci_builder.bases import Supply, fetch_base
from oci_builder.platforms import AMD64, Platform
from oci_builder.recipes import load_image
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.real.conftest import ROOT
from tests.support.contexts import context_of
from tests.support.installs import checkout_wheel, install, pythons
from tests.support.real import need, skip
from tests.support.tiny import IMAGE, Tiny, built, make_tiny, run_ocibuild, unsound
from tests.support.wheels import make_wheel

COPY = """
[[copy]]
src = "files"
dest = "/opt/files/"
"""

HOST = Platform.parse(os.uname().machine)
NOBODY = 65534


@pytest.fixture(autouse=True)
def no_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says what time it is."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project that copies files of its own, too."""
    return with_files(make_tiny(tmp_path / "project"))


def with_files(tiny: Tiny) -> Tiny:
    """Files to copy; their order in the folder is that of their making."""
    (tiny.image / "image.toml").write_text(IMAGE + COPY)
    for name in ("b", "a", "sub/d", "sub/c"):
        path = tiny.image / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tiny


def moved(tiny: Tiny, root: Path) -> Tiny:
    """The same project elsewhere, without its cache: other times, other modes, another order of making."""
    files = sorted((path for path in tiny.root.rglob("*") if path.is_file()), reverse=True)
    for path in files:
        if not path.is_relative_to(tiny.cache) and path != tiny.out:
            place = root / path.relative_to(tiny.root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    return Tiny(root)


def image_by(python: Path | None, tiny: Tiny, *flags: str, **how: Any) -> bytes:
    """The image that a process of its own builds, of the checkout or of what ``python`` has installed."""
    done = run_ocibuild(*tiny.words(*flags), python=python or sys.executable, **how)
    assert done.returncode == 0, done.stderr
    return tiny.out.read_bytes()


@pytest.mark.parametrize(
    ("umask", "environ"),
    [
        (0o077, {"TZ": "Pacific/Kiritimati", "LANG": "C", "LC_ALL": "C", "PYTHONHASHSEED": "1"}),
        (0o002, {"TZ": "America/St_Johns", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "4294967295", "PYTHONUTF8": "0"}),
        (0o000, {"HOME": "/nonexistent", "USER": "somebody", "COLUMNS": "10", "PYTHONOPTIMIZE": "2"}),
    ],
    ids=["private", "shared", "homeless"],
)
def test_neither_place_nor_umask_nor_environment_matter(
    tiny: Tiny, tmp_path: Path, umask: int, environ: Mapping[str, str]
) -> None:
    expected = built(tiny)
    before = os.umask(umask)
    try:
        other = moved(tiny, tmp_path / "an other place, größer")
        assert image_by(None, other, environ={**os.environ, **environ}) == expected
    finally:
        os.umask(before)


@pytest.mark.parametrize("jobs", ["1", "7"])
def test_the_number_of_processes_does_not_matter(tiny: Tiny, jobs: str) -> None:
    expected = built(tiny)
    tiny.forget()
    assert built(tiny, "--jobs", jobs) == expected


@pytest.mark.parametrize("now", [0, 1, 4_102_444_800])
def test_the_clock_does_not_matter(tiny: Tiny, tmp_path: Path, now: int) -> None:
    expected = built(tiny)
    source = load_image(tiny.image)
    write(
        source,
        AMD64,
        tmp_path / "then.tar",
        references=source.recipe.references,
        context=context_of(tmp_path / "fresh", project=tiny.root, now=now),
        policy=BuildPolicy(),
    )
    assert (tmp_path / "then.tar").read_bytes() == expected


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may write to."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


@pytest.mark.real
def test_the_user_does_not_matter(tiny: Tiny, open_folder: Path, shared: Path) -> None:
    need()
    who = {"user": NOBODY, "group": NOBODY}
    found = pythons(user=NOBODY)
    if not found:
        skip("needs a Python that everybody may run")
    python = install(checkout_wheel(shared), next(iter(found.values())), open_folder / "venv")
    expected = built(tiny)
    other = moved(tiny, open_folder / "project")
    other.root.chmod(0o777)
    environ = {"PATH": os.environ["PATH"], "HOME": str(open_folder)}
    assert image_by(python, other, environ=environ, cwd=open_folder, extra_groups=[], **who) == expected
    assert other.out.stat().st_uid == NOBODY


@pytest.mark.real
def test_the_python_that_builds_does_not_matter(tiny: Tiny, tmp_path: Path, shared: Path) -> None:
    expected = built(tiny)
    for version, python in others().items():
        ours = install(checkout_wheel(shared), python, shared / f"python-{version}")
        other = moved(tiny, tmp_path / version)
        assert image_by(ours, other, environ={"PATH": "/usr/bin:/bin"}, cwd=tmp_path) == expected, version
        assert unsound(other.cache) == []


@pytest.mark.real
def test_neither_does_it_for_a_real_base_with_bytecode(tmp_path: Path, shared: Path) -> None:
    version, python = max(others().items())
    ours = install(checkout_wheel(shared), python, shared / f"python-{version}")
    tiny = write_slim(Tiny(tmp_path / "project"))
    expected = image_by(None, tiny)
    assert image_by(ours, moved(tiny, tmp_path / "other"), environ={"PATH": "/usr/bin:/bin"}, cwd=tmp_path) == expected
    assert len(expected) > 10_000_000


def others() -> Mapping[str, Path]:
    """The minor versions of Python that this machine has besides the one that runs this; without any, a skip."""
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = {version: python for version, python in pythons().items() if version != running}
    if not found:
        pytest.skip("needs two minor versions of Python")
    return found


def write_slim(tiny: Tiny) -> Tiny:
    """A project on the smaller of the packaged bases, with all packages and wheels beside it."""
    modules = (asyncio, email, unittest)
    for module in modules:
        make_wheel(tiny.wheels, f"my-{module.__name__}", "1.0", files=dict(sources(module)))
    tiny.require(*(f"my-{module.__name__}" for module in modules))
    image = IMAGE.replace('"tiny"', '"python-3.11-slim"').replace('"none"', '"all"').replace("linux/amd64", str(HOST))
    (tiny.image / "image.toml").write_text(image)
    tiny.lock()
    tiny.debs.mkdir()
    # The user's own cache: whoever has built on that base has its packages.
    store = Store(Path(os.environ.get("OCIBUILD_CACHE_DIR") or user_cache_path("ocibuild")))
    base = ROOT / "layers" / "python-3.11-slim"
    packages = fetch_base(base, HOST, store=store, supply=Supply(now=int(time.time())), reporter=Quiet())
    for name, pin in packages.files.items():
        shutil.copyfile(store.path(pin.digest), tiny.debs / name)
    for name, lock in packages.renewed.items():
        (tiny.debs / name).write_bytes(lock)
    return tiny


def sources(module: ModuleType) -> Iterator[tuple[str, bytes]]:
    """The modules of a package of the standard library, under another name."""
    folder = Path(str(module.__file__)).parent
    for path in sorted(folder.rglob("*.py")):
        yield f"my_{module.__name__}/{path.relative_to(folder).as_posix()}", path.read_bytes()
