"""Retry with exponential back-off and jitter: the one place that decides how long to pause between attempts.

There are three forms:

- `call` repeats an action that raised an error, by default one that is `errors.Temporary`;
- `poll` reads a value again until it meets a condition;
- `Pauses` is for a loop that never ends, such as a watch; a success makes the next pause short again.

>>> answers = iter([errors.StoreBusy("store: is locked"), "done"])
>>> def fetch() -> str:
...     if isinstance(answer := next(answers), Exception):
...         raise answer
...     return answer
>>> call(fetch, attempts=3, back_off=BackOff(first_seconds=0.001))
'done'
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from privatekube import errors

T = TypeVar("T")


@dataclass(frozen=True)
class BackOff:
    """How long to pause between attempts: twice as long each time, up to a bound.

    Each pause is drawn uniformly between half of that length and all of it, so that processes that failed together
    do not all retry at the same time.

    Args:
        first_seconds: upper bound of the first pause.
        longest_seconds: upper bound of every pause; equal to `first_seconds` for pauses that do not grow.
    """

    first_seconds: float = 0.05
    longest_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.first_seconds <= self.longest_seconds:
            value = f"{self.first_seconds} .. {self.longest_seconds}"
            raise errors.invalid("back-off", value, "must grow from a positive pause", "set 0 < first <= longest")

    def pause_seconds(self, failures: int) -> float:
        """Return how long to pause after this number of consecutive failures, counted from 1."""
        doublings = min(failures - 1, 60)  # a float cannot hold 2**1024
        bound = min(self.first_seconds * 2.0**doublings, self.longest_seconds)
        return bound * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, protects nothing


STANDARD = BackOff()


def call(
    action: Callable[[], T],
    *,
    on: type[Exception] | tuple[type[Exception], ...] = errors.Temporary,
    attempts: int | None = None,
    timeout_seconds: float | None = None,
    back_off: BackOff = STANDARD,
) -> T:
    """Call `action` until it raises none of the errors `on`, and return its result.

    Args:
        action: what to do; it must tolerate being repeated.
        on: errors after which to repeat it; every other one is raised at once.
        attempts: the largest number of calls; None for no limit.
        timeout_seconds: how long to repeat it; the last call is made at the end of this time; None for no limit.
        back_off: how long to pause.

    Raises:
        Exception: the last error, when the attempts or the time are used up.

    Example:
        >>> call(lambda: 42, on=(errors.Conflict, errors.NotFound), attempts=6)
        42
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(on),
        stop=_stop(attempts, timeout_seconds),
        wait=lambda state: _until_timeout(back_off.pause_seconds(state.attempt_number), state, timeout_seconds),
        sleep=time.sleep,
        reraise=True,
    )
    return retrying(action)


def poll(
    read: Callable[[], T],
    is_done: Callable[[T], bool],
    *,
    timeout_seconds: float | None,
    error: errors.PrivateKubeError,
    pause_at_most: Callable[[T], float] | None = None,
    back_off: BackOff = STANDARD,
) -> T:
    """Call `read` until `is_done` accepts the value that it returns, and return that value.

    Args:
        read: reads the value.
        is_done: returns whether to accept a value.
        timeout_seconds: how long to repeat it; the last read is made at the end of this time; None for no limit.
        error: raised if no value was accepted by then.
        pause_at_most: returns an upper bound of the next pause, in seconds, for a value that says when it will change.
        back_off: how long to pause.

    Raises:
        PrivateKubeError: `error`, when the time is over.

    Example:
        >>> counter = iter(range(10))
        >>> late = errors.StoreBusy("counter: did not reach 3")
        >>> poll(
        ...     lambda: next(counter),
        ...     lambda value: value == 3,
        ...     timeout_seconds=5,
        ...     error=late,
        ...     back_off=BackOff(first_seconds=0.001),
        ... )
        3
    """

    def wait(state: tenacity.RetryCallState) -> float:
        pause = back_off.pause_seconds(state.attempt_number)
        if pause_at_most is not None and state.outcome is not None:
            pause = min(pause, pause_at_most(state.outcome.result()))
        return _until_timeout(pause, state, timeout_seconds)

    def fail(_state: tenacity.RetryCallState) -> T:
        raise error

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda value: not is_done(value)),
        stop=_stop(None, timeout_seconds),
        wait=wait,
        sleep=time.sleep,
        retry_error_callback=fail,
    )
    return retrying(read)


class Pauses:
    """The pauses of a loop that never gives up.

    Example:
        >>> pauses = Pauses(BackOff(first_seconds=0.001))
        >>> pauses.sleep()  # after a failure
        >>> pauses.reset()  # after a success: the next pause is short again
    """

    def __init__(self, back_off: BackOff = STANDARD) -> None:
        self._back_off, self._failures = back_off, 0

    def next_seconds(self) -> float:
        """Count a failure and return how long to pause after it."""
        self._failures += 1
        return self._back_off.pause_seconds(self._failures)

    def sleep(self) -> None:
        """Count a failure and pause."""
        time.sleep(self.next_seconds())

    def reset(self) -> None:
        """Forget the failures."""
        self._failures = 0


def _stop(attempts: int | None, timeout_seconds: float | None) -> Callable[[tenacity.RetryCallState], bool]:
    def is_over(state: tenacity.RetryCallState) -> bool:
        out_of_time = timeout_seconds is not None and (state.seconds_since_start or 0.0) >= timeout_seconds
        return out_of_time or (attempts is not None and state.attempt_number >= attempts)

    return is_over


def _until_timeout(pause: float, state: tenacity.RetryCallState, timeout_seconds: float | None) -> float:
    """Return `pause`, shortened so that the last attempt is not made later than the end of the time."""
    if timeout_seconds is None:
        return pause
    return max(0.0, min(pause, timeout_seconds - (state.seconds_since_start or 0.0)))
