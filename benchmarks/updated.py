"""Updates of the reference image made, and loaded by engines that have the old one: bytes, seconds, what is there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.inputs import ROOT
from tests.support.engines import Containerd, DockerLike, EngineFailed
from tests.support.images import random_image
from tests.support.updates import exported

MODEL, LAYERS = ROOT / "build" / "mypy", ROOT / "layers"
NAME = "mypy:latest"
_APP = "VALUE = 1\n" * 200
_PYTHON = ("python3.11", "libpython3.11")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine made of an update: seconds, and whether what it then has is the new image in every entry.

    ``same`` is empty where that cannot be seen, ``why`` says what went wrong.
    """

    engine: str
    what: str
    seconds: float = 0.0
    whole: float = 0.0
    entries: int = 0
    same: str = ""
    why: str = ""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """An update as a file: its size, that of the whole image, and that of the new image less what a store has.

    ``seconds`` are of CPU.
    """

    what: str
    patch: int
    seconds: float
    graph: int
    containerd: int
    whole: int


@dataclass(frozen=True)
class Scene:
    """A change of the reference image: what is asked for, and on which base it then stands."""

    what: str
    pins: Mapping[str, str]
    app: str = _APP
    base: str = "old"


SCENES = (
    Scene("the smallest pin (tabulate 0.10.0 → 0.9.0)", {"tabulate": "==0.9.0"}),
    Scene("pandas 3.1.1 → 3.0.0", {"pandas": "==3.0.0"}),
    Scene("scipy 1.17.1 → 1.17.0", {"scipy": "==1.17.0"}),
    Scene("one library more (networkx)", {"networkx": ""}),
    Scene("one line of the project", {}, app=_APP.replace("1", "2", 1)),
    Scene("the base's security updates (10 packages)", {}, base="new"),
    Scene("Python's security release alone (4 packages)", {}, base="python"),
)


@dataclass(frozen=True)
class Files:
    """The images and updates of all scenes, in a folder; each is made once."""

    work: Path
    cache: Path

    @property
    def old(self) -> Path:
        """The image that targets have: the reference image and a file of a project, on a base without updates."""
        return self._image("old", Scene("old", {}))

    def new(self, number: int) -> Path:
        """The whole image of a scene."""
        return self._image(f"new{number}", SCENES[number])

    def update(self, number: int) -> Path:
        """What brings the old image up to it."""
        return self.work / f"update{number}.tar"

    def made(self, number: int) -> Made:
        """Make the update of a scene, and the new image less what stores have."""
        old, new, out = self.old, self.new(number), self.update(number)
        self._run("update", old, new, "--out", out, "--force")  # the cache knows all layers from then on
        began = _cpu()
        self._run("update", old, new, "--out", out, "--force")
        seconds = _cpu() - began
        exact = self.work / "exact.tar"
        sizes = []
        for engine in ("graph", "containerd"):
            self._run("update", old, new, "--out", exact, "--exact", "--engine", engine, "--force")
            sizes.append(exact.stat().st_size)
        return Made(
            what=SCENES[number].what,
            patch=out.stat().st_size,
            seconds=round(seconds, 2),
            graph=sizes[0],
            containerd=sizes[1],
            whole=new.stat().st_size,
        )

    def prepare(self) -> None:
        """Have the bases: as they are locked, of the main suite alone, and of that with Python's own updates."""
        for name in ("old", "new", "python"):
            folder = self.work / "layers" / name / "python-3.11"
            if folder.is_dir():
                continue
            shutil.copytree(LAYERS / "python-3.11", folder)
            if name == "old":
                self._older(folder)
            elif name == "python":
                self._python_only(folder)

    def _older(self, folder: Path) -> None:
        recipe = folder / "layer.toml"
        lines = recipe.read_text().splitlines()
        lines = ['suites = ["debian/bookworm"]' if line.startswith("suites") else line for line in lines]
        recipe.write_text("\n".join([*lines, ""]))
        self._run("base", "update", "python-3.11", "--layers", folder.parent, "--platform", "linux/amd64")

    def _python_only(self, folder: Path) -> None:
        lock = folder / "lock.amd64.json"
        older = json.loads((self.work / "layers" / "old" / "python-3.11" / lock.name).read_text())
        known = {each["name"]: each for each in older["packages"]}
        document = json.loads(lock.read_text())
        document["packages"] = [
            each if each["name"].startswith(_PYTHON) else known[each["name"]] for each in document["packages"]
        ]
        lock.write_text(json.dumps(document, indent=2) + "\n")

    def _image(self, name: str, scene: Scene) -> Path:
        out = self.work / f"{name}.tar"
        if not out.is_file():
            project = self.work / "projects" / name
            recipe = project / "build" / "mypy"
            _write_recipe(recipe, scene)
            layers = ("--layers", self.work / "layers" / scene.base, "--project-dir", project)
            if scene.pins:
                self._run("lock", "mypy", *layers)
            self._run("build", "mypy", "--frozen", "--out", out, *layers)
        return out

    def _run(self, *words: str | Path) -> None:
        environ = {name: text for name, text in os.environ.items() if name != "PIP_FIND_LINKS"}
        environ["OCIBUILD_CACHE_DIR"] = str(self.cache)
        argv = [sys.executable, "-m", "oci_builder", *map(str, words), "--quiet"]
        subprocess.run(argv, env=environ, check=True, timeout=1800)


