"""The pool of forked workers, when they die, hang, fail and are given up."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from oci_builder.errors import DigestMismatch, MachineExhausted, ProcessKilled
from oci_builder.workers import in_workers

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("OCIBUILD_ENDINGS", "25"))
"""How often what may hang once in a while is tried."""

SOON = 30.0
"""Seconds: what ends does so in five at most, and the machine may be busy with other things."""

Act = Callable[[int], object]


def pool(act: Act, *, tasks: Sequence[int] = range(6), count: int = 3) -> list[tuple[int, object]]:
    """What comes of ``tasks``; fails the test where that takes too long, or anything is left of it."""
    began = time.monotonic()
    try:
        with contextlib.closing(in_workers(tasks, lambda: ready(act), count=count, label=str)) as done:
            return list(done)
    finally:
        assert time.monotonic() - began < SOON
        assert children() == []


@contextlib.contextmanager
def ready(act: Act) -> Iterator[Act]:
    yield act


OTHERS: set[str] = set()
"""Processes of this one that other tests have started, and go on needing: an engine, a registry."""


@pytest.fixture(autouse=True)
def others() -> None:
    OTHERS.clear()
    OTHERS.update(children())


def children() -> list[str]:
    """The processes this one has started and not yet buried, since the test began."""
    found: list[str] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            found += path.read_text().split()
    return [child for child in found if child not in OTHERS]


def open_files() -> int:
    # What tests before left in circles is closed now, and not while one counts.
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_every_task_is_done_once_and_its_result_comes_back() -> None:
    files = open_files()
    done = pool(lambda task: (task, b"x" * task * 100_000), tasks=range(20))
    assert sorted(done) == [(task, (task, b"x" * task * 100_000)) for task in range(20)]
    assert pool(str, tasks=[]) == []
    # Fewer, where what tests before had left was closed meanwhile.
    assert open_files() <= files


def test_there_are_no_more_workers_than_asked_for_and_each_begins_once(tmp_path: Path) -> None:
    @contextlib.contextmanager
    def begin() -> Iterator[Act]:
        (tmp_path / str(os.getpid())).touch()
        yield lambda task: os.getpid()
        (tmp_path / f"{os.getpid()}-left").touch()

    used = {pid for _, pid in in_workers(range(40), begin, count=3, label=str)}
    assert os.getpid() not in used
    begun = {path.name for path in tmp_path.iterdir()}
    assert len(begun) == 6 and {str(pid) for pid in used} <= begun


def test_an_error_comes_over_whole_and_of_several_that_of_the_earliest_task() -> None:
    def fail(task: int) -> None:
        raise DigestMismatch(f"file {task}", expected="a", actual="b", hint="get it again")

    for _ in range(ROUNDS):
        with pytest.raises(DigestMismatch, match="file") as caught:
            pool(fail, tasks=range(4), count=4)
        assert (caught.value.expected, caught.value.hint) == ("a", "get it again")
        assert "in a worker process" in caught.value.__notes__[0]


def test_workers_that_fail_at_random_instants_end_the_pool_and_put_away_what_they_began(tmp_path: Path) -> None:
    @contextlib.contextmanager
    def begin() -> Iterator[Act]:
        begun = tmp_path / str(os.getpid())
        begun.touch()
        try:
            yield fail
        finally:
            begun.unlink()

    def fail(task: int) -> bytes:
        time.sleep(pauses[task])
        if task < 3:
            raise DigestMismatch("x" * 200_000, expected="a", actual="b")
        return bytes(500_000)

    dice = random.Random(1)
    for _ in range(ROUNDS):
        pauses = [dice.random() / 200 for _ in range(4)]
        with (
            pytest.raises(DigestMismatch),
            contextlib.closing(in_workers(range(4), begin, count=4, label=str)) as done,
        ):
            list(done)
        # One that had to be killed, because it waited to be listened to, would have left its file.
        assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("default:.*fork:DeprecationWarning")  # the killer is a thread
def test_workers_killed_at_random_instants_end_the_pool() -> None:
    # In the midst of a task, of a message, of their start or end: there is nothing that they could take along.
    dice, killed = random.Random(2), 0
    for number in range(ROUNDS * 6):
        killer = threading.Thread(target=kill_one, args=(dice.random() / 60, dice.randrange(3)), daemon=True)
        killer.start()
        try:
            done = pool(lambda task: bytes(200_000 + task), tasks=range(12))
        except ProcessKilled as error:
            killed += 1
            assert error.status == -signal.SIGKILL
            assert "probably for memory" in str(error) and "--jobs 1" in str(error.hint)
        else:
            assert sorted(task for task, _ in done) == list(range(12)), number
        killer.join(SOON)
    assert killed > ROUNDS // 5


def kill_one(after: float, which: int) -> None:
    """Kill one of the workers; where they have all gone, nothing happens."""
    time.sleep(after)
    with contextlib.suppress(OSError):
        found = sorted(children(), key=int)
        if found:
            os.kill(int(found[which % len(found)]), signal.SIGKILL)


def test_a_worker_that_heeds_no_signal_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    def act(task: int) -> None:
        if task:
            while not (tmp_path / "deaf").exists():
                time.sleep(0.001)
            raise DigestMismatch("file", expected="a", actual="b")
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        (tmp_path / "deaf").touch()
        (tmp_path / "pipe").read_bytes()  # nobody ever writes

    with pytest.raises(DigestMismatch):
        pool(act, tasks=range(2), count=2)


def test_a_worker_that_has_been_stopped_is_killed(tmp_path: Path) -> None:
    def act(task: int) -> None:
        if task:
            while not (tmp_path / "0").exists():
                time.sleep(0.001)
            raise DigestMismatch("file", expected="a", actual="b")
        (tmp_path / "0").touch()
        os.kill(os.getpid(), signal.SIGSTOP)

    with pytest.raises(DigestMismatch):
        pool(act, tasks=range(2), count=2)


def test_what_a_worker_began_is_put_away_when_another_fails(tmp_path: Path) -> None:
    def act(task: int) -> None:
        if task:
            while not list(tmp_path.iterdir()):
                time.sleep(0.001)
            raise DigestMismatch("file", expected="a", actual="b")
        begun = tmp_path / "begun"
        begun.touch()
        try:
            time.sleep(600)
        finally:
            begun.unlink()

    with pytest.raises(DigestMismatch):
        pool(act, tasks=range(2), count=2)
    assert list(tmp_path.iterdir()) == []


class Peculiar(Exception):
    """An error that pickles, and does not come out again."""

    def __init__(self, *, where: str) -> None:
        super().__init__(f"odd in {where}")


def test_an_error_that_does_not_pickle_comes_as_its_words() -> None:
    def fail(task: int) -> None:
        raise Peculiar(where="here")

    def lambdas(task: int) -> object:
        return lambda: task

    with pytest.raises(RuntimeError, match="Peculiar: odd in here"):
        pool(fail)
    with pytest.raises(RuntimeError, match="no result to send"):
        pool(lambdas)


def test_a_worker_that_leaves_without_a_word_is_missed() -> None:
    with pytest.raises(ProcessKilled, match=r"a worker ended \(status 3\): it was at \d"):
        pool(lambda task: os._exit(3))
    with pytest.raises(ProcessKilled, match="was ended by SIGUSR1"):
        pool(lambda task: os.kill(os.getpid(), signal.SIGUSR1))


def test_a_worker_without_memory_says_so() -> None:
    def greedy(task: int) -> None:
        raise MemoryError

    with pytest.raises(MachineExhausted, match="not enough memory") as caught:
        pool(greedy)
    assert "--jobs 1" in str(caught.value.hint)


def test_a_worker_that_cannot_begin_ends_the_pool() -> None:
    def begin() -> contextlib.AbstractContextManager[Act]:
        raise DigestMismatch("the interpreter", expected="a", actual="b")

    with pytest.raises(DigestMismatch, match="the interpreter"):
        list(in_workers(range(3), begin, count=2, label=str))
    assert children() == []


def test_who_stops_reading_ends_the_workers() -> None:
    with contextlib.closing(
        in_workers(range(9), lambda: ready(lambda task: time.sleep(task)), count=2, label=str)
    ) as done:
        next(done)
        assert len(children()) == 2
    assert children() == []


PROGRAM = """
import contextlib, sys, time
from oci_builder.workers import in_workers

@contextlib.contextmanager
def begin():
    yield act

def act(task):
    print(task, flush=True)
    time.sleep(600)

for _ in in_workers(range(3), begin, count=3, label=str):
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_whoever_started_them(number: signal.Signals) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        os.kill(process.pid, number)
        # They hold its other end, and would hold it for ten minutes.
        began = time.monotonic()
        assert process.stdout.read() == b""
        assert time.monotonic() - began < SOON


def test_where_only_some_workers_can_be_started_they_do_it_all() -> None:
    program = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
import contextlib, os
from oci_builder.errors import MachineExhausted
from oci_builder.workers import in_workers

@contextlib.contextmanager
def begin():
    yield lambda task: (task, os.getpid())

for files in range(3, 40):
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, 4096))
    try:
        done = [result for _, result in in_workers(range(9), begin, count=8, label=str)]
    except MachineExhausted as error:
        print(0, error)
    else:
        assert sorted(task for task, _ in done) == list(range(9))
        print(len({{pid for _, pid in done}}))
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0] == "0 a worker: cannot be started: too many open files"
    assert lines[-1][0] > "1"
