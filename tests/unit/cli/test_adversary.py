"""Somebody beside a build who swaps folders for links, all the time.

What is promised: what lies outside never gets into an image, and nothing that was there is changed, replaced or
removed. Where the folder that a user named for the output was a link when it was opened, the output, and that alone,
is where the link led. Every build ends, with an image that holds or an error that is one.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import pytest

from oci_builder.errors import OcibuildError
from oci_builder.recipes import load_image
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.copying import Copy, copied
from oci_builder.verify.verify import verify_file
from tests.support.tiny import NAME, Tiny, make_tiny, run_ocibuild

SECONDS = float(os.environ.get("OCIBUILD_ADVERSARY_SECONDS", "3"))
"""How long each of the tests goes on; more finds more."""

CANARY = b"canary: what lies outside stays there\n"

SWAPPER = """
import os, random, sys, time
seed, outside, *folders = sys.argv[1:]
choose = random.Random(seed)
print("ready", flush=True)
while True:
    folder = choose.choice(folders)
    try:
        os.rename(folder, folder + ".aside")
    except OSError:
        continue  # it is not there yet, or is made anew
    try:
        os.symlink(outside, folder)
        time.sleep(choose.random() * 0.004)
        os.unlink(folder)
    except OSError:
        pass
    try:
        os.rename(folder + ".aside", folder)
    except OSError:
        pass  # made anew meanwhile
    time.sleep(choose.random() * 0.004)
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project that copies two folders."""
    tiny = make_tiny(tmp_path / "project")
    tiny.lock()
    with (tiny.image / "image.toml").open("a") as stream:
        stream.write('[[copy]]\nsrc = "files"\ndest = "/files"\n[[copy]]\nsrc = "../../more/deep"\ndest = "/more"\n')
    for folder in (tiny.image / "files" / "deep", tiny.root / "more" / "deep"):
        folder.mkdir(parents=True)
        for number in range(40):
            for place in (folder, folder.parent):
                (place / f"f{number}").write_bytes(b"of the project\n")
    (tiny.root / "out").mkdir()
    return tiny


@pytest.fixture
def outside(tmp_path: Path, tiny: Tiny) -> Path:
    """What nobody may read, write or remove: under every name that is looked for in what is swapped."""
    place = tmp_path / "outside"
    for inner in ("deep", "files/deep", "sha256", "layer", "tmp", "v1/tmp", "blobs/sha256", "app/files/deep"):
        (place / inner).mkdir(parents=True)
    names = [*(f"f{number}" for number in range(40)), "notes", "1-0123456789abcdef", ".app.tar.notes"]
    for folder in [place, *(path for path in place.rglob("*") if path.is_dir())]:
        for name in names:
            (folder / name).write_bytes(CANARY)
    return place


def state(place: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that lies in a folder: each thing's mode, inode and content."""
    found = {}
    for path in sorted(place.rglob("*")):
        info = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
        found[path.relative_to(place).as_posix()] = (info.st_mode, info.st_ino, data)
    return found


class Adversary:
    """Swaps one of ``folders`` after the other for a link to ``outside``, until it is stopped."""

    def __init__(self, seed: int, outside: Path, folders: Sequence[Path]) -> None:
        self._folders = folders
        words = [sys.executable, "-c", SWAPPER, str(seed), str(outside), *map(str, folders)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()
        for folder in self._folders:
            aside = Path(f"{folder}.aside")
            if folder.is_symlink():
                folder.unlink()
            if aside.exists() and not folder.exists():
                aside.rename(folder)
            elif aside.exists():
                shutil.rmtree(aside)


def contents(image: Path) -> Iterator[bytes]:
    """Every blob of an image, unpacked by somebody else's programs."""
    names = subprocess.run(["tar", "-tf", image], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        blob = subprocess.run(["tar", "-xOf", image, name], capture_output=True, check=True).stdout
        if blob[:2] == b"\x1f\x8b":
            blob = subprocess.run(["gzip", "-dc"], input=blob, capture_output=True, check=True).stdout
        yield blob


def beset(tiny: Tiny, outside: Path, folders: Sequence[Path], *, seed: int) -> None:
    """Build for SECONDS with an adversary beside, and look at what came of it each time."""
    before, choose, out = state(outside), random.Random(seed), tiny.root / "out" / "app.tar"
    words = ["build", NAME, "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--progress", "none"]
    deadline, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < deadline or number < 2:
        if choose.random() < 0.5:
            shutil.rmtree(tiny.cache, ignore_errors=True)
        with Adversary(choose.randrange(1 << 30), outside, folders):
            done = run_ocibuild(*words, "--out", str(out))
        number += 1
        assert done.returncode in (0, 1, 2), done.stderr
        assert "internal error" not in done.stderr and "Traceback" not in done.stderr
        # Its folder may have been a link when the file was begun: then it is that file, whole.
        images = [path for path in (out, outside / out.name) if path.is_file()]
        assert done.returncode or images
        for image in images:
            assert verify_file(image).findings == ()
            assert not any(CANARY in data for data in contents(image))
            image.unlink()
        assert state(outside) == before


def recipe_folders(tiny: Tiny) -> list[Path]:
    inner = [tiny.image / "files", tiny.image / "files" / "deep", tiny.root / "more", tiny.root / "more" / "deep"]
    return [*inner, tiny.image, tiny.root / "build", tiny.wheels]


def test_the_recipes_folders_are_swapped(tiny: Tiny, outside: Path) -> None:
    beset(tiny, outside, recipe_folders(tiny), seed=1)


def test_what_is_copied_is_the_projects_thousands_of_times(tiny: Tiny, outside: Path) -> None:
    """Builds are slow, and most of them fail; so this alone, again and again."""
    shutil.copy(tiny.image / "image.toml", outside / "app")
    shutil.copy(tiny.image / "image.toml", outside)
    deadline, copied_whole, refused = time.monotonic() + SECONDS, 0, 0
    with Adversary(4, outside, recipe_folders(tiny)):
        while time.monotonic() < deadline or not (copied_whole and refused):
            try:
                source = load_image(tiny.image)
                # Where the name that was given leads out already, that is the project that was asked for.
                if source.within.root != tiny.root:
                    continue
                for name in ("files", "../../more/deep"):
                    copy = Copy(source=name, folder=tiny.image, within=source.within, dest="/a")
                    with MappedFiles() as sources:
                        for entry in copied(copy):
                            if entry.content is not None:
                                assert sources.read(entry.content, what=entry.path) == b"of the project\n"
                copied_whole += 1
            except OcibuildError:
                refused += 1


def test_the_caches_folders_are_swapped(tiny: Tiny, outside: Path) -> None:
    layout = tiny.cache / "v1"
    kinds = [layout / "records" / kind for kind in ("layer", "claims", "unchanged")]
    folders = [layout, layout / "blobs", layout / "blobs" / "sha256", layout / "records", layout / "tmp", *kinds]
    beset(tiny, outside, folders, seed=2)


def test_the_outputs_folder_is_swapped(tiny: Tiny, outside: Path) -> None:
    beset(tiny, outside, [tiny.root / "out"], seed=3)
