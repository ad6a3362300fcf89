"""Train a logistic regression on the customers with Opacus, under a budget that is claimed, paid, and then published.

    python examples/tabular_opacus/train.py --epsilon 1

writes `model.json`, the weights, and `receipt.json`, what was paid for them. Accuracy is that on public rows, which
cost nothing. The regression without privacy is for comparison: of people's data, nobody may print it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from sklearn import linear_model
from torch import nn
from torch.utils.data import TensorDataset

from privatekube import connect, entrypoint
from privatekube.data.tables.table import Table
from privatekube.integrations import opacus
from privatekube.privacy.mechanisms import Released

FOLDER = Path(__file__).parent
FEATURES = tuple(f"f{number}" for number in range(12))
LARGEST = 4.0  # of a feature, by schema.yaml
MAX_GRAD_NORM, LEARNING_RATE, MOMENTUM = 1.0, 0.5, 0.9


def features_of(table: Table) -> torch.Tensor:
    """Return the features, scaled by their public range to [-1, 1], float32 [N, F]."""
    columns = np.column_stack([table.values[name] for name in FEATURES])
    return torch.from_numpy(columns / LARGEST).float()


def train(table: Table, planned: opacus.PlannedTraining, *, rows: int) -> Released[nn.Module]:
    """Return the trained regression with its event.

    Args:
        table: the private rows, one for each customer.
        planned: the step of the plan.
        rows: a noisy number of rows, which was paid for.
    """
    model = nn.Linear(len(FEATURES), 2)
    return opacus.train(
        planned,
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM),
        dataset=TensorDataset(features_of(table), torch.from_numpy(table.values["bought"]).long()),
        loss=nn.functional.cross_entropy,
        expected_batch_size=max(1.0, planned.sampling_rate * rows),
        max_contribution=1,
    )


def public_rows(path: Path) -> tuple[torch.Tensor, np.ndarray]:
    """Return the features and the labels of public rows."""
    columns = range(1, len(FEATURES) + 2)
    rows = np.loadtxt(path, delimiter=",", skiprows=1, usecols=columns)
    return torch.from_numpy(rows[:, :-1].clip(-LARGEST, LARGEST) / LARGEST).float(), rows[:, -1]


def main() -> None:
    """Claim, train, pay, publish, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilon", type=float, default=1.0, help="what the run may cost")
    parser.add_argument("--delta", type=float, default=1e-6, help="likewise")
    parser.add_argument("--public", type=Path, default=Path("public.csv"), help="public rows to measure accuracy on")
    parser.add_argument("--output-dir", type=Path, default=Path(), help="where to publish")
    options = parser.parse_args()
    features, labels = public_rows(options.public)
    with (
        connect() as client,
        client.claim("customers", epsilon=options.epsilon, delta=options.delta, plan=FOLDER / "plan.yaml") as run,
    ):
        assert run.plan is not None
        table = run.open().records
        assert isinstance(table, Table)
        rows = run.count("rows", np.zeros(len(table)), keys=[0])[0]
        planned = opacus.PlannedTraining.of(run.plan.step("train").parameters, max_grad_norm=MAX_GRAD_NORM)
        released = train(table, planned, rows=rows)
        model = json.dumps({name: value.tolist() for name, value in released.value.state_dict().items()})
        run.spend("train", released.event, [model.encode()])
        receipt = run.consume()
    (options.output_dir / "model.json").write_text(model)
    (options.output_dir / "receipt.json").write_text(receipt.model_dump_json(indent=2))
    accuracy = float((released.value(features).argmax(1).numpy() == labels).mean())
    exact = linear_model.LogisticRegression().fit(features_of(table), table.values["bought"])
    print(f"accuracy with epsilon {options.epsilon:g}   {accuracy:.3f}")
    print(f"accuracy without privacy  {exact.score(features, labels):.3f}")


if __name__ == "__main__":
    entrypoint.run(main, scrubbed=True)
