"""OpenDP's measurements: their privacy maps as events, at the planned distance and no dearer than planned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import opendp.prelude as library
import pytest
from opendp import mod

from privatekube import errors
from privatekube.integrations import opendp
from privatekube.privacy import accounting, events

library.enable_features("contrib")

COUNTS = library.vector_domain(library.atom_domain(T="i64")), library.l1_distance(T="i64")
VALUES = library.vector_domain(library.atom_domain(T=float, nan=False)), library.l2_distance(T=float)
ROWS = library.vector_domain(library.atom_domain(T="i32"))


def laplace(scale: float = 2.0) -> Any:
    return COUNTS >> library.m.then_laplace(scale=scale)


def gaussian(scale: float = 2.0) -> Any:
    return VALUES >> library.m.then_gaussian(scale=scale)


def count_of_rows(metric: Any) -> Any:
    return library.t.make_count(ROWS, metric) >> library.m.then_laplace(scale=4.0)


@pytest.mark.parametrize(("d_in", "epsilon"), [(1, 0.5), (3, 1.5)])
def test_a_measurement_of_pure_dp_costs_its_epsilon_at_the_input_distance(d_in: int, epsilon: float) -> None:
    event = opendp.event(laplace(), d_in=d_in)
    assert event == events.pure(epsilon)
    assert accounting.epsilon(event, 1e-12) == pytest.approx(epsilon)


def test_a_measurement_of_concentrated_dp_costs_its_rho() -> None:
    assert opendp.event(gaussian(), d_in=1.0) == events.zcdp(0.125)
    assert accounting.renyi_cost(events.zcdp(0.125), (4.0,)).epsilons == pytest.approx((0.5,))


def test_rows_of_a_unit_are_the_distance_between_data_sets() -> None:
    assert opendp.event(count_of_rows(library.symmetric_distance()), d_in=2) == events.pure(0.5)


def sum_of_replaced_rows() -> Any:
    rows = library.vector_domain(library.atom_domain(bounds=(0, 5)), size=10)
    any_rows = library.t.make_metric_unbounded(rows, library.change_one_distance())
    return any_rows >> library.t.then_sum() >> library.m.then_laplace(scale=4.0)


@pytest.mark.parametrize(
    ("measurement", "metric"),
    [
        (library.m.make_randomized_response_bool(prob=0.75), "DiscreteDistance"),
        (sum_of_replaced_rows(), "ChangeOneDistance"),
    ],
)
def test_a_metric_of_replaced_rows_is_refused(measurement: Any, metric: str) -> None:
    with pytest.raises(
        errors.InvalidInput, match=f"metric: '{metric}.* does not bound a unit that is added or removed"
    ):
        opendp.event(measurement, d_in=1)


def test_a_fixed_delta_has_no_event() -> None:
    fixed = library.c.make_fix_delta(library.c.make_zCDP_to_approxDP(gaussian()), 1e-6)
    with pytest.raises(errors.InvalidInput, match=r"delta: 1e-06 has no event; release before a delta is fixed"):
        opendp.event(fixed, d_in=1.0)


def test_an_approximate_measurement_without_a_delta_costs_what_it_wraps() -> None:
    assert opendp.event(library.c.make_approximate(gaussian()), d_in=1.0) == events.zcdp(0.125)
    assert opendp.event(library.c.make_approximate(laplace()), d_in=1) == events.pure(0.5)


def test_a_measure_without_an_event_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match=r"measure: .*SmoothedMaxDivergence.* has no event"):
        opendp.event(library.c.make_zCDP_to_approxDP(gaussian()), d_in=1.0)


@pytest.mark.parametrize("d_in", [-1, 1.5, "one", None])
def test_what_is_not_a_distance_is_refused(d_in: Any) -> None:
    with pytest.raises(errors.InvalidInput, match=r"d_in: .* is not a distance of L1Distance"):
        opendp.event(laplace(), d_in=d_in)


def test_the_noise_of_a_release_has_the_scale_that_is_charged_and_another_is_rejected() -> None:
    planned = opendp.event(laplace(7.5), d_in=1)
    released = opendp.released(laplace(7.5), [0] * 4000, d_in=1, planned=planned)
    assert released.event is planned

    def matches(scale: float) -> bool:
        p = math.exp(-1 / scale)
        mean = 2 * p / (1 - p * p)
        spread = math.sqrt(2 * p / (1 - p) ** 2 - mean**2) / math.sqrt(len(released.value))
        return bool(abs(np.abs(released.value).mean() - mean) < 6 * spread)

    assert matches(7.5)
    assert not matches(7.5 * 1.3)
    assert not matches(7.5 / 1.3)


def test_less_than_was_planned_is_charged_as_planned() -> None:
    planned = events.pure(1.0)
    assert opendp.released(laplace(2.0), [1, 2], d_in=1, planned=planned).event is planned


@pytest.mark.parametrize(
    ("measurement", "d_in", "planned", "message"),
    [
        (laplace(), 2, events.pure(0.5), "costs more than the planned"),
        (laplace(1.0), 1, events.pure(0.5), "costs more than the planned"),
        (gaussian(), 2.0, events.zcdp(0.125), "costs more than the planned"),
        (gaussian(), 1.0, events.pure(10.0), "cannot be compared"),
        (laplace(), 1, events.discrete_laplace(20.0, 10), "cannot be compared"),
        (laplace(), 1, events.gaussian(0.1), "cannot be compared"),
    ],
)
def test_a_measurement_that_is_dearer_than_planned_or_another_is_refused_before_it_is_drawn(
    measurement: Any, d_in: float, planned: Any, message: str
) -> None:
    drawn: list[object] = []

    class Data(list[int]):
        def __iter__(self) -> Any:
            drawn.append(self)
            return super().__iter__()

    with pytest.raises(errors.InvalidInput, match=message):
        opendp.released(measurement, Data([1, 2, 3]), d_in=d_in, planned=planned)
    assert not drawn


def test_every_error_of_the_library_is_translated() -> None:
    own = [value for value in vars(mod).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(own) > 1
    assert set(own) <= set(opendp.FOREIGN_ERRORS)


def test_data_that_does_not_fit_is_not_quoted() -> None:
    with pytest.raises(errors.InvalidInput) as refusal:
        opendp.released(laplace(), ["secret"], d_in=1, planned=events.pure(0.5))
    assert "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__
