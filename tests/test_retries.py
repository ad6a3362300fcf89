"""Retrying: how often, how long, and what is raised in the end."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from privatekube import errors, retries

QUICK = retries.BackOff(first_seconds=0.001, longest_seconds=0.004)


def failing(times: int, error: Exception) -> Callable[[], int]:
    """Return an action that fails so many times and then returns how often it was called."""
    calls = 0

    def action() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise error
        return calls

    return action


def test_a_temporary_error_is_retried_until_the_action_succeeds() -> None:
    assert retries.call(failing(5, errors.StoreBusy("busy")), back_off=QUICK) == 6


def test_another_error_is_raised_at_once() -> None:
    action = failing(1, errors.NotFound("no such block"))
    with pytest.raises(errors.NotFound):
        retries.call(action, back_off=QUICK)
    assert action() == 2


def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    action = failing(6, errors.Conflict("changed"))
    with pytest.raises(errors.Conflict, match="changed"):
        retries.call(action, on=(errors.Conflict, errors.NotFound), attempts=6, back_off=QUICK)
    assert action() == 7


def test_the_last_attempt_is_made_when_the_time_is_over_and_not_later() -> None:
    began = time.monotonic()
    with pytest.raises(errors.StoreBusy):
        retries.call(failing(10**9, errors.StoreBusy("busy")), timeout_seconds=0.1, back_off=retries.BackOff(600, 600))
    assert time.monotonic() - began >= 0.1  # and the test ends before a pause of that length


def test_polling_returns_the_value_that_is_done() -> None:
    values = iter(range(10))
    late = errors.StoreBusy("late")
    assert retries.poll(lambda: next(values), lambda v: v == 4, timeout_seconds=60, error=late, back_off=QUICK) == 4


def test_polling_raises_the_given_error_when_the_time_is_over() -> None:
    late = errors.StoreBusy("no controller answered")
    with pytest.raises(errors.StoreBusy, match="no controller"):
        retries.poll(lambda: None, lambda _: False, timeout_seconds=0.01, error=late, back_off=QUICK)


def test_polling_passes_on_what_reading_raises() -> None:
    late = errors.StoreBusy("late")
    with pytest.raises(errors.NotFound):
        retries.poll(failing(1, errors.NotFound("gone")), lambda _: True, timeout_seconds=None, error=late)


def test_polling_reads_again_as_soon_as_the_value_says_that_it_changes() -> None:
    values = iter(range(3))
    slow, late = retries.BackOff(600, 600), errors.StoreBusy("late")  # longer than a test may take
    retries.poll(
        lambda: next(values),
        lambda value: value == 2,
        timeout_seconds=None,
        error=late,
        pause_at_most=lambda _: 0.001,
        back_off=slow,
    )


def test_pauses_double_up_to_their_bound_with_at_most_half_of_it_as_jitter() -> None:
    back_off = retries.BackOff(first_seconds=0.5, longest_seconds=3)
    for failures, bound in ((1, 0.5), (2, 1.0), (3, 2.0), (4, 3.0), (5000, 3.0)):
        drawn = [back_off.pause_seconds(failures) for _ in range(50)]
        assert bound / 2 <= min(drawn) < max(drawn) <= bound


def test_pauses_are_short_again_after_a_success() -> None:
    pauses = retries.Pauses(retries.BackOff(first_seconds=1, longest_seconds=100))
    grown = [pauses.next_seconds() for _ in range(6)][-1]
    pauses.reset()
    assert grown >= 16
    assert pauses.next_seconds() <= 1


@pytest.mark.parametrize(("first", "longest"), [(0, 1), (-1, 1), (2, 1)])
def test_a_back_off_that_does_not_grow_from_a_positive_pause_is_refused(first: float, longest: float) -> None:
    with pytest.raises(errors.InvalidInput, match="back-off"):
        retries.BackOff(first, longest)
