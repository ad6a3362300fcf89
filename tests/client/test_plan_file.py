"""A plan on disk: what is read, and one line for each fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client import plan_file
from privatekube.privacy import events
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from privatekube.privacy.plan import Plan, PlannedStep
from privatekube.privacy.planned_mechanisms import DpSgd, Event, SelectFromMany
from privatekube.privacy.planned_queries import DiscreteLaplace, Exponential, Gaussian, Laplace
from privatekube.privacy.sensitivity import Per

EVERY_KIND = """
steps:
  - {name: counts, mechanism: discrete_laplace, sensitivity: 1, per: record, share: $fraction}
  - {name: mean, mechanism: gaussian, sensitivity: 1e-1, queries: 3}
  - {name: sum, mechanism: laplace, sensitivity: 2, share: 1e-1}
  - {name: best, mechanism: exponential, sensitivity: 1, share: 0.1}
  - {name: train, mechanism: dp_sgd, sampling_rate: 0.1, epochs: 3, part: left}
  - name: search
    part: right
    mechanism: select_from_many
    mean_trials: 10
    shape: 0
    trial:
      - {mechanism: dp_sgd, sampling_rate: 0.1, steps: 7}
      - {mechanism: discrete_laplace, sensitivity: 1}
  - {name: other, mechanism: event, event: {type: zcdp, rho: 0.5, xi: 0.0}}
disjoint: [left, right]
"""


def read(tmp_path: Path, text: str, **arguments: object) -> object:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    return plan_file.read(path, arguments)


def test_every_mechanism_is_read_with_its_part_and_its_share(tmp_path: Path) -> None:
    trial = (DpSgd(sampling_rate=0.1, steps=7), DiscreteLaplace(sensitivity=1))
    assert read(tmp_path, EVERY_KIND, fraction=0.05) == Plan(
        (
            PlannedStep("counts", DiscreteLaplace(sensitivity=1, per=Per.RECORD), share=0.05),
            PlannedStep("mean", Gaussian(sensitivity=0.1, queries=3)),
            PlannedStep("sum", Laplace(sensitivity=2), share=0.1),
            PlannedStep("best", Exponential(sensitivity=1), share=0.1),
            PlannedStep("train", DpSgd(sampling_rate=0.1, epochs=3), part="left"),
            PlannedStep("search", SelectFromMany(trial, mean_trials=10, shape=0), part="right"),
            PlannedStep("other", Event(events.zcdp(0.5))),
        ),
        ("left", "right"),
    )


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("demand: {epsDel: {epsilon: 1, delta: 1e-9}}", EpsilonDelta(1.0, 1e-9)),
        ("demand: {renyi: [{alpha: 2, epsilon: 0.1}, {alpha: 8, epsilon: $most}]}", RenyiCurve((2, 8), (0.1, 0.5))),
    ],
)
def test_a_budget_is_demanded_without_a_plan(tmp_path: Path, text: str, budget: object) -> None:
    assert read(tmp_path, text, most=0.5) == budget


STEP = "steps: [{name: a, mechanism: laplace, sensitivity: 1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "plan.yaml: steps, demand: give one of them"),
        ("steps: []", "plan.yaml: steps: has no step"),
        ("steps: 3", "plan.yaml: steps: 3 is not a list"),
        ("steps: [x]", "plan.yaml: step 1: 'x' is not a mapping"),
        ("steps: [{mechanism: laplace}]", "plan.yaml: step 1: name: missing"),
        ("stepps: []", "plan.yaml: stepps: unknown; did you mean steps?"),
        ("steps: []\nsteps: []", "plan.yaml: steps is given twice"),
        (STEP + "}, {name: a, mechanism: laplace, sensitivity: 1}]", "plan.yaml: steps: 'a' is given twice"),
        (STEP + ", sensitivity: 2}]", "plan.yaml: sensitivity is given twice"),
        (STEP + ", share: }]", "plan.yaml: step a: share: None is empty"),
        (STEP + ", share: 1.5}]", "plan.yaml: step a: share: 1.5 must be a number from 1e-09 to 1"),
        (STEP + ", share: $share}]", "plan.yaml: \\$share: is not an argument of the run; known are other"),
        (STEP + ", quries: 2}]", "plan.yaml: step a: quries: unknown; did you mean queries?"),
        (STEP + ", shares: 0.5}]", "plan.yaml: step a: shares: unknown; did you mean share?"),
        (STEP + ", releases: [a]}]", "plan.yaml: step a: releases: .* must be one line of text"),
        (STEP + ', releases: "a\\nb"}]', "plan.yaml: step a: releases: 'a\\\\nb' must be one line of text"),
        (STEP + ", part: test}]", "plan.yaml: part: 'test' of step a is not declared disjoint"),
        (
            "steps: [{name: a, mechanism: laplase, sensitivity: 1}]",
            "step a: mechanism: 'laplase' is unknown; known are",
        ),
        ("steps: [{name: a, sensitivity: 1}]", "step a: mechanism: None is unknown; known are dp_sgd, gaussian"),
        ("steps: [{name: a, mechanism: laplace}]", "step a: sensitivity: missing"),
        ("steps: [{name: a, mechanism: event}]", "step a: event: missing"),
        ("steps: [{name: a, mechanism: event, event: {type: magic}}]", "step a: event.type: 'magic' is not one of"),
        ("steps: [{name: a, mechanism: event, event: {type: laplace}}]", "step a: event.noise_multiplier: missing"),
        (
            "steps: [{name: a, mechanism: event, event: {type: composed, events: [{type: gaussian, noise: 1}]}}]",
            "step a: event.events.0.noise: is not a field of gaussian; it has noise_multiplier",
        ),
        (
            "steps: [{name: a, mechanism: event, "
            "event: {type: self_composed, count: 2, event: {type: zcdp, rho: -1, xi: 0}}}]",
            "step a: event.event.rho: -1.0 must be positive",
        ),
        (
            "steps: [{name: a, mechanism: event, event: {type: pure}, share: 0.5}]",
            "step a: event.type: 'pure' is not one of",
        ),
        ("steps: [{name: a, mechanism: select_from_many, mean_trials: 2, trial: [3]}]", "trial: 3 is not a mechanism"),
        ("demand: {}", "plan.yaml: demand: {} is not a budget"),
        ("demand: {epsilon: 1}", "plan.yaml: demand: has"),
        ("demand: {epsDel: {epsilon: -1, delta: 0}}", "plan.yaml: demand: -1.0 is negative"),
        ("demand: {epsDel: {epsilon: 1, delta: 0}}\ndisjoint: []", "plan.yaml: disjoint: has no meaning"),
        (STEP + "}]\ndemand: {epsDel: {epsilon: 1, delta: 0}}", "plan.yaml: steps, demand: give one of them"),
    ],
)
def test_a_plan_that_is_wrong_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message) as raised:
        read(tmp_path, text, other=1)
    assert "\n" not in str(raised.value)


def test_a_plan_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="cannot be read"):
        plan_file.read(tmp_path / "nothing.yaml")
