"""Whatever happens to one input of a recipe: "nothing to do" is only said where a build would give the same image."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from oci_builder.cli import main
from tests.support.projects import make_project
from tests.support.tiny import NAME, Tiny, make_tiny
from tests.support.wheels import make_wheel

EXAMPLES = int(os.environ.get("OCIBUILD_INPUTS", "10"))
NOTHING = "nothing to do"


@dataclass(frozen=True)
class Run:
    """How a build ended: its code, the image's digest, and whether it said that there was nothing to do."""

    code: int
    digest: str
    idle: bool


def build(tiny: Tiny, *words: str) -> Run:
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    out, err = io.StringIO(), io.StringIO()
    argv = ["build", NAME, "--cache-dir", str(tiny.cache), "--progress", "none", "--json", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(tiny.root):
        code = main(argv)
    assert code in (0, 1, 2, 3), err.getvalue()
    digest = json.loads(out.getvalue())["digest"] if code == 0 else ""
    return Run(code, digest, NOTHING in err.getvalue())


def add(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as sink:
        sink.write(text)


def toml(tiny: Tiny, text: str) -> None:
    add(tiny.image / "image.toml", text)


# What a recipe may draw on. Tables of TOML come after its keys: what adds to [python] is first.


def project(tiny: Tiny) -> None:
    make_project(tiny.root / "own")
    (tiny.root / "own" / "sub").mkdir()
    (tiny.root / "own" / "sub" / "data").write_text("1")
    toml(tiny, 'project = "../../own"\n')


def include(tiny: Tiny) -> None:
    add(tiny.image / "requirements.txt", "-r ../../more/more.txt\n")
    add(tiny.root / "more" / "more.txt", "tool\n-r deeper.txt\n")
    add(tiny.root / "more" / "deeper.txt", "many\n")


def constraint(tiny: Tiny) -> None:
    add(tiny.image / "requirements.txt", "-c ../../limits.txt\n")
    add(tiny.root / "limits.txt", "tool<3\n")


def unlocked(tiny: Tiny) -> None:
    (tiny.image / "pylock.toml").unlink()
    make_wheel(tiny.wheels, "other", "1.0")


def plain_copy(tiny: Tiny) -> None:
    add(tiny.root / "src" / "a", "1")
    add(tiny.root / "src" / "deep" / "b", "2")
    add(tiny.root / "src" / "deep" / "c.pyc", "3")
    (tiny.root / "src" / "link").symlink_to("a")
    toml(tiny, '[[copy]]\nsrc = "../../src"\ndest = "/srv"\nexclude = ["*.pyc"]\n')


def linked_copy(tiny: Tiny) -> None:
    add(tiny.root / "other" / "one" / "f", "1")
    add(tiny.root / "other" / "two" / "f", "2")
    (tiny.root / "other" / "now").symlink_to("one")
    toml(tiny, '[[copy]]\nsrc = "../../other/now/f"\ndest = "/linked"\n')


def linked_base(tiny: Tiny) -> None:
    tiny.base.rename(tiny.root / "elsewhere")
    tiny.base.symlink_to("../elsewhere")


def linked_wheels(tiny: Tiny) -> None:
    tiny.wheels.rename(tiny.root / "all")
    tiny.wheels.symlink_to("../../all")


PARTS = (project, include, constraint, unlocked, linked_base, linked_wheels, plain_copy, linked_copy)
WORDS = ((), ("--sbom", "app.cdx.json"), ("--find-links", "more"), ("--layers", "more"), ("-r", "limits.txt"))


# What may happen to a path.


def touched(path: Path) -> None:
    os.utime(path)


def edited(path: Path) -> None:
    if path.is_file():
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if data else b"x")


def edited_in_secret(path: Path) -> None:
    info = path.stat()
    edited(path)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def longer(path: Path) -> None:
    add(path if path.is_file() else path / "more.whl", "# \n")


def executable(path: Path) -> None:
    if path.is_file():
        path.chmod(path.stat().st_mode ^ 0o111)


def gone(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def renamed(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}x"))


def rewritten(path: Path) -> None:
    if path.is_file():
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)


def moved_behind_a_link(path: Path) -> None:
    place = path.with_name(f"{path.name}.real")
    path.rename(place)
    path.symlink_to(place.name)


def led_elsewhere(path: Path) -> None:
    others = sorted(each for each in path.parent.iterdir() if each != path)
    if others:
        gone(path)
        path.symlink_to(others[-1].name)


def made_a_folder(path: Path) -> None:
    gone(path)
    path.mkdir()


def joined(path: Path) -> None:
    add(path.with_name(f"new{path.suffix}"), "x")


HAPPENINGS = (
    *(touched, edited, edited_in_secret, longer, executable, gone, renamed, rewritten),
    *(moved_behind_a_link, led_elsewhere, made_a_folder, joined),
)


def places(tiny: Tiny) -> list[Path]:
    """All that lies in the project but for caches and outputs, and some places where nothing is yet."""
    found = []
    for here, folders, files in os.walk(tiny.root):
        if Path(here) == tiny.root:
            folders.remove("cache")
            files = [name for name in files if not name.startswith("app.")]
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        found += [Path(here, name) for name in sorted((*folders, *files))]
    return found


@contextlib.contextmanager
def made(parts: set[Callable[[Tiny], None]]) -> Iterator[Tiny]:
    with tempfile.TemporaryDirectory() as folder:
        tiny = make_tiny(Path(folder) / "p")
        for part in PARTS:
            if part in parts:
                part(tiny)
        yield tiny


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    parts=st.sets(st.sampled_from(PARTS), max_size=4),
    words=st.sampled_from(WORDS),
    where=st.integers(0, 10_000),
    happening=st.sampled_from(HAPPENINGS),
)
def test_nothing_to_do_is_said_only_where_a_build_would_give_the_same(
    parts: set[Callable[[Tiny], None]], words: tuple[str, ...], where: int, happening: Callable[[Path], None]
) -> None:
    with made(parts) as tiny:
        if words == ("-r", "limits.txt") and not (tiny.root / "limits.txt").exists():
            add(tiny.root / "limits.txt", "tool<3\n")
        (tiny.root / "more").mkdir(exist_ok=True)
        first = build(tiny, *words)
        assert first.code == 0
        again = build(tiny, *words)
        # One that wrote a lock is remembered the next time.
        again = again if again.idle else build(tiny, *words)
        assert again.idle and again.digest == first.digest
        there = places(tiny)
        path = there[where % len(there)]
        note(f"{happening.__name__}: {path.relative_to(tiny.root)}")
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            happening(path)
        after = build(tiny, *words)
        shutil.rmtree(tiny.cache / "v1" / "records" / "unchanged", ignore_errors=True)
        anew = build(tiny, *words)
        event("left alone" if after.idle else "built" if after.code == 0 else "refused")
        assert not anew.idle
        assert (after.code, after.digest) == (anew.code, anew.digest)
