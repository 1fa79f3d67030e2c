"""Threads that share out work, when it fails, hangs and is given up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from oci_builder.threads import in_threads

ROOT = Path(__file__).parents[2]


def test_results_come_in_the_order_of_the_work() -> None:
    def act(number: int) -> int:
        time.sleep((7 - number) / 500)
        return number

    before = threading.active_count()
    assert list(in_threads([partial(act, number) for number in range(8)], count=3)) == list(range(8))
    assert list(in_threads([], count=3)) == []
    assert threading.active_count() == before


def test_the_first_failure_is_raised_and_ends_the_rest() -> None:
    stop, begun = threading.Event(), []

    def wait() -> None:
        begun.append(1)
        stop.wait(600)

    def fail() -> None:
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        list(in_threads([wait, fail, *[wait] * 9], count=2, give_up=stop.set))
    assert len(begun) <= 2


def test_who_stops_reading_gives_the_rest_up() -> None:
    stop = threading.Event()
    with contextlib.closing(in_threads([lambda: True, lambda: stop.wait(600)], count=2, give_up=stop.set)) as done:
        assert next(done)
    assert stop.is_set()


def test_a_thread_that_hangs_keeps_no_process_from_ending() -> None:
    program = """
import time
from oci_builder import threads
threads._FAREWELL = 0.2

def fail():
    raise SystemExit(7)

list(threads.in_threads([lambda: time.sleep(600), fail], count=2))
"""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environ, timeout=60, check=False)
    assert done.returncode == 7
