"""A scheduling policy as one value: how budget unlocks, which request goes first, how long a request waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from privatekube import errors
from privatekube.scheduling import ordering, unlocking
from privatekube.scheduling.ordering import OrderingPolicy
from privatekube.scheduling.unlocking import All, UnlockingPolicy

UNLOCK, ORDER, TIMEOUT = "unlock", "order", "default_timeout_ms"
DEFAULT_TIMEOUT_MS = 300_000
DEFAULTS = {UNLOCK: "all", ORDER: "dpf", TIMEOUT: str(DEFAULT_TIMEOUT_MS)}


def _timeout_ms(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise errors.invalid(TIMEOUT, text, "is not a whole number of at least 1", "write milliseconds, such as 300000")
    return int(text)


PARSERS: Mapping[str, Callable[[str], object]] = {
    UNLOCK: unlocking.parse,
    ORDER: ordering.parse,
    TIMEOUT: _timeout_ms,
}
"""The parser of each setting; it raises InvalidInput."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a store shares its budget.

    Args:
        unlocking: how pending budget becomes available.
        ordering: which of the requests that fit is granted first.
        default_timeout_ms: how long a request waits that does not set a timeout, in milliseconds.

    Raises:
        InvalidInput: the combination does not do what each of its parts promises; the message says what to use.
    """

    unlocking: UnlockingPolicy
    ordering: OrderingPolicy
    default_timeout_ms: int = DEFAULT_TIMEOUT_MS

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
        return cls(unlocking.parse(named[UNLOCK]), ordering.parse(named[ORDER]), _timeout_ms(named[TIMEOUT]))
