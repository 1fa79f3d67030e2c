"""What differs between machines, and workers that are not forked."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oci_builder import machine
from oci_builder.errors import DigestMismatch, ProcessKilled
from oci_builder.outputs import atomic
from oci_builder.store import Store
from oci_builder.workers import in_workers

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["n" * 255, "n" * 236, "ü" * 127, "n" * 200, "n"])
def test_a_file_may_have_the_longest_name_there_is(tmp_path: Path, name: str) -> None:
    with atomic(tmp_path / name) as file:
        file.write(b"whole")
        begun = [path.name for path in tmp_path.iterdir()]
    assert (tmp_path / name).read_bytes() == b"whole" and len(list(tmp_path.iterdir())) == 1
    # What a killed process had begun for it goes.
    (tmp_path / begun[0]).touch()
    with atomic(tmp_path / name):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_was_begun_for_another_long_name_stays(tmp_path: Path) -> None:
    with atomic(tmp_path / ("n" * 250)):
        other = next(path.name for path in tmp_path.iterdir())
    (tmp_path / other).touch()
    with atomic(tmp_path / ("n" * 251)):
        pass
    assert (tmp_path / other).exists()


def test_a_store_is_the_same_one_in_another_process(store: Store) -> None:
    digest = store.put_bytes(b"blob")
    with store.without("layer") as other, store.scratch() as begun:
        sent = pickle.loads(pickle.dumps(other.beginning_in(begun)))
        sent.put_record("layer", "key", b"{}")
        assert sent.read(digest, 4) == b"blob"
        assert other.record("layer", "key") == b"{}" and store.record("layer", "key") is None


@contextlib.contextmanager
def begin() -> Iterator[Callable[[tuple[str, int]], object]]:
    yield do


def do(task: tuple[str, int]) -> object:
    what, number = task
    if what == "fail":
        raise DigestMismatch(f"file {number}", expected="a", actual="b", hint="get it again")
    if what == "die":
        os.kill(os.getpid(), 9)
    return what * number, os.getpid()


def spawned(tasks: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What comes of ``tasks`` in workers that are started anew."""
    monkeypatch.setattr(machine, "_LINUX", False)
    assert not machine.forks()
    return [result for _, result in in_workers(tasks, begin, count=2, label=str)]


def test_workers_that_are_not_forked_do_every_task_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done = spawned([("x", 1_000_000), ("y" * 500_000, 3), *[("z", number) for number in range(9)]], monkeypatch)
    texts = [result[0] for result in done if isinstance(result, tuple)]
    assert sorted(map(len, texts)) == sorted([1_000_000, 1_500_000, *range(9)])
    pids = {result[1] for result in done if isinstance(result, tuple)}
    assert os.getpid() not in pids and len(pids) <= 2


def test_an_error_of_a_worker_that_was_not_forked_comes_over_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DigestMismatch, match="file 1") as caught:
        spawned([("x", 1), ("fail", 1)], monkeypatch)
    assert caught.value.hint == "get it again"


def test_a_worker_that_was_not_forked_and_dies_is_named_with_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProcessKilled, match="die"):
        spawned([("die", 1), ("x", 1)], monkeypatch)


def test_a_module_in_the_folder_one_works_in_is_not_taken_for_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('taken')")
    program = (
        "from oci_builder import machine; machine._LINUX = False\n"
        "from tests.unit.test_machine import begin, in_workers\n"
        "print([result[0] for _, result in in_workers([('x', 3)], begin, count=1, label=str)])"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "['xxx']\n", done.stderr


def test_a_folder_for_temporary_files_is_looked_at_without_making_one(tmp_path: Path) -> None:
    code = "import sys; from oci_builder.surroundings import with_temporary as find; from pathlib import Path\n"
    code += "print(find({'TMPDIR': sys.argv[1]}, Path('none'))[1], 'tempfile' in sys.modules)"
    for place, expected in ((tmp_path, "False False"), (tmp_path / "none", "False True"), (Path("here"), "False True")):
        words = [sys.executable, "-c", code, str(place)]
        assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip() == expected, place
    assert list(tmp_path.iterdir()) == []
