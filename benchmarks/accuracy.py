"""Accuracy of a model at several epsilons and without privacy, on one source of reviews.

    python benchmarks/accuracy.py --source DIR

Reads the arguments of a run from arguments.yaml, plans the noise as a run does, trains with the project's own DP-SGD,
and prints exact test accuracies: for public or synthetic reviews only, since nothing here is paid for.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from blocks import sources
from privatekube.client import plan_file
from privatekube.data import day_range
from privatekube.data.columns import Reviews
from privatekube.data.partition import Slice
from privatekube.data.sources import ReviewSource
from privatekube.privacy import solving
from privatekube.privacy.plan import Plan
from privatekube.privacy.unit import PrivacyUnit
from privatekube.runs import run_arguments
from privatekube.runs.run_arguments import RunArguments
from privatekube.training import evaluation, examples, loop, models, split
from privatekube.training.settings import Settings

NON_PRIVATE_EPOCHS, NON_PRIVATE_BATCH, NON_PRIVATE_RATE = 8, 256, 3e-3


@dataclass(frozen=True)
class Data:
    """Training and test reviews of a source, and its categories."""

    train: Reviews
    test: Reviews
    categories: tuple[str, ...]


def load(source: str, days: Slice, test_fraction: float) -> Data:
    opened: ReviewSource = sources.Synthetic(seed=0)
    if source != sources.SYNTHETIC:
        opened = sources.Files(source, days)
    whole = opened.reviews(days)
    held_out = split.is_test(whole.user, test_fraction)
    return Data(whole.select(~held_out), whole.select(held_out), opened.categories)


def shape(settings: Settings, data: Data) -> models.ModelConfig:
    return models.ModelConfig(
        architecture=settings.model,
        vocab_size=settings.vocab_size,
        max_text_len=settings.max_text_len,
        embedding_dim=settings.embedding_dim,
        hidden_dim=settings.hidden_dim,
        n_classes=len(data.categories) if settings.task == "product" else 2,
    )


def private(run: RunArguments, data: Data, epsilon: float) -> models.Classifier:
    settings, plan = Settings.of(run.settings), plan_file.parse(run.plan or "", run.named)
    assert isinstance(plan, Plan)  # noqa: S101 - the shipped one has steps
    noise = solving.solve(plan, epsilon=epsilon, delta=run.delta).step("dp_train").parameters
    return loop.train(
        data.train,
        task=settings.task,
        unit=PrivacyUnit.EVENT,
        max_contribution=1,
        model=shape(settings, data),
        noise_multiplier=noise["noise_multiplier"],
        sampling_rate=noise["sampling_rate"],
        steps=noise["steps"],
        max_grad_norm=settings.max_grad_norm,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        expected_batch_size=noise["sampling_rate"] * len(data.train),
        seed=settings.seed,
        device=run.device,
    ).module


def non_private(settings: Settings, data: Data) -> models.Classifier:
    prepared = examples.prepare(
        data.train, task=settings.task, unit=PrivacyUnit.EVENT, max_contribution=1, model=shape(settings, data)
    )
    module = models.build(shape(settings, data), settings.seed)
    optimizer = torch.optim.Adam(module.parameters(), lr=NON_PRIVATE_RATE)
    chance = np.random.default_rng(settings.seed)
    for _ in range(NON_PRIVATE_EPOCHS):
        order = chance.permutation(prepared.units)
        for first in range(0, len(order), NON_PRIVATE_BATCH):
            chosen = order[first : first + NON_PRIVATE_BATCH]
            sums = loop.clipped_sums(module, prepared, chosen, max_grad_norm=math.inf)
            for parameter, total in sums.items():
                parameter.grad = total / len(chosen)
            optimizer.step()
    return module


def accuracy(settings: Settings, data: Data, module: models.Classifier) -> tuple[float, float]:
    counts = evaluation.count_predictions(
        module,
        data.test,
        task=settings.task,
        unit=PrivacyUnit.EVENT,
        max_contribution=1,
        model=shape(settings, data),
        device=torch.device("cpu"),
    )
    total = sum(counts.values())
    labels = {label: counts[label, True] + counts[label, False] for label, _ in counts}
    return sum(counts[label, True] for label in labels) / total, max(labels.values()) / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=sources.SYNTHETIC, help="synthetic, a file or a folder of reviews")
    parser.add_argument("--start-day", default="2013-01-01", help="first day to read")
    parser.add_argument("--days", type=int, default=10, help="how many days to read")
    parser.add_argument("--epsilon", type=float, nargs="*", default=[1.0, 3.0, 8.0])
    parser.add_argument("--no-reference", action="store_true", help="leave out the non-private model")
    parser.add_argument("--set", action="append", default=[], help="key=value, as run_pipeline.py takes it")
    options = parser.parse_args()
    run = run_arguments.load(Path("arguments.yaml"), options.set)
    days = day_range.declared(start_day=options.start_day, end_day=None, days=options.days)
    settings = Settings.of(run.settings)
    data = load(options.source, days, settings.test_fraction)
    trained = [(f"{epsilon:g}", private(run, data, epsilon)) for epsilon in options.epsilon]
    if not options.no_reference:
        trained.append(("none", non_private(settings, data)))
    print(f"{settings.model}, {settings.task}, {len(data.train)} training and {len(data.test)} test reviews")
    for name, module in trained:
        right, majority = accuracy(settings, data, module)
        print(f"epsilon {name:>5}: accuracy {right:.3f}   majority class {majority:.3f}")


if __name__ == "__main__":
    main()
