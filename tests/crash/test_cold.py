"""A build with an empty cache over an older file, stopped at every call that changes a file."""

from __future__ import annotations

import pytest

from tests.crash.running import assert_holds

POINTS = 150


@pytest.mark.parametrize("fault", ["abort", "error", "full"])
def test_whatever_stops_a_first_build_the_file_is_the_old_or_the_new_and_the_next_build_is_right(fault: str) -> None:
    assert_holds("cold", fault, points=POINTS)


def test_signals_dead_disks_and_killed_processes_stop_a_first_build_as_cleanly() -> None:
    assert_holds("cold", "terminated/9", "interrupted/9", "killed/9", "dead/9", "nospace/9", points=POINTS)
