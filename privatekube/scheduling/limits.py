"""Limits beside the budgets of the blocks: what some requests may together get of each block, as by a quota."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from privatekube import errors
from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.request_id import RequestId


@dataclass(frozen=True, slots=True)
class Limit:
    """What some requests may together get; a block that it does not name is closed to them.

    Args:
        requests: those that it limits.
        capacity: the most that they may have on each block, by block id.
        used: what is used of that, by block id.
    """

    requests: frozenset[RequestId]
    capacity: Mapping[str, PrivacyBudget]
    used: Mapping[str, PrivacyBudget]

    def allows(self, block_id: str, amount: PrivacyBudget) -> bool:
        """Return whether one more amount is within the limit, as it would be within the budget of a block."""
        capacity, used = self.capacity.get(block_id), self.used.get(block_id)
        if capacity is None or used is None:
            return False
        try:
            demand = arithmetic.at_orders_of(amount, capacity)
        except errors.InvalidBudget:
            return False
        return (capacity - used).admits(demand, capacity=capacity)

    def after(self, request: RequestId, amounts: Mapping[str, PrivacyBudget]) -> Limit:
        """Return the limit after a grant; that of a request which it does not limit changes nothing."""
        if request not in self.requests:
            return self
        more = {
            key: self.used[key] + arithmetic.at_orders_of(amount, self.capacity[key]) for key, amount in amounts.items()
        }
        return replace(self, used={**self.used, **more})


def allow(limits: Iterable[Limit], request: RequestId, amounts: Mapping[str, PrivacyBudget]) -> bool:
    """Return whether a request may get these amounts, by block id."""
    applicable = [limit for limit in limits if request in limit.requests]
    return all(limit.allows(key, amount) for limit in applicable for key, amount in amounts.items())
