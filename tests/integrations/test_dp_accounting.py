"""What other libraries ran, as events that this one charges: the same cost, or a refusal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from dp_accounting import dp_event as dp_events
from dp_accounting.pld import pld_privacy_accountant
from dp_accounting.rdp import rdp_privacy_accountant

from privatekube import errors
from privatekube.integrations import dp_accounting
from privatekube.privacy import accounting, events
from privatekube.privacy.events import DpEvent

DELTA = 1e-6
GAUSSIAN = dp_events.GaussianDpEvent(2.0)
STEP = dp_events.PoissonSampledDpEvent(0.1, GAUSSIAN)
PLANNED = events.poisson_gaussian(0.1, 2.0, 30)


def composed(*parts: DpEvent) -> DpEvent:
    return dp_events.ComposedDpEvent(list(parts))


@pytest.mark.parametrize(
    ("event", "same"),
    [
        (dp_events.SelfComposedDpEvent(STEP, 30), PLANNED),
        (composed(*[STEP] * 30), PLANNED),
        (composed(composed(dp_events.SelfComposedDpEvent(STEP, 10)), dp_events.SelfComposedDpEvent(STEP, 20)), PLANNED),
        (dp_events.SelfComposedDpEvent(dp_events.SelfComposedDpEvent(STEP, 10), 3), PLANNED),
        (dp_events.SelfComposedDpEvent(composed(STEP, STEP), 15), PLANNED),
        (dp_events.PoissonSampledDpEvent(1.0, dp_events.LaplaceDpEvent(3.0)), events.laplace(3.0)),
        (composed(dp_events.NoOpDpEvent(), dp_events.SelfComposedDpEvent(STEP, 30)), PLANNED),
        (
            dp_events.SelfComposedDpEvent(dp_events.PoissonSampledDpEvent(1.0, GAUSSIAN), 3),
            events.repeated(GAUSSIAN, 3),
        ),
        (dp_events.GaussianDpEvent(np.float32(2)), GAUSSIAN),
        (dp_events.GaussianDpEvent(2), GAUSSIAN),
        (dp_events.SelfComposedDpEvent(STEP, np.int64(30)), PLANNED),
        (dp_events.LaplaceDpEvent(3), events.laplace(3.0)),
        (dp_events.DiscreteLaplaceDpEvent(1 / 49, 3), dp_events.DiscreteLaplaceDpEvent(1 / 49, 3)),
    ],
)
def test_an_event_of_another_library_has_one_form(event: DpEvent, same: DpEvent) -> None:
    assert dp_accounting.known(event) == same
    assert events.from_json(events.to_json(dp_accounting.known(event))) == same


@pytest.mark.parametrize(
    "event",
    [
        composed(GAUSSIAN, dp_events.LaplaceDpEvent(4.0), dp_events.SelfComposedDpEvent(STEP, 5)),
        dp_events.SelfComposedDpEvent(dp_events.PoissonSampledDpEvent(0.1, composed(GAUSSIAN, GAUSSIAN)), 7),
        dp_events.PoissonSampledDpEvent(0.1, composed(GAUSSIAN, dp_events.GaussianDpEvent(3.0))),
        dp_events.PoissonSampledDpEvent(0.1, dp_events.SelfComposedDpEvent(GAUSSIAN, 4)),
        dp_events.RepeatAndSelectDpEvent(composed(GAUSSIAN, GAUSSIAN), 5.0, 1.0),
        dp_events.ZCDpEvent(0.05, 0.01),
    ],
)
def test_the_form_costs_what_the_library_says(event: DpEvent) -> None:
    ours = dp_accounting.known(event)
    orders = [1.5, 2.0, 4.0, 8.0, 32.0]
    for stated, original in ((ours, event), (event, ours)):
        theirs = rdp_privacy_accountant.RdpAccountant(orders)
        theirs.compose(original)
        again = rdp_privacy_accountant.RdpAccountant(orders)
        again.compose(stated)
        assert again.rdp == pytest.approx(theirs.rdp)
    assert accounting.epsilon(ours, DELTA) < math.inf


def test_a_form_that_a_loss_distribution_knows_costs_the_same_by_it() -> None:
    event = composed(*[STEP] * 10, GAUSSIAN)
    costs = []
    for stated in (event, dp_accounting.known(event)):
        theirs = pld_privacy_accountant.PLDAccountant(value_discretization_interval=1e-2)
        theirs.compose(stated)
        costs.append(theirs.get_epsilon(DELTA))
    assert costs[0] == pytest.approx(costs[1])


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (dp_events.NonPrivateDpEvent(), "event: 'NonPrivateDpEvent' has no known cost"),
        (dp_events.UnsupportedDpEvent(), "event: 'UnsupportedDpEvent' has no known cost"),
        (dp_events.SampledWithoutReplacementDpEvent(100, 10, GAUSSIAN), "has no known cost where one unit is added"),
        (dp_events.SingleEpochTreeAggregationDpEvent(1.0, 4), "'SingleEpochTreeAggregationDpEvent' has no known cost"),
        (dp_events.RandomizedResponseDpEvent(0.5, 2), "'RandomizedResponseDpEvent' has no known cost"),
        (composed(GAUSSIAN, dp_events.NonPrivateDpEvent()), "'NonPrivateDpEvent' has no known cost"),
        (dp_events.PoissonSampledDpEvent(0.1, dp_events.LaplaceDpEvent(1.0)), "samples another mechanism"),
        (dp_events.PoissonSampledDpEvent(0.0, GAUSSIAN), "sampling_rate: 0.0 must lie in"),
        (dp_events.PoissonSampledDpEvent(1.5, GAUSSIAN), "sampling_rate: 1.5 must lie in"),
        (dp_events.GaussianDpEvent(0.0), "noise_multiplier: 0.0 must be positive"),
        (dp_events.DiscreteLaplaceDpEvent(0.0, 1), "epsilon: 0.0 must be positive"),
        (dp_events.DiscreteLaplaceDpEvent(0.5, 0), "event: 0 must be a whole number"),
        (dp_events.GaussianDpEvent(math.nan), "noise_multiplier: nan must be positive"),
        (dp_events.GaussianDpEvent("two"), "event: 'two' is not a number"),
        (dp_events.GaussianDpEvent(1e-200), "has no finite cost"),
        (dp_events.SelfComposedDpEvent(GAUSSIAN, 0), "event: 0 must be a whole number"),
        (dp_events.SelfComposedDpEvent(GAUSSIAN, 1.5), "event: 1.5 must be a whole number"),
        (dp_events.NoOpDpEvent(), "event: has no mechanism"),
        (composed(), "event: has no mechanism"),
        ({"type": "gaussian"}, "event: 'dict' has no known cost"),
        (None, "event: 'NoneType' has no known cost"),
    ],
)
def test_what_cannot_be_charged_is_refused_in_one_line(event: Any, message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message) as refusal:
        dp_accounting.known(event)
    assert "\n" not in str(refusal.value)


def test_what_ran_as_planned_is_the_planned_event() -> None:
    assert dp_accounting.spent(composed(*[STEP] * 30), planned=PLANNED) is PLANNED


def test_a_run_that_ended_early_costs_what_it_ran() -> None:
    assert dp_accounting.spent(composed(*[STEP] * 7), planned=PLANNED) == events.poisson_gaussian(0.1, 2.0, 7)


@pytest.mark.parametrize(
    "event",
    [
        composed(*[STEP] * 31),
        dp_events.SelfComposedDpEvent(GAUSSIAN, 30),
        composed(dp_events.SelfComposedDpEvent(STEP, 30), dp_events.LaplaceDpEvent(1e6)),
        dp_events.SelfComposedDpEvent(dp_events.PoissonSampledDpEvent(0.1, dp_events.GaussianDpEvent(2.1)), 30),
    ],
)
def test_what_was_not_planned_is_refused_even_where_it_costs_less(event: DpEvent) -> None:
    with pytest.raises(errors.InvalidInput, match="planned"):
        dp_accounting.spent(event, planned=PLANNED)
