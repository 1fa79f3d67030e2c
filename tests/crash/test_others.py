"""The slower ones, stopped at some of their calls: all of them by ``make crash``."""

from __future__ import annotations

import pytest

from tests.crash.running import assert_holds


@pytest.mark.parametrize(("scenario", "points"), [("image", 90), ("lock", 25), ("report", 80)])
def test_whatever_stops_it_the_output_is_old_or_new_and_the_next_run_is_right(scenario: str, points: int) -> None:
    assert_holds(scenario, "abort/5", "error/5", "full/5", "terminated/25", points=points)
