"""Each step may be repeated, none pays or releases twice, and what was not planned is not paid for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from components.consume.__main__ import consume
from components.release.__main__ import release
from privatekube import errors
from privatekube.privacy import events, solving
from privatekube.privacy.sensitivity import Per
from privatekube.runs import hook
from privatekube.steps import documents, dp_step
from tests import builders
from tests.components.run_steps import OTHER_STEPS, Run, committed


def test_every_step_may_be_repeated_and_nothing_is_paid_or_released_twice(run: Run) -> None:
    steps: list[Callable[[], Any]] = [run.allocate, run.download, run.preprocess, run.train, run.evaluate, run.consume]
    for step in [*steps, run.upload]:
        step()
        before = {path: path.read_bytes() for path in run.path("").rglob("*") if path.is_file()}
        step()
        assert {path: path.read_bytes() for path in run.path("").rglob("*") if path.is_file()} == before
    assert committed(run.client) == [1.0, 1.0]
    assert len(run.client.list_claims()) == 1


def _release_as_planned(run: Run, granted: documents.Grant, name: str) -> None:
    event = events.from_json(granted.plan.step(name).event)
    dp_step.run(
        name,
        lambda _granted: dp_step.Release(event, (b"noisy",)),
        grant=run.path("grant"),
        workspace=run.workspace,
        outputs=(run.path(name),),
        spend=run.path(f"{name}-spend"),
    )


def test_a_run_of_other_steps_is_planned_and_paid_by_the_same_components(run: Run) -> None:
    granted = run.allocate(plan=OTHER_STEPS, check=hook.NO_CHECK, settings={"rounds": 3})
    assert granted.settings == {"rounds": 3}
    assert granted.plan.names == ("size", "mean-stars")
    assert granted.plan.step("size").parameters == {"scale": 2.0, "sensitivity": 1, "queries": 1}
    run.download()
    for name in granted.plan.names:
        _release_as_planned(run, granted, name)
    with pytest.raises(errors.InvalidInput, match="step: 'dp_train' is not in the plan, which has size, mean-stars"):
        dp_step.run(
            "dp_train",
            lambda _granted: dp_step.Release(events.composition(), ()),
            grant=run.path("grant"),
            workspace=run.workspace,
            outputs=(),
            spend=run.path("s"),
        )
    spends = [run.path(f"{name}-spend") for name in reversed(granted.plan.names)]
    with pytest.raises(errors.BudgetExceeded, match="spends: are of size, not of size, mean-stars"):
        consume(grant=run.path("grant"), spend=spends[1:], receipt=run.path("receipt"))
    consume(grant=run.path("grant"), spend=spends, receipt=run.path("receipt"))
    paid = documents.read(documents.Receipt, run.path("receipt"))
    assert [(spend.step, spend.part) for spend in paid.spends] == [("size", "all"), ("mean-stars", "some")]
    assert 0.99 < paid.epsilon <= 1.0
    assert committed(run.client) == [1.0, 1.0]


def test_noise_for_less_than_the_stated_sensitivity_is_not_paid_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def forged(plan: solving.SolvedPlan) -> documents.GrantedPlan:
        granted = of(plan)
        stated = documents.StatedSensitivity(value=2, per=Per.RECORD)
        first, *others = granted.steps
        return granted.model_copy(update={"steps": (first.model_copy(update={"sensitivity": stated}), *others)})

    of = documents.GrantedPlan.of
    monkeypatch.setattr(documents.GrantedPlan, "of", forged)
    granted = run.allocate(plan=OTHER_STEPS, check=hook.NO_CHECK, settings={})
    run.download()
    for name in granted.plan.names:
        _release_as_planned(run, granted, name)
    spends = [run.path(f"{name}-spend") for name in granted.plan.names]
    with pytest.raises(errors.BudgetExceeded, match="sensitivity of size: the run states 1, and 2"):
        consume(grant=run.path("grant"), spend=spends, receipt=run.path("receipt"))
    assert committed(run.client) == [0, 0]


def _release(run: Run, name: str, event: events.DpEvent) -> None:
    dp_step.run(
        name,
        lambda _granted: dp_step.Release(event, (name.encode(),)),
        grant=run.path("grant"),
        workspace=run.workspace,
        outputs=(run.path(name),),
        spend=run.path(f"{name}-spend"),
    )


def _consume_demand(run: Run, ran: dict[str, events.DpEvent]) -> documents.Receipt:
    run.allocate(plan="demand: {epsDel: {epsilon: 1, delta: 1e-8}}", check=hook.NO_CHECK, settings={}, epsilon=0.1)
    run.download()
    for name, event in ran.items():
        _release(run, name, event)
    consume(grant=run.path("grant"), spend=[run.path(f"{name}-spend") for name in ran], receipt=run.path("receipt"))
    return documents.read(documents.Receipt, run.path("receipt"))


def test_a_budget_that_is_demanded_without_a_plan_pays_for_steps_that_cost_at_most_that(run: Run) -> None:
    ran = {"sizes": events.discrete_laplace(2.5, 1), "means": events.gaussian(16.0)}
    paid = _consume_demand(run, ran)
    granted = documents.read(documents.Grant, run.path("grant"))
    assert (granted.epsilon, granted.delta, granted.plan.steps) == (1.0, 1e-8, ())
    assert [(spend.step, spend.part) for spend in paid.spends] == [("means", "all"), ("sizes", "all")]
    assert (paid.epsilon, paid.delta) == (1.0, 1e-8)
    assert committed(run.client) == [1.0, 1.0]


@pytest.mark.parametrize("event", [events.discrete_laplace(1.5, 1), events.gaussian(4.0)])
def test_a_budget_that_is_demanded_without_a_plan_pays_for_nothing_more(run: Run, event: events.DpEvent) -> None:
    with pytest.raises(errors.BudgetExceeded, match=r"spends: would take the run to .*above its epsilon 1, delta"):
        _consume_demand(run, {"sizes": events.discrete_laplace(2.5, 1), "more": event})
    assert committed(run.client) == [0, 0]


def test_of_a_budget_without_a_plan_every_step_that_released_must_be_paid(run: Run) -> None:
    ran = {"sizes": events.discrete_laplace(2.5, 1)}
    run.allocate(plan="demand: {epsDel: {epsilon: 1, delta: 1e-8}}", check=hook.NO_CHECK, settings={})
    run.download()
    for name in ("sizes", "hidden"):
        _release(run, name, ran["sizes"])
    with pytest.raises(errors.BudgetExceeded, match="spends: are of sizes, not of hidden, sizes; pass the spend of ea"):
        consume(grant=run.path("grant"), spend=[run.path("sizes-spend")], receipt=run.path("receipt"))
    assert committed(run.client) == [0, 0]


def test_a_step_over_other_inputs_does_not_release_a_second_time(run: Run) -> None:
    run.allocate()
    run.download()
    run.preprocess()
    granted = documents.read(documents.Grant, run.path("grant"))
    documents.write(granted.model_copy(update={"blocks": granted.blocks[:1]}), run.path("grant"))
    with pytest.raises(errors.BudgetExceeded, match="second release"):
        run.preprocess()
    run.path("s1").unlink()
    with pytest.raises(errors.BudgetExceeded, match="dp_preprocess has released already"):
        run.preprocess()


def test_two_runs_draw_different_noise(run: Run) -> None:
    released = set()
    for attempt in range(3):
        run.path("s1").unlink(missing_ok=True)
        run.allocate(run_id=f"r{attempt}")
        run.download()
        run.preprocess()
        released.add(run.clear("statistics").read_text())
        assert len(released) == attempt + 1


MADE_UP: dict[str, Callable[[documents.Json], documents.Json]] = {
    "nothing": lambda _event: {"type": "composed", "events": []},
    "more noise": lambda event: event | {"event": gaussian(0.5, 100.0)},
    "less noise": lambda event: event | {"event": gaussian(0.5, 1.0)},
    "another rate": lambda event: event | {"event": event["event"] | {"sampling_probability": 0.25}},
    "fewer steps": lambda event: event | {"count": 1},
    "another mechanism": lambda _event: events.to_json(events.discrete_laplace(1e6, 1)),
}


def gaussian(rate: float, noise: float) -> documents.Json:
    return documents.Json(events.to_json(events.poisson_gaussian(rate, noise, 1))["event"])


@pytest.mark.parametrize("change", list(MADE_UP.values()), ids=list(MADE_UP))
def test_training_that_ran_another_event_than_planned_is_not_paid_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, change: Callable[[documents.Json], documents.Json]
) -> None:
    for step in (run.allocate, run.download, run.preprocess):
        step()
    with monkeypatch.context() as patch:
        patch.setattr(dp_step, "events", SimpleNamespace(to_json=lambda event: change(events.to_json(event))))
        run.train()
    run.evaluate()
    with pytest.raises(errors.BudgetExceeded, match="event of dp_train: the run states"):
        run.consume()
    assert committed(run.client) == [0, 0]
    assert not run.path("receipt").exists()


@pytest.mark.parametrize("change", list(MADE_UP.values()), ids=list(MADE_UP))
def test_a_spend_that_states_something_else_than_was_registered_is_refused(
    run: Run, change: Callable[[documents.Json], documents.Json]
) -> None:
    run.to_the_end()
    spend = documents.read(documents.Spend, run.path("s2"))
    documents.write(spend.model_copy(update={"event": change(spend.event)}), run.path("s2"))
    with pytest.raises(errors.BudgetExceeded, match="spend of dp_train: is not what the step registered"):
        run.consume()
    assert committed(run.client) == [0, 0]


def test_a_run_that_registered_something_beside_its_plan_is_not_paid_for(run: Run) -> None:
    run.to_the_end()
    run.client.register_release("ns/run-r1", builders.release("dp_more"))
    with pytest.raises(errors.BudgetExceeded, match=r"registered steps: .*dp_more"):
        run.consume()
    assert committed(run.client) == [0, 0]


def test_of_two_runs_from_one_grant_the_second_is_refused_at_its_first_step(run: Run) -> None:
    run.allocate()
    run.download()
    copied = Run(run.folder / "copy", run.client)
    shutil.copytree(run.path(""), copied.path(""))
    run.preprocess()
    with pytest.raises(errors.BudgetExceeded, match=r"dp_preprocess has released already.*: start a new run"):
        copied.preprocess()
    assert not copied.path("statistics").exists()
    for step in (run.train, run.evaluate, run.consume, run.upload):
        step()
    assert committed(run.client) == [1.0, 1.0]


@pytest.mark.parametrize(("field", "value"), [("claim", "ns/run-other"), ("part", "all")])
def test_a_spend_of_another_claim_or_on_other_units_is_refused(run: Run, field: str, value: str) -> None:
    run.to_the_end()
    spend = json.loads(run.path("s3").read_text()) | {field: value}
    run.path("s3").write_text(json.dumps(spend))
    with pytest.raises(errors.BudgetExceeded, match="pass the spends of this run"):
        run.consume()
    assert committed(run.client) == [0, 0]


def test_the_same_spend_cannot_stand_for_two_steps(run: Run) -> None:
    run.to_the_end()
    run.path("s2").write_bytes(run.path("s1").read_bytes())
    with pytest.raises(errors.BudgetExceeded, match="spends: are of dp_preprocess, dp_preprocess, dp_evaluate"):
        run.consume()
    assert committed(run.client) == [0, 0]


def test_the_exit_task_returns_unopened_budget_and_consumes_opened_budget(run: Run) -> None:
    run.allocate()
    release(run_id="r1", namespace="ns", workspace=run.workspace, status={"state": "FAILED"})
    assert committed(run.client) == [0, 0]
    run.allocate(run_id="r2")
    run.download()
    release(run_id="r2", namespace="ns", workspace=run.workspace, status={"state": "FAILED"})
    release(run_id="r2", namespace="ns", workspace=run.workspace, status={"state": "FAILED"})
    assert committed(run.client) == [1.0, 1.0]


def test_a_retry_of_a_run_that_failed_is_refused_in_one_line_before_it_reads_data_or_draws_noise(run: Run) -> None:
    """Kubeflow's page runs the failed step again, after the exit task has settled the claim."""
    run.allocate()
    run.download()
    release(run_id="r1", namespace="ns", workspace=run.workspace, status={"state": "FAILED"})
    paid = committed(run.client)
    for block in run.folder.glob("*.h5"):
        block.unlink()
    for step in (run.download, run.preprocess):
        with pytest.raises(errors.BudgetUnavailable, match=r"^claim ns/run-r1: holds no budget.*; start a new run$"):
            step()
    assert not run.path("statistics").exists()
    assert committed(run.client) == paid == [1.0, 1.0]
