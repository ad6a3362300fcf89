"""What a run costs each block, in the accounting of the blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from privatekube import errors
from privatekube.client import run_demand
from privatekube.privacy import events
from privatekube.privacy.accounting import Composition
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.resources import matching
from privatekube.resources.block import Dimension
from tests import builders


def test_a_price_names_every_order_of_every_block() -> None:
    composition = Composition((events.discrete_laplace(20.0, 1),))
    curves = [RenyiCurve((2, 8), (1.0, 5.0)), RenyiCurve((2, 4, 16), (1.0, 2.0, 5.0))]
    blocks = [builders.block(f"b{number}", curve) for number, curve in enumerate(curves)]
    price = run_demand.price(composition, EpsilonDelta(1.0, 1e-9), blocks)
    assert price.orders == (2, 4, 8, 16)
    demands = matching.demand(builders.allocate(demand=price), blocks)
    assert [amount.orders for amount in demands.values()] == [curve.orders for curve in curves]


@pytest.mark.parametrize("bound", ["12.5", "-1", "0", ".5"])
def test_a_contribution_bound_that_is_not_a_count_is_refused(bound: str) -> None:
    block = builders.block()
    dimensions = (Dimension("unit", string_value="user-day"), Dimension("maxContribution", bound))
    declared = replace(block, spec=replace(block.spec, dimensions=dimensions))
    with pytest.raises(errors.InvalidInput, match=f"maxContribution: '{bound}' is not a whole number"):
        run_demand.privacy_unit([declared])
