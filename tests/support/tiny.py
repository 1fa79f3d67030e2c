"""A whole project in a folder: a base of hand-made packages, wheels, an image. Builds in a second, offline."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oci_builder.cli import main
from oci_builder.debian.lock import SCHEMA, Pin, RootfsLock, SuitePin, lock_path, write_lock
from oci_builder.platforms import AMD64, ARM64
from oci_builder.verify.verify import verify_file
from oci_builder.wheels.lock_writing import encode
from tests.support.debian import MTIME, PYTHON, RECIPE, Deb, small_base
from tests.support.readers import read_image
from tests.support.targets import TARGET, wheel_of
from tests.support.wheels import make_wheel, sha256

CHECKOUT = Path(__file__).parents[2]
NAME = "app"
_BASE = "tiny"

IMAGE = f"""
base = "{_BASE}"
platforms = ["linux/amd64"]
[python]
requirements = ["requirements.txt"]
bytecode = "none"
"""


@dataclass(frozen=True)
class Tiny:
    """A project of one base and one image, complete: nothing it builds from is elsewhere."""

    root: Path

    @property
    def image(self) -> Path:
        """The folder of the image."""
        return self.root / "build" / NAME

    @property
    def wheels(self) -> Path:
        """The wheels the image is built from."""
        return self.image / "wheels"

    @property
    def debs(self) -> Path:
        """The packages its base is built from."""
        return self.image / "debs"

    @property
    def base(self) -> Path:
        """The folder of the base."""
        return self.root / "layers" / _BASE

    @property
    def out(self) -> Path:
        """Where the image goes if nothing else is said."""
        return self.root / f"{NAME}.tar"

    @property
    def cache(self) -> Path:
        """A cache of its own."""
        return self.root / "cache"

    def require(self, *lines: str) -> None:
        """Replace the requirements, and have no lock: pip decides."""
        (self.image / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
        (self.image / "pylock.toml").unlink(missing_ok=True)

    def lock(self) -> None:
        """Lock the wheels there are, as they are: builds start no pip."""
        pins = [wheel_of(path).pin for path in sorted(self.wheels.iterdir())]
        (self.image / "pylock.toml").write_bytes(encode({TARGET: pins}, fingerprint=""))

    def forget(self) -> None:
        """Have neither image nor cache."""
        self.out.unlink(missing_ok=True)
        shutil.rmtree(self.cache, ignore_errors=True)

    def set_bytecode(self, mode: str) -> None:
        """Which modules are compiled: by default none, since no Python is in the base. What should be, never ends."""
        (self.image / "image.toml").write_text(IMAGE.replace('"none"', f'"{mode}"'))

    def configure(self, **python: str) -> None:
        """Add keys to the ``[python]`` table of image.toml."""
        lines = "".join(f'{key} = "{value}"\n' for key, value in python.items())
        (self.image / "image.toml").write_text(IMAGE + lines)

    def words(self, *flags: str) -> list[str]:
        """The command line that builds it: to ``out``, with ``cache``, unless ``flags`` say otherwise."""
        places = ("--project-dir", str(self.root), "--cache-dir", str(self.cache), "--out", str(self.out))
        return ["build", NAME, *places, "--progress", "plain", *flags]


def make_tiny(root: Path) -> Tiny:
    """A project in ``root`` with three locked wheels: one of much text, one with a script, one that needs both."""
    tiny = Tiny(root)
    make_base(tiny)
    tiny.image.mkdir(parents=True, exist_ok=True)
    (tiny.image / "image.toml").write_text(IMAGE)
    many = {f"many/part{number:02}.py": f"NUMBER = {number}\n" * 2000 for number in range(30)}
    make_wheel(tiny.wheels, "many", "1.0", files={"many/__init__.py": "", **many})
    make_wheel(tiny.wheels, "tool", "2.0", entry_points={"console_scripts": {"tool": "tool:main"}})
    make_wheel(tiny.wheels, "whole", "3.0", requires=["many", "tool>=1"], data={"data/share/whole.txt": "whole\n"})
    tiny.require("whole==3.0")
    tiny.lock()
    tiny.debs.mkdir()
    for deb in packages():
        (tiny.debs / deb.filename).write_bytes(deb.build())
    return tiny


def make_base(tiny: Tiny) -> None:
    """The base's recipe, and locks that no archive had to sign."""
    debs = packages()
    tiny.base.mkdir(parents=True)
    names = ", ".join(f'"{deb.name}"' for deb in debs)
    (tiny.base / "layer.toml").write_text(RECIPE.format(packages=names))
    for platform in (AMD64, ARM64):
        write_lock(_lock(debs, platform.architecture), lock_path(tiny.base, platform))


