"""The lifetime (epsilon, delta) guarantee of a Renyi block that grants whatever fits at one order at least.

Which order is within its capacity in the end depends on the answers that the claims got, so that converting at the best
order afterwards, as for a fixed mechanism, proves nothing. The guarantee holds because delta is split over the orders:

1. Let L be the privacy loss of everything that ever ran on the block, for neighbours that differ by one unit. Then
   delta(epsilon) <= E[(1 - exp(epsilon - L))+]. Costs are never negative, so that an order that is within its capacity
   in the end was so all the time, and by the rule of granting there is such an order. The expectation is therefore at
   most the sum over the orders of E[(1 - exp(epsilon - L))+ ; the order is within its capacity in the end].
2. For each order alpha, let L' be the loss of the same process, stopped before the first mechanism that would exceed
   the capacity B of alpha. Where alpha is within its capacity in the end, L = L'. A term is thus at most
   E[(1 - exp(epsilon - L'))+].
3. The stopped process is a Renyi filter with one order: E[exp((alpha - 1) L')] <= exp((alpha - 1) B), even if claims
   are chosen adaptively (Feldman and Zrnic, 2021, arXiv:2008.11193, section 4; Lecuyer, 2021, arXiv:2103.01379;
   Whitehouse et al., 2022, arXiv:2203.05481, who treat filters in general) and interleaved (Haney et al., 2023,
   arXiv:2309.05901).
4. By `renyi_conversion.delta`, the term is at most delta_alpha = delta(B, alpha, epsilon), and the sum of these is the
   delta of the block.

An order whose capacity is 0 or less admits no positive cost and has no term.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from privatekube import errors
from privatekube.privacy import bisection, budget, renyi_conversion
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve

_HALVINGS = 60


def capacity(lifetime: EpsilonDelta, orders: Iterable[float] = budget.STANDARD_ORDERS) -> RenyiCurve:
    """Return the Renyi budget of a block for which everything granted on it is together (epsilon, delta)-DP.

    Delta is split over the orders in proportion to 1 / (order - 1): a share costs log(1 / share) / (order - 1), which
    is next to nothing at high orders. The lowest orders have no capacity where epsilon is too small for them; these
    take no share and have capacity 0.

    Args:
        lifetime: the guarantee for the data.
        orders: the Renyi orders, each above 1.

    Returns:
        The capacity at each order. At the infinite order, it is below epsilon by about 1e-5.

    Raises:
        InvalidBudget: delta is not in (0, 1), an order is not valid, or epsilon is too small for all of them.

    >>> round(capacity(EpsilonDelta(10, 1e-7)).at(8), 2)
    7.79
    """
    if not 0 < lifetime.delta < 1:
        raise errors.InvalidBudget(
            f"delta: {lifetime.delta!r} must lie in (0, 1) for a Renyi curve; set it below one over the number of units"
        )
    ascending = RenyiCurve.from_pairs((order, 0.0) for order in orders).orders
    for start in range(len(ascending)):
        used = ascending[start:]
        epsilons = _split(lifetime, used)
        if min(epsilons) > 0:
            return RenyiCurve(ascending, (*(0.0,) * start, *epsilons))
    raise errors.InvalidBudget(
        f"epsilon: {lifetime.epsilon:.6g} is too small for delta {lifetime.delta:.3g} at all Renyi orders up to "
        f"{ascending[-1]:g}; raise it, or use epsilon-delta accounting"
    )


def _split(lifetime: EpsilonDelta, orders: tuple[float, ...]) -> tuple[float, ...]:
    weights = [1 / (order - 1) for order in orders]
    shares = [lifetime.delta * weight / math.fsum(weights) for weight in weights]
    return tuple(
        renyi_conversion.renyi_epsilon(lifetime.epsilon, order=order, delta=share)
        for order, share in zip(orders, shares, strict=True)
    )


def guarantee(block: RenyiCurve, *, delta: float) -> EpsilonDelta:
    """Return the (epsilon, `delta`) that a block with this lifetime budget guarantees, whatever curve it is.

    It tells what a block means whose budget was declared as a curve.

    Raises:
        InvalidInput: delta is not in (0, 1), or the curve has no order with capacity.

    >>> round(guarantee(capacity(EpsilonDelta(10, 1e-7)), delta=1e-7).epsilon, 6)
    10.0
    """
    if not 0 < delta < 1:
        raise errors.invalid("delta", delta, "must lie in (0, 1)", "set it well below one over the number of units")
    useful = [(order, epsilon) for order, epsilon in block.as_pairs() if epsilon > 0]
    if not useful:
        raise errors.InvalidInput(f"renyi: {block} has no capacity at any order; nothing is ever granted on it")

    def exceeds(epsilon: float) -> bool:
        return math.fsum(renyi_conversion.delta(rho, order=order, epsilon=epsilon) for order, rho in useful) > delta

    shares = [(rho, order, delta / len(useful)) for order, rho in useful]
    most = max(renyi_conversion.epsilon(rho, order=order, delta=share) for rho, order, share in shares)
    low = bisection.largest_number(exceeds, below=most, halvings=_HALVINGS)
    return EpsilonDelta(low + most / 2**_HALVINGS, delta)
