"""What a plan refuses before any noise is sought."""

from __future__ import annotations

import math

import pytest
from dp_accounting import dp_event

from privatekube import errors
from privatekube.privacy import events
from privatekube.privacy.plan import Plan, PlannedStep
from privatekube.privacy.planned_mechanisms import DpSgd, Event, Mechanism, SelectFromMany
from privatekube.privacy.planned_queries import DiscreteLaplace, Exponential, Gaussian, Laplace
from privatekube.privacy.sensitivity import Per

COUNT = DiscreteLaplace(sensitivity=1)


def step(name: str, part: str = "all", share: float | None = None) -> PlannedStep:
    return PlannedStep(name, COUNT, part, share)


@pytest.mark.parametrize(
    ("steps", "disjoint", "message"),
    [
        ((), (), "steps: has no step"),
        ((step("a"), step("b"), step("a")), (), "steps: 'a' is given twice"),
        ((step("a", "train"),), ("train", "train"), "disjoint: 'train' is given twice"),
        ((step("a"),), ("all",), "disjoint: 'all' has the units of every part"),
        ((step("a", "train"), step("b", "test")), ("train",), "part: 'test' of step b is not declared disjoint"),
        ((step("a", "train"), step("b", "test")), (), "part: 'train' of step a is not declared disjoint"),
        ((step("a", "train"),), ("train", "tset"), "disjoint: 'tset' is the part of no step"),
        ((step("a", share=0.6), step("b", share=0.5)), (), r"share: 1\.1 is the sum on part all, above 1"),
        ((step("a", share=0.6), step("b", share=0.4), step("c")), (), "share: 1.0 on part all leaves nothing for c"),
        ((step("a", share=0.9), step("b", "x", 0.2)), ("x",), r"share: 1\.1 is the sum on part x, above 1"),
    ],
)
def test_a_plan_that_does_not_add_up_is_refused(
    steps: tuple[PlannedStep, ...], disjoint: tuple[str, ...], message: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        Plan(steps, disjoint)


def test_shares_on_disjoint_parts_do_not_add_up() -> None:
    plan = Plan((step("a", "x", 0.9), step("b", "y", 0.9), step("c", share=0.1)), ("x", "y"))
    assert [each.name for each in plan.sequence("y")] == ["b", "c"]


@pytest.mark.parametrize("name", ["", "1st", "a b", "a/b", "x" * 64, 3, None])
def test_a_malformed_name_is_refused(name: object) -> None:
    with pytest.raises(errors.InvalidInput, match="name: "):
        PlannedStep(name, COUNT)  # type: ignore[arg-type]


def test_the_name_under_which_a_grant_is_registered_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="name: 'allocate' stands for the approval of a run"):
        step("allocate")


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan"), True, "half"])
def test_a_share_that_is_not_a_fraction_is_refused(share: object) -> None:
    with pytest.raises(errors.InvalidInput, match="share: "):
        PlannedStep("a", COUNT, share=share)  # type: ignore[arg-type]


def test_an_event_has_its_own_cost_and_no_share() -> None:
    event = Event(events.gaussian(3.0))
    assert not PlannedStep("a", event).is_free
    with pytest.raises(errors.InvalidInput, match="whose cost is fixed"):
        PlannedStep("a", event, share=0.5)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (DpSgd, {"sampling_rate": 0.1}, "epochs, steps: give one"),
        (DpSgd, {"sampling_rate": 0.1, "epochs": 1, "steps": 10}, "epochs, steps: give one"),
        (DpSgd, {"sampling_rate": 2, "steps": 10}, "sampling_rate: 2 must be a number from 1e-06 to 1"),
        (DpSgd, {"sampling_rate": 0.1, "steps": 0}, "steps: 0 must be a whole number"),
        (DpSgd, {"sampling_rate": 1e-6, "epochs": 2}, "steps: 2000000 must be a whole number from 1 to 1,000,000"),
        (Gaussian, {"sensitivity": 0}, "sensitivity: 0 must be a number"),
        (Gaussian, {"sensitivity": "big"}, "sensitivity: 'big' must be a number"),
        (Laplace, {"sensitivity": 1, "queries": 1.5}, "queries: 1.5 must be a whole number"),
        (Laplace, {"sensitivity": 1, "per": "user"}, "per: 'user' is not one of unit, record"),
        (DiscreteLaplace, {"sensitivity": 1.5}, "sensitivity: 1.5 must be a whole number"),
        (Exponential, {"sensitivity": float("inf")}, "sensitivity: inf must be a number"),
        (SelectFromMany, {"trial": (), "mean_trials": 3}, "trial: has no mechanism"),
        (SelectFromMany, {"trial": (COUNT,), "mean_trials": 0.5}, "mean_trials: 0.5 must be a number from 1"),
        (SelectFromMany, {"trial": (COUNT,), "mean_trials": 3, "shape": -1}, "shape: -1 must be a number from 0"),
        (SelectFromMany, {"trial": (Event(events.pure(1.0)),), "mean_trials": 3}, "trial: 'event' cannot be one trial"),
    ],
)
def test_a_mechanism_with_a_number_out_of_range_is_refused(
    kind: type[Mechanism], values: dict[str, object], message: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        kind(**values)


def test_a_sensitivity_per_record_is_that_of_all_records_of_a_unit() -> None:
    record = DiscreteLaplace(sensitivity=2, per=Per.RECORD)
    assert record.per_unit(3) == DiscreteLaplace(sensitivity=6, per=Per.UNIT)
    assert record.per_unit(3).per_unit(3) == record.per_unit(3)
    assert DiscreteLaplace(sensitivity=2) == record, "what is not stated is taken in the safe way"
    of_unit = DiscreteLaplace(sensitivity=2, per=Per.UNIT)
    assert of_unit.per_unit(3) == of_unit
    search = SelectFromMany((record,), mean_trials=2).per_unit(3)
    assert search.trial == (DiscreteLaplace(sensitivity=6, per=Per.UNIT),)


@pytest.mark.parametrize(
    "event",
    [
        events.composition(),
        events.composition(events.pure(1.0), events.composition()),
        dp_event.SelfComposedDpEvent(events.pure(1.0), 0),
        dp_event.PoissonSampledDpEvent(0.0, events.gaussian(1.0)),
        dp_event.PoissonSampledDpEvent(math.nan, events.gaussian(1.0)),
        dp_event.GaussianDpEvent(0.0),
        dp_event.LaplaceDpEvent(math.nan),
        dp_event.DiscreteLaplaceDpEvent(0.5, 0),
        dp_event.DiscreteLaplaceDpEvent(-0.5, 1),
        dp_event.ZCDpEvent(-0.1, 0.0),
        dp_event.RepeatAndSelectDpEvent(events.pure(1.0), 0.1, 1.0),
        dp_event.NoOpDpEvent(),
    ],
)
def test_an_event_that_states_no_noise_has_no_place_in_a_plan(event: events.DpEvent) -> None:
    """A Laplace event whose noise was not a number left the free steps with next to no noise."""
    with pytest.raises(errors.InvalidInput):
        Event(event)


@pytest.mark.parametrize(
    "event",
    [
        dp_event.GaussianDpEvent(2),
        events.poisson_gaussian(0.1, 2.0, 5),
        events.discrete_laplace(2.0, 3),
        events.zcdp(0.5, 0.1),
        events.select_from_many(events.laplace(2.0), mean_trials=3, shape=0),
    ],
)
def test_an_event_that_states_its_noise_can_be_planned(event: events.DpEvent) -> None:
    assert Event(event).event(1.0) is event