def packages() -> list[Deb]:
    """A base without any module: its loader compiles nothing and runs wherever there is a shell."""
    loader = b"#!/bin/sh\nexec sed d\n"  # reads all, and says nothing
    python = Deb(
        name="python3.11",
        version=PYTHON,
        files={"usr/bin/python3.11": b"#!/proc/self/exe\n", "usr/lib/python3.11/LICENSE.txt": b"PSF\n"},
        modes={"usr/bin/python3.11": 0o755},
    )
    return [*(deb for deb in small_base(loader=loader) if deb.name != python.name), python]


@dataclass(frozen=True)
class Ending:
    """How a run ended: its exit code, and what it said."""

    code: int
    said: str


def build(tiny: Tiny, *flags: str) -> Ending:
    """Build in this process."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(tiny.words(*flags))
    if code == 0 and tiny.out.is_file():
        read_image(tiny.out)
    return Ending(code, said.getvalue())


def built(tiny: Tiny, *flags: str) -> bytes:
    """Build in this process; the image's file, which holds what it says. Fails the test unless the build succeeds."""
    ending = build(tiny, *flags)
    assert ending.code == 0, ending.said
    report = verify_file(tiny.out)
    assert report.findings + report.remarks == ()
    return tiny.out.read_bytes()


def unsound(cache: Path) -> list[str]:
    """What is wrong with a cache that nobody uses: blobs that are not what they are called, half-written files."""
    blobs = sorted((cache / "v1" / "blobs" / "sha256").glob("*"))
    scratch = sorted((cache / "v1" / "tmp").glob("*"))
    return [path.name for path in blobs if path.name != sha256(path)] + [str(path) for path in scratch]


def run_ocibuild(
    *words: str, python: str | Path = sys.executable, environ: Mapping[str, str] | None = None, **how: Any
) -> subprocess.CompletedProcess[str]:
    """``ocibuild`` of the checkout as a process of its own, or, with another ``python``, of what is installed there."""
    with start_ocibuild(*words, python=python, environ=environ, **how) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def start_ocibuild(
    *words: str, python: str | Path = sys.executable, environ: Mapping[str, str] | None = None, **how: Any
) -> subprocess.Popen[str]:
    """The same, running. It leads a process group of its own; ``how`` goes to Popen."""
    environ = dict(os.environ if environ is None else environ)
    if str(python) == sys.executable:
        environ["PYTHONPATH"] = str(CHECKOUT)
    command = [str(python), "-m", "oci_builder", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environ, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **how)


def _lock(debs: Sequence[Deb], architecture: str) -> RootfsLock:
    suite = SuitePin(
        archive="debian",
        suite="bookworm",
        date=datetime.fromtimestamp(MTIME, UTC),
        inrelease="0" * 64,
        signers=(),
    )
    pins = tuple(_pin(deb) for deb in sorted(debs, key=lambda deb: deb.name))
    return RootfsLock(schema=SCHEMA, architecture=architecture, suites=(suite,), packages=pins)


def _pin(deb: Deb) -> Pin:
    built = deb.build()
    return Pin(
        name=deb.name,
        version=deb.version,
        architecture=deb.architecture,
        source=deb.name,
        archive="debian",
        suite="bookworm",
        path=f"pool/main/{deb.name}/{deb.filename}",
        size=len(built),
        sha256=hashlib.sha256(built).hexdigest(),
    )
