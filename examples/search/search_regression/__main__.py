"""Search the hyper-parameters of a regression: many trials, of which only the best one is released.

The number of trials is drawn before the first one, each trial is trained and scored under DP, and neither the other
trials nor their number leave the program.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

from privatekube.data.tables.table import Table
from privatekube.integrations import opacus
from privatekube.privacy import events, mechanisms
from privatekube.privacy.events import DpEvent
from privatekube.steps import arguments, documents, dp_step, interface, opened_blocks
from privatekube.training import randomness, trials

FEATURES = tuple(f"f{number}" for number in range(12))
LARGEST = 4.0  # of a feature, by the schema
LEARNING_RATES = (0.003, 0.03, 0.3, 3.0)
CLIPPING_NORMS = (0.1, 1.0, 10.0)
HELD_OUT = 5  # one customer in so many is held out for the score
CUSTOMERS = 32_000 * (1 - 1 / HELD_OUT)  # about how many are kept, which is public


@dataclass(frozen=True)
class Rows:
    """Some of the customers.

    Args:
        features: float32 [N, F], in [-1, 1].
        labels: int64 [N].
    """

    features: torch.Tensor
    labels: torch.Tensor

    @staticmethod
    def of(table: Table) -> Rows:
        """Return the rows of a table."""
        columns = np.column_stack([table.values[name] for name in FEATURES])
        return Rows(torch.from_numpy(columns / LARGEST).float(), torch.from_numpy(table.values["bought"]).long())


@dataclass(frozen=True)
class Trial:
    """What one trial found.

    Args:
        settings: its hyper-parameters.
        model: the trained regression.
        correct: a noisy number of held-out customers that it classifies correctly.
        event: of its training and its score.
    """

    settings: dict[str, float]
    model: nn.Module
    correct: int
    event: DpEvent


def search_regression(
    *,
    grant: interface.Artifact,
    workspace: interface.Workspace,
    blocks: interface.Dataset,
    model: interface.OutputModel,
    spend: interface.OutputArtifact,
) -> None:
    """Release the best of a random number of trials.

    One customer, added or removed, is in the noisy sums of each trial as one clipped gradient, or moves its score by 1.

    Args:
        grant: from allocate.
        workspace: where the run has its private data.
        blocks: from download.
        model: weights of the best trial, its hyper-parameters and its noisy score (JSON).
        spend: what the whole search cost (JSON).
    """

    def release(granted: documents.Grant) -> dp_step.Release:
        table = opened_blocks.read_table(blocks, granted).table
        best, event = search(table, granted.plan.step("search").parameters)
        weights = {name: value.tolist() for name, value in best.model.state_dict().items()}
        released = {"settings": best.settings, "correct": best.correct, "weights": weights}
        return dp_step.Release(event, (json.dumps(released).encode(),))

    dp_step.run("search", release, grant=grant, workspace=workspace, outputs=(model,), spend=spend)


def search(table: Table, step: Mapping[str, Any]) -> tuple[Trial, DpEvent]:
    """Return the best of a random number of trials, and the event of the whole search.

    Args:
        table: the private rows, one for each customer.
        step: parameters of the planned step.
    """
    distribution = {"mean_trials": step["mean_trials"], "shape": step["shape"]}
    number = trials.number_of_trials(randomness.SecureGenerator(), **distribution)
    is_held_out = table.user % HELD_OUT == 0  # a keyed hash, so that it is a random part of the customers
    kept, held_out = Rows.of(table.select(~is_held_out)), Rows.of(table.select(is_held_out))
    ran = [run_trial(kept, held_out, step["trial"]) for _ in range(number)]
    best = max(ran, key=lambda trial: trial.correct)
    return best, events.select_from_many(best.event, **distribution)


def run_trial(kept: Rows, held_out: Rows, parts: list[Mapping[str, Any]]) -> Trial:
    """Train and score with hyper-parameters that are drawn at random."""
    norm, rate = secrets.choice(CLIPPING_NORMS), secrets.choice(LEARNING_RATES)
    planned = opacus.PlannedTraining.of(parts[0], max_grad_norm=norm)
    model = nn.Linear(len(FEATURES), 2)
    trained = opacus.train(
        planned,
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9),
        dataset=TensorDataset(kept.features, kept.labels),
        loss=nn.functional.cross_entropy,
        expected_batch_size=planned.sampling_rate * CUSTOMERS,
        max_contribution=1,
    )
    correct = int((trained.value(held_out.features).argmax(1) == held_out.labels).sum())
    score = mechanisms.noisy_count(correct, scale=parts[1]["scale"], sensitivity=1)
    settings = {"learning_rate": rate, "max_grad_norm": norm}
    return Trial(settings, trained.value, score.value, events.composition(trained.event, score.event))


if __name__ == "__main__":
    arguments.run_component(search_regression, reads_data=True)
