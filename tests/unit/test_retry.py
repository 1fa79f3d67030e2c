"""What is tried again: the errors, the waits, and when it is enough."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from oci_builder.errors import TransportError
from oci_builder.retry import LONGEST_WAIT, Transient, attempts


class Busy(Transient, TransportError):
    def __init__(self, wait: float | None = None) -> None:
        super().__init__("https://host", "busy")
        self.wait = wait


def failing(*errors: Exception) -> Callable[[], str]:
    """What raises these one after the other, and then gives a text."""
    left = list(errors)

    def act() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return act


def test_a_wait_doubles_up_to_the_longest_and_is_never_quite_the_same() -> None:
    waits: list[float] = []
    assert attempts(12, first_wait=1, sleep=waits.append)(failing(*[Busy() for _ in range(11)])) == "done"
    for wait, full in zip(waits, [1, 2, 4, 8, 16, *[LONGEST_WAIT] * 6], strict=True):
        assert 0.7 * full <= wait <= full
    assert len(set(waits)) == len(waits)


def test_what_the_server_asks_for_is_waited_for_exactly() -> None:
    waits: list[float] = []
    assert attempts(9, first_wait=1, sleep=waits.append)(failing(Busy(0.0), Busy(17.5), Busy(100.0))) == "done"
    assert waits == [0.0, 17.5, 100.0]


def test_the_last_error_is_raised_as_it_is_after_all_attempts() -> None:
    told: list[tuple[Transient, int]] = []
    errors = [Busy(1.0) for _ in range(9)]
    with pytest.raises(Busy) as raised:
        attempts(
            3, first_wait=1, sleep=lambda seconds: None, explain=lambda error, count, wait: told.append((error, count))
        )(failing(*errors))
    assert raised.value is errors[2]
    assert told == [(errors[2], 3)]


def test_a_wait_for_which_there_is_no_time_is_not_begun() -> None:
    waits: list[float] = []
    left = iter([60.0, 60.0, 10.0])
    with pytest.raises(Busy):
        attempts(9, first_wait=1, sleep=waits.append, most=lambda: next(left))(failing(*[Busy(20.0) for _ in range(9)]))
    assert waits == [20.0, 20.0]


@pytest.mark.parametrize("error", [TransportError("https://host", "404"), KeyboardInterrupt(), ValueError("x")])
def test_any_other_error_is_the_end(error: BaseException) -> None:
    waits: list[float] = []

    def act() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        attempts(9, first_wait=1, sleep=waits.append)(act)
    assert raised.value is error
    assert waits == []


def test_whoever_gives_pieces_meanwhile_can_be_closed() -> None:
    closed, tried = [], []

    def pieces() -> Generator[int, None, None]:
        for attempt in attempts(9, first_wait=1, sleep=lambda seconds: None):
            with attempt:
                tried.append(attempt.retry_state.attempt_number)
                try:
                    yield from (1, 2, 3)
                finally:
                    closed.append(True)

    given = pieces()
    assert next(given) == 1
    given.close()
    assert (closed, tried) == ([True], [1])
