"""How much of a block's budget is not granted yet, as a share and as an epsilon at the block's delta."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from privatekube import errors
from privatekube.privacy import arithmetic, renyi_filter
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources import summary
from privatekube.resources.block import PrivateDataBlock

DELTA = 1e-7
"""The delta at which the lifetime of a block in Renyi accounting is stated; its budget is a curve without one."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of a block.

    Args:
        share: what no claim was granted, from 0 to 1: of the scarcer of epsilon and delta, or at the Renyi order at
            which the largest share is left.
        lifetime: what the block guarantees for its whole life; None if its budget guarantees nothing.
    """

    share: float
    lifetime: EpsilonDelta | None

    @property
    def epsilon(self) -> float | None:
        """This share of the lifetime's epsilon."""
        return None if self.lifetime is None else self.share * self.lifetime.epsilon

    @property
    def tenth(self) -> int:
        """The share in tenths, rounded down, so that 0 means less than a tenth."""
        return min(10, int(self.share * 10 + 1e-9))

    def __str__(self) -> str:
        if self.lifetime is None:
            return f"{self.share:.1%}"
        return f"{self.share * self.lifetime.epsilon:.4g} of epsilon {self.lifetime.epsilon:.4g} ({self.share:.1%})"


def of_block(block: PrivateDataBlock) -> Remaining:
    """Return what is left of a block."""
    whole = block.spec.initial_budget
    granted = arithmetic.remainder(whole, [summary.left_amount(block)])
    share = 1.0 - arithmetic.used_share(granted, capacity=whole)
    return Remaining(min(1.0, max(0.0, share)), lifetime(whole))


@functools.lru_cache(maxsize=4096)
def lifetime(budget: PrivacyBudget) -> EpsilonDelta | None:
    """Return what a block of this budget guarantees for its whole life; None if that is nothing.

    >>> lifetime(EpsilonDelta(10.0, 1e-7))
    EpsilonDelta(epsilon=10.0, delta=1e-07)
    """
    if isinstance(budget, EpsilonDelta):
        return budget
    try:
        return renyi_filter.guarantee(budget, delta=DELTA)
    except errors.InvalidInput:
        return None


@functools.lru_cache(maxsize=65536)
def share_of(amount: PrivacyBudget, whole: PrivacyBudget) -> float | None:
    """Return which share of a budget an amount is; None if they are of different accounting.

    >>> share_of(EpsilonDelta(1.0, 1e-9), EpsilonDelta(10.0, 1e-7))
    0.1
    """
    try:
        return arithmetic.used_share(amount, capacity=whole)
    except errors.InvalidBudget:
        return None
