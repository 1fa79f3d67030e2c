"""Every way to write something, with a cache that is warm, stopped at every call that changes a file."""

from __future__ import annotations

import pytest

from tests.crash.running import assert_holds

EVERYWHERE = ("abort", "error", "full")
SIGNALS = ("terminated", "interrupted")


@pytest.mark.parametrize(
    ("scenario", "points"), [("packed", 40), ("bill", 40), ("folder", 50), ("download", 50), ("prune", 20), ("sbom", 3)]
)
def test_whatever_stops_it_outputs_are_old_or_new_and_the_next_run_is_right(scenario: str, points: int) -> None:
    assert_holds(scenario, *EVERYWHERE, "interrupted/7", "dead/7", points=points)


def test_whatever_stops_a_build_of_what_changed_nothing_of_it_is_left() -> None:
    assert_holds("warm", *EVERYWHERE, *SIGNALS, "killed/3", "dead/3", "nospace/3", points=40)


def test_whatever_stops_a_pull_the_file_is_whole_or_not_there() -> None:
    assert_holds("pull", *EVERYWHERE, "terminated/5", points=20)
