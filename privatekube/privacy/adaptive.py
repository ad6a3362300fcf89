"""What mechanisms cost that are chosen one after the other, each with a look at the results of those before.

A fixed plan may be accounted for as a whole. Where the next mechanism and its epsilon depend on earlier results, sums
bound the cost: of the epsilons, and of the deltas. Nothing may run that would take a sum above what was claimed: such a
rule is a privacy filter.

On a block with a Renyi budget only pure mechanisms may run so. Together they are epsilon-DP, and no such mechanism has
a larger Renyi curve than randomised response, which is therefore what the block must grant.

Sources: Rogers et al., "Privacy Odometers and Filters" (2016), Theorem 3.6; Kairouz et al., "The Composition Theorem
for Differential Privacy" (2015), Theorem 3.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from privatekube import errors
from privatekube.privacy import accounting, events, rounding
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.privacy.events import DpEvent


@dataclass(frozen=True, slots=True)
class Allowance:
    """What mechanisms may cost together that are chosen one after the other.

    Args:
        limit: the sums of their epsilons and deltas.
        price: what a block must grant for it.

    >>> Allowance.on(EpsilonDelta(1.0, 1e-9), orders=(2.0, 1e6)).limit
    EpsilonDelta(epsilon=1.0, delta=0.0)
    """

    limit: EpsilonDelta
    price: PrivacyBudget

    @classmethod
    def on(cls, demand: EpsilonDelta, *, orders: tuple[float, ...] | None) -> Allowance:
        """Return the allowance that a demand gives.

        Args:
            demand: what shall be spent.
            orders: of blocks with Renyi budgets, where all mechanisms must be pure; None for epsilon and delta.
        """
        if orders is None:
            return cls(demand, demand)
        return cls(EpsilonDelta(demand.epsilon), accounting.renyi_cost(events.pure(demand.epsilon), orders))

    def require_room(self, what: str, costs: Iterable[EpsilonDelta]) -> None:
        """Check that costs may be spent together.

        Args:
            what: runs last, for the message.
            costs: of everything that ran, and of what shall run.

        Raises:
            BudgetExceeded: they are above the limit.
        """
        used = sum(costs, start=EpsilonDelta(0.0))
        pairs = zip(used.values, self.limit.values, strict=True)
        if not all(rounding.fits(value, available=bound, capacity=bound) for value, bound in pairs):
            raise errors.BudgetExceeded(
                f"{what}: would take the run to {used.text(6)}, above its {self.limit.text(6)}; "
                "request less, or claim more in a new run"
            )


def cost(event: DpEvent, *, delta: float) -> EpsilonDelta:
    """Return what a mechanism costs.

    Args:
        event: the mechanism.
        delta: at which its epsilon is taken; 0 for a pure mechanism.

    Raises:
        InvalidInput: delta is not in [0, 1), or it is 0 and the mechanism is not pure.
    """
    if delta == 0:
        return EpsilonDelta(accounting.pure_epsilon(event))
    return EpsilonDelta(accounting.epsilon(event, delta), delta)
