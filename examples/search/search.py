"""Search the hyper-parameters of a regression with one claim: many trials, of which only the best is released.

    python examples/search/search.py --epsilon 2

The table is that of examples/tabular_opacus. The number of trials is drawn before the first one, each trial is trained
and scored under DP, and neither the other trials nor their number leave the program.
"""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset

from privatekube import connect, entrypoint
from privatekube.data.tables.table import Table
from privatekube.integrations import opacus
from privatekube.privacy import events, mechanisms
from privatekube.privacy.events import DpEvent
from privatekube.training import randomness, trials

FOLDER = Path(__file__).parent
FEATURES = tuple(f"f{number}" for number in range(12))
LARGEST = 4.0  # of a feature, by the schema
LEARNING_RATES = (0.003, 0.03, 0.3, 3.0)
CLIPPING_NORMS = (0.1, 1.0, 10.0)
HELD_OUT = 5  # one customer in so many is held out for the score


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


def run_trial(kept: Rows, held_out: Rows, parts: list[Mapping[str, Any]], *, expected_rows: float) -> Trial:
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
        expected_batch_size=max(1.0, planned.sampling_rate * expected_rows),
        max_contribution=1,
    )
    correct = int((trained.value(held_out.features).argmax(1) == held_out.labels).sum())
    score = mechanisms.noisy_count(correct, scale=parts[1]["scale"], sensitivity=1)
    settings = {"learning_rate": rate, "max_grad_norm": norm}
    return Trial(settings, trained.value, score.value, events.composition(trained.event, score.event))


def search(table: Table, step: Mapping[str, Any], *, rows: int) -> tuple[Trial, DpEvent]:
    """Return the best of a random number of trials, and the event of the whole search.

    Args:
        table: the private rows, one for each customer.
        step: parameters of the planned step.
        rows: a noisy number of rows, which was paid for.
    """
    distribution = {"mean_trials": step["mean_trials"], "shape": step["shape"]}
    number = trials.number_of_trials(randomness.SecureGenerator(), **distribution)
    is_held_out = table.user % HELD_OUT == 0  # a keyed hash, so that it is a random part of the customers
    kept, held_out = Rows.of(table.select(~is_held_out)), Rows.of(table.select(is_held_out))
    expected_rows = rows * (1 - 1 / HELD_OUT)
    ran = [run_trial(kept, held_out, step["trial"], expected_rows=expected_rows) for _ in range(number)]
    best = max(ran, key=lambda trial: trial.correct)
    return best, events.select_from_many(best.event, **distribution)


def public_rows(path: Path) -> Rows:
    """Return public rows of the same kind."""
    rows = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(1, len(FEATURES) + 2))
    features = torch.from_numpy(rows[:, :-1].clip(-LARGEST, LARGEST) / LARGEST).float()
    return Rows(features, torch.from_numpy(rows[:, -1]).long())


def main() -> None:
    """Claim, search, pay, publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilon", type=float, default=2.0, help="what the whole search may cost")
    parser.add_argument("--delta", type=float, default=1e-6, help="likewise")
    parser.add_argument("--public", type=Path, default=Path("public.csv"), help="public rows to measure accuracy on")
    parser.add_argument("--output-dir", type=Path, default=Path(), help="where to publish")
    options = parser.parse_args()
    public = public_rows(options.public)
    with (
        connect() as client,
        client.claim("customers", epsilon=options.epsilon, delta=options.delta, plan=FOLDER / "plan.yaml") as run,
    ):
        assert run.plan is not None
        table = run.open().records
        assert isinstance(table, Table)
        rows = run.count("rows", np.zeros(len(table)), keys=[0])[0]
        best, event = search(table, run.plan.step("search").parameters, rows=rows)
        weights = {name: value.tolist() for name, value in best.model.state_dict().items()}
        model = json.dumps({"settings": best.settings, "correct": best.correct, "weights": weights})
        run.spend("search", event, [model.encode()])
        receipt = run.consume()
    (options.output_dir / "model.json").write_text(model)
    (options.output_dir / "receipt.json").write_text(receipt.model_dump_json(indent=2))
    accuracy = float((best.model(public.features).argmax(1) == public.labels).float().mean())
    print(f"best settings  {best.settings}")
    print(f"accuracy       {accuracy:.3f}")


if __name__ == "__main__":
    entrypoint.run(main, scrubbed=True)
