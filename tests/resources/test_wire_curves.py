"""Reading Renyi curves: equal ones are one object, and a malformed one is refused although an equal one is known."""

from __future__ import annotations

from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy.budget import RenyiCurve
from privatekube.resources import bounds
from privatekube.resources.wire import common


def rows(*pairs: tuple[Any, Any]) -> dict[str, Any]:
    """Return the document of a curve."""
    return {"renyi": [{"alpha": alpha, "epsilon": epsilon} for alpha, epsilon in pairs]}


def test_equal_curves_are_one_object() -> None:
    document = rows((2.0, 0.0), (3.0, 0.5))
    assert common.budget_from_wire(document) is common.budget_from_wire(rows((2.0, 0.0), (3.0, 0.5)))


def test_a_zero_below_zero_stays_one_since_digests_are_of_the_text() -> None:
    read = [common.budget_from_wire(rows((2.0, zero), (3.0, 0.5))) for zero in (0.0, -0.0)]
    assert [str(budget.values) for budget in read if budget] == ["(0.0, 0.5)", "(-0.0, 0.5)"]


def test_whole_numbers_as_an_api_server_writes_them_are_read() -> None:
    assert common.budget_from_wire(rows((2, 0), (3.5, 1))) == RenyiCurve((2.0, 3.5), (0.0, 1.0))


def test_a_truth_value_is_refused_although_an_equal_number_was_read_before() -> None:
    common.budget_from_wire(rows((2.0, 1.0)))
    with pytest.raises(errors.InvalidBudget, match=r"budget\.renyi\[0\]\.epsilon: True must be a number"):
        common.budget_from_wire(rows((2.0, True)))


def test_a_curve_of_too_many_orders_is_refused_each_time() -> None:
    document = rows(*((2.0 + order, 1.0) for order in range(bounds.ORDERS + 1)))
    for _ in range(2):
        with pytest.raises(errors.InvalidBudget, match=f"must be at most {bounds.ORDERS}"):
            common.budget_from_wire(document)
