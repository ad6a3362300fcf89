"""Train a logistic regression with Opacus on the customers: exactly what was planned, and no more."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

from privatekube.data.tables.table import Table
from privatekube.integrations import opacus
from privatekube.privacy.mechanisms import Released
from privatekube.steps import arguments, documents, dp_step, interface, opened_blocks

FEATURES = tuple(f"f{number}" for number in range(12))
LARGEST = 4.0  # of a feature, by schema.yaml
CUSTOMERS = 32_000  # about how many there are, which is public
MAX_GRAD_NORM, LEARNING_RATE, MOMENTUM = 1.0, 0.5, 0.9


def train_regression(
    *,
    grant: interface.Artifact,
    workspace: interface.Workspace,
    blocks: interface.Dataset,
    model: interface.OutputModel,
    spend: interface.OutputArtifact,
) -> None:
    """Train with the noise of the Grant, and release the weights.

    One customer, added or removed, is in a noisy sum of a step as one clipped gradient.

    Args:
        grant: from allocate.
        workspace: where the run has its private data.
        blocks: from download.
        model: the weights (JSON).
        spend: what the training cost (JSON).
    """

    def release(granted: documents.Grant) -> dp_step.Release:
        trained = train(opened_blocks.read_table(blocks, granted).table, granted.plan.step("train"))
        weights = {name: value.tolist() for name, value in trained.value.state_dict().items()}
        return dp_step.Release(trained.event, (json.dumps(weights).encode(),))

    dp_step.run("train", release, grant=grant, workspace=workspace, outputs=(model,), spend=spend)


def train(table: Table, step: documents.GrantedStep) -> Released[nn.Module]:
    """Return the trained regression with its event."""
    planned = opacus.PlannedTraining.of(step.parameters, max_grad_norm=MAX_GRAD_NORM)
    module = nn.Linear(len(FEATURES), 2)
    return opacus.train(
        planned,
        module=module,
        optimizer=torch.optim.SGD(module.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM),
        dataset=TensorDataset(features_of(table), torch.from_numpy(table.values["bought"]).long()),
        loss=nn.functional.cross_entropy,
        expected_batch_size=planned.sampling_rate * CUSTOMERS,
        max_contribution=1,
    )


def features_of(table: Table) -> torch.Tensor:
    """Return the features, scaled by their public range to [-1, 1], float32 [N, F]."""
    columns = np.column_stack([table.values[name] for name in FEATURES])
    return torch.from_numpy(columns / LARGEST).float()


if __name__ == "__main__":
    arguments.run_component(train_regression, reads_data=True)