def _write_recipe(recipe: Path, scene: Scene) -> None:
    shutil.rmtree(recipe, ignore_errors=True)
    (recipe / "app").mkdir(parents=True)
    (recipe / "app" / "main.py").write_text(scene.app)
    lines = [line for line in (MODEL / "requirements.txt").read_text().splitlines() if line]
    names = {line.partition("==")[0] for line in lines}
    lines = [f"{name}{scene.pins[name]}" if (name := line.partition("==")[0]) in scene.pins else line for line in lines]
    lines += [f"{name}{text}" for name, text in scene.pins.items() if name not in names]
    (recipe / "requirements.txt").write_text("".join(f"{line}\n" for line in lines))
    shutil.copy(MODEL / "constraints.txt", recipe)
    shutil.copy(MODEL / "pylock.toml", recipe)
    toml = (MODEL / "image.toml").read_text().splitlines()
    toml = ['platforms = ["linux/amd64"]' if line.startswith("platforms") else line for line in toml]
    copied = ["", "[[copy]]", 'src = "app"', 'dest = "/opt/app"', ""]
    (recipe / "image.toml").write_text("\n".join([*toml, *copied]))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tree_of(path: Path) -> tuple[str, int]:
    """The digest of all that an export says, and how many entries that are."""
    found = exported(path)
    seen = hashlib.sha256(repr(sorted(found.items())).encode("utf-8", "surrogateescape")).hexdigest()
    return seen, len(found)


def loads(
    files: Files, name: str, engine: DockerLike, trees: dict[str, tuple[str, int]], *, is_oracle: bool
) -> Iterator[Loaded]:
    """Every update, loaded by an engine that has the old image; the first engine loads the whole new images too."""
    yield from _faults(files, name, engine)
    began = time.monotonic()
    engine.load(files.old)
    yield Loaded(engine=name, what="the whole old image", whole=round(time.monotonic() - began, 1))
    work = files.work / "export.tar"
    for number, scene in enumerate(SCENES):
        whole = 0.0
        if is_oracle:
            engine.call("tag", NAME, "kept:1")
            began = time.monotonic()
            engine.load(files.new(number))
            whole = time.monotonic() - began
            engine.export(NAME, work)
            trees[scene.what] = tree_of(work)
            engine.remove(NAME)
            engine.call("tag", "kept:1", NAME)
        try:
            began = time.monotonic()
            engine.load(files.update(number))
            seconds = time.monotonic() - began
            engine.run(NAME, "python3", "-c", "import pandas")
            engine.export(NAME, work)
            found = tree_of(work)
            same = "" if scene.what not in trees else "yes" if trees[scene.what] == found else "no"
            yield Loaded(
                engine=name,
                what=scene.what,
                seconds=round(seconds, 2),
                whole=round(whole, 2),
                entries=found[1],
                same=same,
            )
        except EngineFailed as error:
            yield Loaded(engine=name, what=scene.what, why=str(error)[-200:])
        work.unlink(missing_ok=True)


def imports(files: Files, name: str, engine: Containerd) -> Iterator[Loaded]:
    """The same with ctr, which exports no root filesystem: the image is run."""
    began = time.monotonic()
    engine.load(files.old)
    yield Loaded(engine=name, what="the whole old image", whole=round(time.monotonic() - began, 1))
    full = f"docker.io/library/{NAME}"
    for number, scene in enumerate(SCENES):
        try:
            began = time.monotonic()
            engine.load(files.update(number))
            seconds = time.monotonic() - began
            engine.run(full, "python3", "-c", "import pandas")
            yield Loaded(engine=name, what=scene.what, seconds=round(seconds, 2), same="runs")
        except EngineFailed as error:
            yield Loaded(engine=name, what=scene.what, why=str(error)[-200:])


def _faults(files: Files, name: str, engine: DockerLike) -> Iterator[Loaded]:
    """What stock ``load`` says of an update whose old image is not there, is another, or that is cut off."""
    update = files.update(0)
    cut = files.work / "cut.tar"
    cut.write_bytes(update.read_bytes()[: update.stat().st_size // 2])
    faults: dict[str, Callable[[], None]] = {
        "old image missing": lambda: None,
        "wrong old image": lambda: _other(files, engine),
        "cut-off update": lambda: None,
    }
    for what, prepare in faults.items():
        prepare()
        before = engine.call("image", "inspect", NAME, "--format", "{{.Id}}", check=False).stdout.strip()
        done = engine.call("load", "--input", cut if what.startswith("cut") else update, check=False)
        after = engine.call("image", "inspect", NAME, "--format", "{{.Id}}", check=False).stdout.strip()
        words = _told(done.stderr.strip() or done.stdout.strip())
        moved = "the name leads elsewhere" if before != after else "nothing changed"
        yield Loaded(engine=name, what=what, why=f"exit {done.returncode}, {moved}: {words}")
        engine.call("image", "rm", "--force", NAME, check=False)


def _told(text: str) -> str:
    """The last line of what an engine says, without what is another one each time: folders, digests, times."""
    line = (text.splitlines() or [""])[-1]
    line = re.sub(r"\S*/?blobs/sha256/[0-9a-f]{64}", "blobs/sha256/…", line)
    line = re.sub(r"(?:/\S+)+/(?=[^/\s]+)", "…/", line)
    return re.sub(r"[0-9a-f]{64}", "…", line)[-160:]


def _other(files: Files, engine: DockerLike) -> None:
    from oci_builder.export.docker_archive import write_file
    from oci_builder.reference import Reference
    from oci_builder.reporter import Quiet
    from oci_builder.store import Store

    store, path = Store(files.work / "other"), files.work / "other.tar"
    write_file(random_image(store), path, references=[Reference.parse(NAME)], store=store, reporter=Quiet())
    engine.load(path)
