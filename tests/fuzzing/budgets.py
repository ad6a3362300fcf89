"""Hypothesis strategies for the budgets that an adversary writes, as JSON.

What could be granted is asked on the adversary's own blocks alone: on those of others it asks what costs nothing, what
is malformed, or more than there is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import bounds
from privatekube.resources.block import PrivateDataBlock
from tests import builders
from tests.fuzzing import honest

Json = dict[str, Any]
Strategy = st.SearchStrategy[Any]

NOT_OBJECTS: tuple[object, ...] = (None, "", "x", 7, True, [], {}, [[]], [None], {"x": None})
MANY_ORDERS = tuple(float(order) for order in range(2, 2 + bounds.ORDERS))
_WHOLE: tuple[PrivacyBudget, ...] = (
    EpsilonDelta(10.0, 1e-7),
    RenyiCurve(honest.ORDERS, (1.0, 1.9, 9.2)),
    RenyiCurve(MANY_ORDERS, tuple(map(math.sqrt, MANY_ORDERS))),
)
DATASETS = tuple(f"hostile-{number}" for number in range(len(_WHOLE)))
"""The datasets of the adversary's own blocks."""
BLOCKS = tuple(f"own-{number}" for number in range(len(_WHOLE)))
"""The names of the adversary's own blocks, one of each dataset."""
_seldom = st.integers(0, 24).map(lambda number: number == 7)


def own_blocks() -> list[PrivateDataBlock]:
    """Return the adversary's own blocks; they are not stored."""
    return [
        builders.block(name, whole, dataset=dataset, day=day)
        for day, (name, whole, dataset) in enumerate(zip(BLOCKS, _WHOLE, DATASETS, strict=True))
    ]


def mostly(valid: Strategy, hostile: Strategy) -> Strategy:
    """Return `valid`, and one time in 25 `hostile`: a server refuses an object as a whole if one value is malformed."""
    return _seldom.flatmap(lambda is_hostile: hostile if is_hostile else valid)


@st.composite
def fields(draw: st.DrawFn, required: dict[str, Strategy], optional: dict[str, Strategy]) -> Json:
    """Return an object with all fields of `required`, and up to two of `optional`."""
    names = draw(st.lists(st.sampled_from(sorted(optional)), max_size=2, unique=True))
    return {name: draw(values) for name, values in [*required.items(), *((name, optional[name]) for name in names)]}


def epsdel(epsilon: object, delta: object) -> Json:
    """Return an epsilon-delta budget."""
    return {"epsDel": {"epsilon": epsilon, "delta": delta}}


def curve(orders: Sequence[float], epsilon: object) -> Json:
    """Return a Renyi budget with the same epsilon at each order."""
    return {"renyi": [_row(order, epsilon) for order in orders]}


def _row(order: object, epsilon: object) -> Json:
    return {"alpha": order, "epsilon": epsilon}


_amounts = mostly(
    st.sampled_from([0, 0.01, 0.3, 1.0, -0.0, 1e-13, 1e-21, 9e-12, 5e-324, -1, -1e-9, 1e308, 2**63]),
    st.sampled_from([math.inf, math.nan, 10**400, "1", "NaN", True, None, [], {}]),
)
_orders = mostly(
    st.sampled_from([1.5, 3, 8, 2, 1, 0.5, 0, -1, 1e6, 1e308]), st.sampled_from([math.inf, math.nan, "2", None])
)
_malformed = st.sampled_from(
    [
        {"epsDel": {"epsilon": 0.1}, "renyi": [_row(2, 0.1)]},
        {"epsDel": {"epsilon": 0.1}, "other": 1},
        {"epsDel": {"epsilon": 26, "unknown": 2}},
        {"renyi": [_row(3, 0.1), _row(3, 0.2), _row(3.0000000001, 0.1)]},
        {"renyi": [{"alpha": 3}]},
        {"renyi": {}},
        {"epsDel": []},
        *NOT_OBJECTS,
    ]
)
_sized_curves = st.builds(curve, st.sampled_from([range(2, 2 + n) for n in (1, 13, 64, 65)]), _amounts)
_any_curves = st.builds(lambda rows: {"renyi": rows}, st.lists(st.builds(_row, _orders, _amounts), max_size=4))
_deltas = st.sampled_from([0, 9e-12, 1e-9])
payable = (
    st.builds(epsdel, st.sampled_from([0.01, 0.1, 1.0]), _deltas),
    st.builds(curve, st.just(honest.ORDERS), st.sampled_from([0.01, 0.1])),
    st.builds(curve, st.just(MANY_ORDERS), st.sampled_from([0.01, 0.1])),
)
"""What can be granted on each of the adversary's blocks."""
any_budget = mostly(st.one_of(*payable, st.builds(epsdel, _amounts, _amounts), _sized_curves, _any_curves), _malformed)

_FREE = (0, -0.0, 1e-13, -1)
_IMPOSSIBLE = (25.0, 1e300, 1e308)
_costs_nothing = st.builds(epsdel, st.sampled_from([*_FREE, -1e-9]), st.sampled_from([0, 1e-21, -1e-9])) | (
    st.builds(curve, st.just(honest.ORDERS), st.sampled_from(_FREE))
)
_exceeds_all = st.builds(epsdel, st.sampled_from([0, 0.1, *_IMPOSSIBLE]), st.sampled_from([2e-7, 1, 1e308])) | (
    st.builds(curve, st.sampled_from([honest.ORDERS, (*honest.ORDERS, 64)]), st.sampled_from(_IMPOSSIBLE))
)
_lacks_orders = st.builds(
    curve, st.sampled_from([honest.ORDERS[:1], honest.ORDERS[1:2], honest.ORDERS[1:], (2, 4)]), _amounts
)
ungrantable = mostly(_costs_nothing | _exceeds_all | _lacks_orders, _malformed)
"""What cannot be granted on the honest claims' blocks."""
