"""Accuracy of a model at several epsilons and without privacy, on one source of reviews.

    python benchmarks/utility.py --source DIR --set model=linear embeddings=bundled --epsilon 0.3 1

Reads the arguments of a run from arguments.yaml, plans the noise as a run does, trains with the project's own DP-SGD,
and prints exact accuracies: for public or synthetic reviews only, since nothing here is paid for. The noise of each
training is its own; the seeds are of the initial weights.

Choose settings with `--on validation`, which trains on four fifths of the training users and tests on the others: the
test users are for figures that are reported.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

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
from privatekube.training import evaluation, examples, loop, model_shape, models, split
from privatekube.training.settings import Settings

EPSILONS = (0.1, 0.3, 1.0, 3.0, 8.0)
NON_PRIVATE_EPOCHS, NON_PRIVATE_BATCH, NON_PRIVATE_RATE = 8, 256, 3e-3
"""Of Adam."""


@dataclass(frozen=True)
class Data:
    """Training and test reviews of a source, and what it declares."""

    train: Reviews
    test: Reviews
    categories: tuple[str, ...]
    vocabulary_digest: str


def load(source: str, days: Slice, test_fraction: float, *, is_validation: bool) -> Data:
    opened: ReviewSource = sources.Synthetic(seed=0)
    if source != sources.SYNTHETIC:
        opened = sources.Files(source, days)
    whole = opened.reviews(days)
    held_out = split.is_test(whole.user, test_fraction)
    train, test = whole.select(~held_out), whole.select(held_out)
    if is_validation:
        held_out = split.is_test(train.user + 1, test_fraction)  # another hash of the user
        train, test = train.select(~held_out), train.select(held_out)
    return Data(train, test, opened.categories, opened.encoding.vocabulary_digest)


def shape(settings: Settings, data: Data) -> models.ModelConfig:
    return model_shape.of_settings(settings, n_categories=len(data.categories))


def noise_of(run: RunArguments, epsilon: float) -> Mapping[str, Any]:
    plan = cast("Plan", plan_file.parse(run.plan or "", run.named))
    return solving.solve(plan, epsilon=epsilon, delta=run.delta).step("dp_train").parameters


def private(run: RunArguments, data: Data, noise: Mapping[str, Any], *, seed: int) -> models.Classifier:
    settings = Settings.of(run.settings)
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
        seed=seed,
        vectors=model_shape.vectors(settings, vocabulary_digest=data.vocabulary_digest),
        device=run.device,
    ).module


def non_private(run: RunArguments, data: Data, *, seed: int) -> models.Classifier:
    settings = Settings.of(run.settings)
    prepared = examples.prepare(
        data.train, task=settings.task, unit=PrivacyUnit.EVENT, max_contribution=1, model=shape(settings, data)
    )
    vectors = model_shape.vectors(settings, vocabulary_digest=data.vocabulary_digest)
    module = models.build(shape(settings, data), seed, None if vectors is None else torch.from_numpy(vectors))
    is_convex = settings.model == "linear"
    optimizer = torch.optim.Adam(module.parameters(), lr=NON_PRIVATE_RATE * (10 if is_convex else 1))
    chance = np.random.default_rng(seed)
    for _ in range(NON_PRIVATE_EPOCHS):
        order = chance.permutation(prepared.units)
        for first in range(0, len(order), NON_PRIVATE_BATCH):
            chosen = order[first : first + NON_PRIVATE_BATCH]
            sums = loop.clipped_sums(module, prepared, chosen, max_grad_norm=math.inf)
            for parameter, total in sums.items():
                parameter.grad = (total / len(chosen)).to(parameter.dtype)
            optimizer.step()
    return module


def accuracies(settings: Settings, data: Data, module: models.Classifier) -> tuple[float, float]:
    """Return the accuracy, and the mean of the accuracies of the classes that occur."""
    counts = evaluation.count_predictions(
        module,
        data.test,
        task=settings.task,
        unit=PrivacyUnit.EVENT,
        max_contribution=1,
        model=shape(settings, data),
        device=torch.device("cpu"),
    )
    labels = {label: counts[label, True] + counts[label, False] for label, _ in counts}
    of_classes = [counts[label, True] / number for label, number in labels.items()]
    return sum(counts[label, True] for label in labels) / counts.total(), float(np.mean(of_classes))


def line(run: RunArguments, data: Data, *, epsilon: float | None, seeds: int) -> str:
    noise = None if epsilon is None else noise_of(run, epsilon)
    began, cells = time.process_time(), []
    for seed in range(seeds):
        trained = non_private(run, data, seed=seed) if noise is None else private(run, data, noise, seed=seed)
        cells.append(accuracies(Settings.of(run.settings), data, trained))
    (accuracy, balanced), spread = np.mean(cells, 0), np.ptp(cells, 0)[0]
    seconds = (time.process_time() - began) / seeds
    name = "none" if epsilon is None else f"{epsilon:g}"
    return f"| {name} | {accuracy:.3f} | {spread:.3f} | {balanced:.3f} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=sources.SYNTHETIC, help="synthetic, a file or a folder of reviews")
    parser.add_argument("--start-day", default="2013-01-01", help="first day to read")
    parser.add_argument("--days", type=int, default=10, help="how many days to read")
    parser.add_argument("--epsilon", type=float, nargs="*", default=EPSILONS)
    parser.add_argument("--seeds", type=int, default=3, help="how many trainings at each epsilon")
    parser.add_argument("--no-reference", action="store_true", help="leave out the non-private model")
    parser.add_argument("--on", choices=("test", "validation"), default="test", help="the users that are tested on")
    parser.add_argument("--set", nargs="*", default=[], help="key=value, as run_pipeline.py takes it")
    options = parser.parse_args()
    run = run_arguments.load(Path("arguments.yaml"), options.set)
    days = day_range.declared(start_day=options.start_day, end_day=None, days=options.days)
    settings = Settings.of(run.settings)
    data = load(options.source, days, settings.test_fraction, is_validation=options.on == "validation")
    majority = np.bincount(examples.LABELS[settings.task](data.test)).max() / len(data.test)
    print(f"{settings.model}, embeddings {settings.embeddings}, {settings.task}, {len(data.train)} training and")
    print(f"{len(data.test)} {options.on} reviews, majority class {majority:.3f}, {options.seeds} seeds\n")
    print("| epsilon | accuracy | largest less least | balanced | processor seconds |\n|---|---|---|---|---|")
    for epsilon in options.epsilon:
        print(line(run, data, epsilon=epsilon, seeds=options.seeds), flush=True)
    if not options.no_reference:
        print(line(run, data, epsilon=None, seeds=options.seeds), flush=True)


if __name__ == "__main__":
    main()
