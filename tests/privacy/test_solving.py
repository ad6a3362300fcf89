"""The noise of a plan fits its target, uses it, and is what each kind of step needs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy import accounting, events, solving
from privatekube.privacy.plan import Plan, PlannedStep
from privatekube.privacy.planned_mechanisms import DpSgd, Event, Mechanism, SelectFromMany
from privatekube.privacy.planned_queries import DiscreteLaplace, Exponential, Gaussian, Laplace
from privatekube.privacy.sensitivity import Per
from tests import shipped_plan
from tests.examples import examples

DELTA = 1e-9
TRAINING = DpSgd(sampling_rate=0.1, steps=20)


def plan_of(*mechanisms: Mechanism) -> Plan:
    return Plan(tuple(PlannedStep(f"s{number}", mechanism) for number, mechanism in enumerate(mechanisms)))


def solved(plan: Plan, epsilon: float = 1.0, **more: int) -> solving.SolvedPlan:
    return solving.solve(plan, epsilon=epsilon, delta=DELTA, **more)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("epsilon", "sensitivity", "statistics", "training", "evaluation"),
    [
        (0.3, 1, 66.66666666666667, 31.297825653601652, 18.06035368597403),
        (0.3, 4, 266.6666666666667, 31.294800749504752, 71.61872949940205),
        (1.0, 1, 20.0, 10.060942069712345, 5.779267554553305),
        (1.0, 4, 80.0, 10.05778331237719, 22.51452343417693),
        (3.0, 1, 6.666666666666666, 3.760139217204825, 2.092046622133115),
        (3.0, 4, 26.666666666666664, 3.756952593512407, 7.82220317341887),
    ],
)
def test_the_shipped_pipeline_has_the_same_noise_as_before_it_was_a_plan_in_a_file(
    epsilon: float, sensitivity: int, statistics: float, training: float, evaluation: float
) -> None:
    made = shipped_plan.solved(epsilon=epsilon, max_contribution=sensitivity)
    assert made.step("dp_preprocess").parameters["scale"] == pytest.approx(statistics, rel=1e-9)
    assert made.step("dp_train").parameters["noise_multiplier"] == pytest.approx(training, rel=1e-9)
    assert made.step("dp_train").parameters["steps"] == 75
    assert made.step("dp_evaluate").parameters["scale"] == pytest.approx(evaluation, rel=1e-9)
    assert made.step("dp_evaluate").parameters["sensitivity"] == sensitivity
    assert 0.995 * epsilon < made.composition.epsilon(DELTA) <= epsilon


@pytest.mark.slow
@pytest.mark.parametrize(
    "plan",
    [
        plan_of(Gaussian(sensitivity=3.0)),
        plan_of(Gaussian(sensitivity=1.0, queries=3), Laplace(sensitivity=2.0)),
        plan_of(Exponential(sensitivity=1.0, queries=4), DiscreteLaplace(sensitivity=2)),
        plan_of(SelectFromMany((TRAINING, DiscreteLaplace(sensitivity=1)), mean_trials=5)),
        plan_of(Event(events.zcdp(0.002)), TRAINING),
        Plan((PlannedStep("a", Exponential(sensitivity=1.0), share=0.3), PlannedStep("b", TRAINING))),
    ],
    ids=["gaussian", "two free", "pure", "search", "event", "share"],
)
def test_a_plan_with_a_free_step_uses_nearly_all_of_its_target_and_no_more(plan: Plan) -> None:
    made = solved(plan)
    assert 0.99 < made.composition.epsilon(DELTA) <= 1.0


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.sampled_from((Gaussian(sensitivity=1.0), Laplace(sensitivity=2.0, queries=2), TRAINING)),
            st.sampled_from(("all", "x", "y")),
            st.sampled_from((None, 0.1, 0.2)),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from((0.1, 1.0, 5.0)),
)
@settings(max_examples=examples(8))
def test_no_plan_costs_more_than_its_target(drawn: list[tuple[Mechanism, str, float | None]], epsilon: float) -> None:
    steps = tuple(PlannedStep(f"s{i}", mechanism, part, share) for i, (mechanism, part, share) in enumerate(drawn))
    plan = Plan(steps, tuple(sorted({step.part for step in steps} - {"all"})))
    try:
        made = solved(plan, epsilon)
    except errors.InvalidInput as error:
        assert "give it a share" in str(error)  # noqa: PT017 - a follower may have no room
        return
    assert made.composition.epsilon(DELTA) <= epsilon * (1 + 1e-9)


def test_a_share_of_a_pure_mechanism_is_that_fraction_of_epsilon_over_all_its_queries() -> None:
    choice = PlannedStep("choose", Exponential(sensitivity=2.0, queries=4), share=0.5)
    made = solved(Plan((choice,)), 2.0).step("choose")
    assert made.parameters == {"scale": 16.0, "sensitivity": 2.0, "queries": 4}
    assert accounting.epsilon_without_pld(made.event, 1e-300) == pytest.approx(1.0)


def test_a_share_of_a_gaussian_step_is_what_it_costs_alone_at_that_fraction_of_delta() -> None:
    half = PlannedStep("half", Gaussian(sensitivity=1.0), share=0.5)
    made = solved(Plan((half,))).step("half")
    assert 0.495 < accounting.epsilon(made.event, DELTA / 2) <= 0.5


@pytest.mark.slow
def test_shares_that_are_all_of_the_target_fit_it() -> None:
    shares = (("a", Gaussian(sensitivity=1.0), 0.999), ("b", Laplace(sensitivity=1.0), 0.001))
    made = solved(Plan(tuple(PlannedStep(name, mechanism, share=share) for name, mechanism, share in shares)))
    assert made.composition.epsilon(DELTA) <= 1.0


@pytest.mark.slow
def test_a_free_step_on_another_part_raises_the_price_at_no_order() -> None:
    steps = (
        PlannedStep("train", TRAINING, part="train"),
        PlannedStep("count", DiscreteLaplace(sensitivity=1, per=Per.RECORD), part="test"),
        PlannedStep("release", Gaussian(sensitivity=1.0, per=Per.UNIT), part="third"),
    )
    made = solved(Plan(steps, ("train", "test", "third")), max_contribution=2)
    price = accounting.renyi_cost(made.step("train").event)
    assert made.composition.renyi() == price, "a step on another part raises the price"
    for name, less in (("count", events.discrete_laplace), ("release", None)):
        step = made.step(name)
        noise = step.parameters["scale"] * 0.99
        event = less(noise, 2) if less else events.gaussian(noise)
        cheaper = accounting.renyi_cost(event)
        over_target = accounting.epsilon(event, DELTA) > 1.0
        assert over_target or any(cost > most for cost, most in zip(cheaper.values, price.values, strict=True))


def test_a_free_step_beside_steps_that_cost_more_than_the_leading_part_is_refused() -> None:
    steps = (
        PlannedStep("lead", Gaussian(sensitivity=1.0), part="x"),
        PlannedStep("fixed", Laplace(sensitivity=1.0), part="y", share=0.9),
        PlannedStep("follow", Laplace(sensitivity=1.0), part="y"),
    )
    with pytest.raises(errors.InvalidInput, match="step follow: the other steps on part y cost more"):
        solved(Plan(steps, ("x", "y")))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (plan_of(Event(events.gaussian(1.0))), "epsilon: 1.0 is below 6.1"),
        (plan_of(Event(events.gaussian(1.0)), TRAINING), "too small for this plan at any noise"),
    ],
)
def test_a_plan_whose_fixed_cost_is_above_the_target_is_refused(plan: Plan, message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        solved(plan)


def test_counts_whose_noise_leaves_nothing_of_them_are_refused() -> None:
    tiny = Plan((PlannedStep("a", DiscreteLaplace(sensitivity=1), share=1e-9),))
    with pytest.raises(errors.InvalidInput, match=r"needs noise of scale 1e\+13, above 1e12"):
        solved(tiny, 1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"epsilon": 0.0},
        {"epsilon": -1.0},
        {"epsilon": math.nan},
        {"epsilon": "x"},
        {"delta": 0.0},
        {"delta": 1.0},
        {"max_contribution": 0},
    ],
)
def test_a_target_out_of_range_is_refused(changes: dict[str, float]) -> None:
    given = {"epsilon": 1.0, "delta": DELTA, "max_contribution": 1} | changes
    with pytest.raises(errors.InvalidInput, match=next(iter(changes))):
        solving.solve(plan_of(TRAINING), **given)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_same_plan_has_the_same_noise_every_time() -> None:
    assert solved(plan_of(TRAINING)) == solved(plan_of(TRAINING))


def test_a_step_that_is_not_in_the_plan_is_refused_by_name() -> None:
    made = solved(Plan((PlannedStep("count", DiscreteLaplace(sensitivity=1), share=1.0),)))
    with pytest.raises(errors.InvalidInput, match="step: 'cuont' is not in the plan, which has count"):
        made.step("cuont")


@pytest.mark.slow
def test_joint_planning_needs_less_noise_than_splitting_epsilon() -> None:
    joint = solved(Plan((PlannedStep("a", DiscreteLaplace(sensitivity=1), share=0.1), PlannedStep("b", TRAINING))))
    split = solved(plan_of(TRAINING), 0.9)
    assert joint.step("b").parameters["noise_multiplier"] < split.step("s0").parameters["noise_multiplier"]
