"""What an integration refuses costs nothing, as long as the data of the run is not opened."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from privatekube import errors
from privatekube.integrations.opacus import PlannedPrivacyEngine, PlannedTraining
from privatekube.interactive import connect
from privatekube.interactive.run import Run
from privatekube.resources import transitions
from tests.interactive import builders

PLAN = "steps: [{name: train, mechanism: dp_sgd, sampling_rate: 0.25, steps: 6}]"


def shuffled_training(run: Run) -> None:
    """Ask for the planned training with a loader that shuffles."""
    assert run.plan is not None
    planned = PlannedTraining.of(run.plan.step("train").parameters, max_grad_norm=1.0)
    model = nn.Linear(1, 2)
    PlannedPrivacyEngine(planned, expected_batch_size=8.0, max_contribution=1).make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        data_loader=DataLoader(TensorDataset(torch.zeros(8, 1)), batch_size=2, shuffle=True),
    )


def test_a_loader_that_shuffles_gives_the_budget_back_and_exits_with_status_two(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        client.create_blocks([builders.block(tmp_path)])
        claimed = client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns", plan=tmp_path / "plan.yaml")
        with pytest.raises(errors.InvalidInput, match="data_loader: 'DataLoader' shuffles") as refusal, claimed as run:
            shuffled_training(run)
        (block,) = client.list_blocks()
    assert refusal.value.exit_status == 2
    assert "\n" not in str(refusal.value)
    status = transitions.status_of(block)
    assert (dict(status.committed), dict(status.acquired), dict(status.locks)) == ({}, {}, {})
    assert status.available == block.spec.initial_budget


def test_what_ran_otherwise_than_planned_is_not_registered(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        client.create_blocks([builders.block(tmp_path)])
        with client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns", plan=tmp_path / "plan.yaml") as run:
            run.open()
            assert run.plan is not None
            planned = run.plan.step("train")
            other = PlannedTraining.of({**planned.parameters, "steps": 7}, max_grad_norm=1.0).event
            with pytest.raises(errors.InvalidInput, match="was run 7 times, and 6 were planned"):
                run.spend("train", other, [b"model"])
            assert "train" not in client.get_claim(run.claim).releases
            run.spend("train", planned.event, [b"model"])
        assert run.receipt is not None
        assert [spend.step for spend in run.receipt.spends] == ["train"]
