"""``ocibuild cache``, and a cache that something has happened to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.inventory import shelves
from oci_builder.store import Store
from tests.support.tiny import Tiny, build, built, make_tiny, unsound

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project that builds."""
    return make_tiny(tmp_path / "project")


def cache(tiny: Tiny, *words: str) -> int:
    """``ocibuild cache …`` on the project's cache; its exit code."""
    return main(["cache", *words, "--cache-dir", str(tiny.cache)])


def test_it_says_what_of_which_sort_it_holds(tiny: Tiny, capsys: Capture) -> None:
    built(tiny)
    assert cache(tiny, "info", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    kinds = found["kinds"]
    assert found["folder"] == str(tiny.cache)
    assert (kinds["layers"]["files"], kinds["wheels"]["files"]) == (3, 3)
    assert kinds["packages"]["files"] == len(list(tiny.debs.iterdir()))
    assert found["size"] == sum(kind["size"] for kind in kinds.values())
    assert cache(tiny, "info") == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tiny.cache}: {found['files']} files, ")
    assert [line.split()[0] for line in rest][:3] == ["layers", "wheels", "packages"]
    assert all("used just now, the oldest just now" in line for line in rest)


def test_an_empty_one_says_so(tiny: Tiny, capsys: Capture) -> None:
    assert cache(tiny, "info") == 0
    assert capsys.readouterr().out == f"{tiny.cache}: 0 files, 0 B\n"


def test_clearing_it_leaves_what_is_not_ours(tiny: Tiny, capsys: Capture) -> None:
    first = built(tiny)
    (tiny.cache / "mine.txt").touch()
    assert cache(tiny, "clear", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["removed"]["files"] > 0 and told["left"] == 0
    assert [path.name for path in tiny.cache.rglob("*") if path.is_file()] == ["mine.txt"]
    assert cache(tiny, "clear") == 0
    assert capsys.readouterr().err == f"{tiny.cache}: 0 files, 0 B removed, 0 B left\n"
    tiny.out.unlink()
    assert built(tiny) == first


@pytest.mark.parametrize("words", [("clear",), ("prune", "--unused-for", "0")], ids=["clear", "prune"])
def test_nothing_is_removed_while_a_build_runs(tiny: Tiny, capsys: Capture, words: tuple[str, ...]) -> None:
    built(tiny)
    running = Store(tiny.cache)
    before = list(running.kept())
    assert cache(tiny, *words) == 1
    said = capsys.readouterr().err
    assert f"{tiny.cache}: another process is using the cache, so nothing was removed" in said
    assert "hint: try again" in said
    assert [path for path, _ in running.kept()] == [path for path, _ in before]


def test_verify_removes_what_is_damaged_and_names_it(tiny: Tiny, capsys: Capture) -> None:
    first = built(tiny)
    assert cache(tiny, "verify") == 0
    assert capsys.readouterr().err.endswith(", sound\n")
    blob, record = (sorted((tiny.cache / "v1").glob(f"{kind}/*/*"))[0] for kind in ("blobs", "records"))
    for path in (blob, record):
        flipped(path)
    assert cache(tiny, "verify", "--json") == 1
    out, said = capsys.readouterr()
    assert json.loads(out)["damaged"] == [path.relative_to(tiny.cache).as_posix() for path in (blob, record)]
    assert f"{blob.relative_to(tiny.cache)}: damaged, removed" in said and "2 of " in said
    assert cache(tiny, "verify", "--quiet") == 0
    tiny.out.unlink()
    assert built(tiny) == first


def test_a_build_keeps_to_the_size_it_is_told(tiny: Tiny) -> None:
    first = built(tiny, "--cache-max-size", "20kB")
    left = sum(info.st_size for _, info in Store(tiny.cache).kept())
    assert 0 < left <= 20_000
    assert built(tiny, "--cache-max-size", "20kB") == first


def flipped(path: Path) -> None:
    """One bit of its middle byte is another."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """Its last third is missing."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def emptied(path: Path) -> None:
    """Nothing is in it."""
    path.write_bytes(b"")


def other_json(path: Path) -> None:
    """It holds a document of another kind."""
    path.write_bytes(b'{"schemaVersion": 2, "layers": []}')


@pytest.mark.parametrize("damage", [flipped, cut, emptied, other_json])
def test_whatever_is_damaged_is_noticed_when_it_is_read_and_made_again(
    tiny: Tiny, damage: Callable[[Path], None]
) -> None:
    first = built(tiny)
    sorts = list(shelves(Store(tiny.cache)))
    assert {"layers", "wheels", "packages", "records/layer", "records/claims", "records/settled"} <= set(sorts)
    for sort in sorts:
        tiny.out.unlink()
        if sort != "records/unchanged":
            # Of a build that is remembered the layers alone are read.
            shutil.rmtree(tiny.cache / "v1" / "records" / "unchanged")
        # What they were made into is at hand, and nobody would read them.
        for folder in made_of(tiny, sort):
            shutil.rmtree(folder)
        for path in of_sort(tiny, sort):
            damage(path)
        ending = build(tiny)
        assert (ending.code, tiny.out.read_bytes() == first) == (0, True), (sort, ending.said)
        # That nothing can be remembered is told to nobody: it is looked for before all else.
        assert sort == "records/unchanged" or "damaged; made again" in ending.said, (sort, ending.said)
        assert unsound(tiny.cache) == []


def of_sort(tiny: Tiny, sort: str) -> list[Path]:
    """The cache's files of one sort."""
    store = Store(tiny.cache)
    if sort.startswith("records/"):
        return sorted((tiny.cache / "v1" / sort).iterdir())
    heads = {"layers": b"\x1f\x8b", "wheels": b"PK", "packages": b"!<"}
    known = tuple(heads.values())
    blobs = [(path, path.read_bytes()[:2]) for path, _ in store.kept() if path.parent.name == "sha256"]
    return [path for path, head in blobs if (head == heads[sort] if sort in heads else head not in known)]


def made_of(tiny: Tiny, sort: str) -> list[Path]:
    """The folders of records that spare a build a look at what they were made of."""
    spared = {"wheels": "layer", "packages": "layer", "records/claims": "settled", "records/facts": "gate"}
    kinds = [kind for name, kind in spared.items() if sort.startswith(name)]
    return [folder for kind in kinds for folder in (tiny.cache / "v1" / "records").glob(f"{kind}*")]
