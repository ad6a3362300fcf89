"""A scheduling policy as one value: how budget unlocks, which request goes first, how long it waits and holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from privatekube import errors
from privatekube.resources import bounds, thresholds
from privatekube.resources.thresholds import Thresholds
from privatekube.scheduling import ordering, unlocking
from privatekube.scheduling.ordering import OrderingPolicy
from privatekube.scheduling.unlocking import All, UnlockingPolicy

UNLOCK, ORDER, TIMEOUT, LONGEST_TIMEOUT = "unlock", "order", "default_timeout_ms", "longest_timeout_ms"
SETTLE_WITHIN = "settle_within_ms"
WAITING_PER_NAMESPACE, WAITING_PER_BLOCK = "waiting_per_namespace", "waiting_per_block"
ALARMS = "alarms"
DEFAULT_TIMEOUT_MS = 300_000
DEFAULT_LONGEST_TIMEOUT_MS = 86_400_000
DEFAULT_SETTLE_WITHIN_MS = 7 * 86_400_000
DEFAULT_WAITING = 10_000
_MOST_WAITING = 1_000_000
DEFAULTS = {
    UNLOCK: "all",
    ORDER: "dpf",
    TIMEOUT: str(DEFAULT_TIMEOUT_MS),
    LONGEST_TIMEOUT: str(DEFAULT_LONGEST_TIMEOUT_MS),
    SETTLE_WITHIN: str(DEFAULT_SETTLE_WITHIN_MS),
    WAITING_PER_NAMESPACE: str(DEFAULT_WAITING),
    WAITING_PER_BLOCK: str(DEFAULT_WAITING),
    ALARMS: str(thresholds.DEFAULT),
}


def _milliseconds(name: str, text: str) -> int:
    return _whole(name, text, most=bounds.LONGEST_MS, remedy="write milliseconds, such as 300000")


def _waiting(name: str, text: str) -> int:
    return _whole(name, text, most=_MOST_WAITING, remedy="write a number of requests, such as 10000")


def _whole(name: str, text: str, *, most: int, remedy: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not is_number or not 1 <= int(text) <= most:
        raise errors.invalid(name, text, f"is not a whole number from 1 to {most}", remedy)
    return int(text)


PARSERS: Mapping[str, Callable[[str], object]] = {
    UNLOCK: unlocking.parse,
    ORDER: ordering.parse,
    TIMEOUT: partial(_milliseconds, TIMEOUT),
    LONGEST_TIMEOUT: partial(_milliseconds, LONGEST_TIMEOUT),
    SETTLE_WITHIN: partial(_milliseconds, SETTLE_WITHIN),
    WAITING_PER_NAMESPACE: partial(_waiting, WAITING_PER_NAMESPACE),
    WAITING_PER_BLOCK: partial(_waiting, WAITING_PER_BLOCK),
    ALARMS: Thresholds.parse,
}
"""The parser of each setting; it raises InvalidInput."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a store shares its budget.

    Args:
        unlocking: how pending budget becomes available.
        ordering: which of the requests that fit is granted first.
        default_timeout_ms: how long a request waits that does not set a timeout, in milliseconds.
        longest_timeout_ms: how long a request waits at most, whatever timeout it sets, and how long the requests of one
            claim wait in vain altogether, in milliseconds.
        settle_within_ms: how long after its first grant a claim is settled at the latest, in milliseconds.
        waiting_per_namespace: how many requests of a namespace wait at most; a further one is refused.
        waiting_per_block: likewise for the requests that wait for budget of one block.
        alarms: how much of a block is committed when it counts as nearly exhausted.

    Raises:
        InvalidInput: the combination does not do what each of its parts promises; the message says what to use.
    """

    unlocking: UnlockingPolicy
    ordering: OrderingPolicy
    default_timeout_ms: int = DEFAULT_TIMEOUT_MS
    longest_timeout_ms: int = DEFAULT_LONGEST_TIMEOUT_MS
    settle_within_ms: int = DEFAULT_SETTLE_WITHIN_MS
    waiting_per_namespace: int = DEFAULT_WAITING
    waiting_per_block: int = DEFAULT_WAITING
    alarms: Thresholds = field(default=thresholds.DEFAULT, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.unlocking, All) and self.ordering is ordering.ORDERINGS["rr"]:
            raise errors.InvalidInput(
                "order: 'rr' with unlock 'all' cannot be combined: the first request would not share and could take "
                "everything, and two requests for over half of a block would block each other; use unlock n=<N> or "
                "t=<period>,<duration>, or another order"
            )

    @classmethod
    def parse(cls, settings: Mapping[str, str]) -> Policy:
        """Return the policy that `settings` name; `DEFAULTS` apply to those that are missing.

        Raises:
            InvalidInput: a name is unknown, or the unlocking and the ordering cannot be combined.

        Example:
            >>> Policy.parse({"unlock": "n=100"}).unlocking.name
            'n=100'
        """
        named = {**DEFAULTS, **settings}
        times_ms = (_milliseconds(name, named[name]) for name in (TIMEOUT, LONGEST_TIMEOUT, SETTLE_WITHIN))
        waiting = (_waiting(name, named[name]) for name in (WAITING_PER_NAMESPACE, WAITING_PER_BLOCK))
        alarms = Thresholds.parse(named[ALARMS])
        return cls(unlocking.parse(named[UNLOCK]), ordering.parse(named[ORDER]), *times_ms, *waiting, alarms=alarms)

    def wait_ms(self, timeout_ms: int | None) -> int:
        """Return how long a request waits that sets this timeout, or the default by None or 0, in milliseconds.

        Example:
            >>> Policy.parse({"longest_timeout_ms": "60000"}).wait_ms(3_600_000)
            60000
        """
        return min(timeout_ms or self.default_timeout_ms, self.longest_timeout_ms)
