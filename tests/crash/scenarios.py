"""Small runs of the program that write something, each with the folder it starts from."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_builder.cli import main
from tests.support.archives import make_tar
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.imported import config_of, docker_python, save_layout
from tests.support.served import serve
from tests.support.tiny import IMAGE, NAME, Tiny, make_base, packages
from tests.support.wheels import make_wheel

CACHE = "CRASH_CACHE"
"""Names the cache in which the reference image's base and wheels are."""

OLD = b"what was there before\n"
_COMMON = ("--cache-dir", "cache", "--jobs", "1")
_COPY = '[[copy]]\nsrc = "note.txt"\ndest = "/opt/note.txt"\n'


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``words`` are run in a folder that ``prepare`` has filled; ``outputs`` are the files and folders they write.

    With ``last``, that file is as it will be only where all others are. A run that takes longer than ``patience``, in
    seconds, hangs: so much that a machine with much else to do does not look like one.
    """

    words: Sequence[str]
    prepare: Callable[[Path], None]
    outputs: Sequence[str] = ()
    last: str = ""
    patience: float = 120


def _project(root: Path) -> Tiny:
    """Two wheels and a copied file on a small base, locked."""
    tiny = Tiny(root)
    make_base(tiny)
    for folder in (tiny.image, tiny.wheels, tiny.debs):
        folder.mkdir(parents=True, exist_ok=True)
    (tiny.image / "image.toml").write_text(IMAGE + _COPY)
    (tiny.image / "note.txt").write_text("a note\n")
    make_wheel(tiny.wheels, "tool", "2.0", entry_points={"console_scripts": {"tool": "tool:main"}})
    make_wheel(tiny.wheels, "whole", "3.0", requires=["tool>=1"], data={"data/share/whole.txt": "whole\n"})
    tiny.require("whole==3.0")
    tiny.lock()
    for deb in packages():
        (tiny.debs / deb.filename).write_bytes(deb.build())
    return tiny


def _run(root: Path, *words: str) -> None:
    with contextlib.chdir(root):
        code = main([*words])
    assert code == 0, words


def _with_old_file(root: Path) -> None:
    _project(root)
    (root / "app.tar").write_bytes(OLD)


def _built(root: Path, *words: str) -> Tiny:
    """A project that was built, and has changed since."""
    tiny = _project(root)
    _run(root, "build", NAME, *_COMMON, "--quiet", *words)
    (tiny.image / "note.txt").write_text("another note\n")
    return tiny


def _built_elsewhere(root: Path) -> None:
    _built(root, "--out", "app.tar")
    (root / "app.tar").unlink()


def _built_with_bill(root: Path) -> None:
    _built(root, "--out", "app.tar")
    (root / "app.cdx.json").write_bytes(OLD)


def _built_as_folder(root: Path) -> None:
    _built(root, "--out", "image/")


def _unlocked(root: Path) -> None:
    tiny = _built(root, "--out", "app.tar")
    make_wheel(tiny.wheels, "tool", "2.1")
    (tiny.image / "requirements.txt").write_text("whole==3.0\ntool==2.1\n")


def _with_image_file(root: Path) -> None:
    _built(root, "--out", "app.tar")
    (root / "app.spdx.json").write_bytes(OLD)
    (root / "app.html").write_bytes(OLD)


def _on_an_image(root: Path) -> None:
    tiny = _project(root)
    layers = [make_tar(*docker_python())]
    save_layout(root / "base", layers, config_of(layers))
    (tiny.image / "image.toml").write_text((tiny.image / "image.toml").read_text().replace('"tiny"', '"../../base"', 1))


def _half_downloaded(root: Path) -> None:
    _built(root, "--out", "app.tar")
    (root / "all" / "wheels").mkdir(parents=True)
    (root / "all" / "wheels" / "tool-2.0-py3-none-any.whl").write_bytes(OLD)


def _reference(root: Path) -> None:
    """The finished work of an earlier build of the reference image, but for its layers of wheels."""
    given = os.environ.get(CACHE)
    if not given:
        raise SystemExit(f"{CACHE} names no cache with the reference image's base and wheels")
    shutil.copytree(given, root / "cache", symlinks=True)
    records = root / "cache" / "v1" / "records"
    for kind in records.iterdir():
        for path in kind.iterdir():
            if kind.name != "layer" or b'"created_by":"ocibuild wheels: ' in path.read_bytes():
                path.unlink()


_COLD = ("--cache-dir", "cache", "--jobs", "2", "--frozen", "--offline")
_BUILD = ("build", NAME, *_COMMON, "--progress", "plain")

SCENARIOS: Mapping[str, Scenario] = {
    "cold": Scenario(words=(*_BUILD, "--out", "app.tar"), prepare=_with_old_file, outputs=["app.tar"]),
    "warm": Scenario(words=(*_BUILD, "--out", "app.tar"), prepare=_built_elsewhere, outputs=["app.tar"]),
    "packed": Scenario(words=(*_BUILD, "--out", "app.tar.gz"), prepare=_built_elsewhere, outputs=["app.tar.gz"]),
    "bill": Scenario(
        words=(*_BUILD, "--out", "app.tar", "--sbom", "app.cdx.json"),
        prepare=_built_with_bill,
        outputs=["app.tar", "app.cdx.json"],
    ),
    "folder": Scenario(
        words=(*_BUILD, "--out", "image/"), prepare=_built_as_folder, outputs=["image"], last="image/index.json"
    ),
    "image": Scenario(words=(*_BUILD, "--out", "app.tar"), prepare=_on_an_image, outputs=["app.tar"]),
    "lock": Scenario(words=("lock", NAME, *_COMMON, "--offline"), prepare=_unlocked, outputs=["build/app/pylock.toml"]),
    "download": Scenario(
        words=("download", NAME, *_COMMON, "--dest", "all"), prepare=_half_downloaded, outputs=["all"]
    ),
    "prune": Scenario(
        words=("cache", "prune", "--cache-dir", "cache", "--cache-max-size", "3kB"), prepare=_built_elsewhere
    ),
    "sbom": Scenario(
        words=("sbom", "app.tar", "--out", "app.spdx.json"), prepare=_with_image_file, outputs=["app.spdx.json"]
    ),
    "report": Scenario(
        words=("report", "app.tar", "--out", "app.html"), prepare=_with_image_file, outputs=["app.html"]
    ),
    "reference": Scenario(
        words=("build", "{checkout}/build/mypy", *_COLD, "--progress", "plain", "--out", "mypy.tar"),
        prepare=_reference,
        outputs=["mypy.tar"],
        patience=1800,
    ),
    "pull": Scenario(
        words=("pull", "{host}/team/x:1", "--out", "x.tar", *_COMMON), prepare=lambda root: None, outputs=["x.tar"]
    ),
}


@contextlib.contextmanager
def registry() -> Iterator[FakeRegistry]:
    """A registry that has ``team/x:1``."""
    with fake_registry() as found:
        layers = [make_tar(*docker_python()), make_tar(*docker_python("3.11.8"))]
        serve(found, "team/x:1", layers, config_of(layers))
        yield found
