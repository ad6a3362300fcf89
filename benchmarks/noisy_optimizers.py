"""Accuracy of optimizers under the noise of DP-SGD: momentum, Adam, DP-AdamBC, schedules, banded matrix factorisation.

    python benchmarks/noisy_optimizers.py --source DIR --start-day 1998-01-01 --days 7600

Softmax regression on bundled vectors of words at one epsilon. Trains on four fifths of the training users and tests on
the others, several runs at a time, each with noise of its own from an ordinary generator: for public or synthetic
reviews only.
Prints the mean accuracy of each optimizer and the standard error of the mean.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import utility
from torch import nn

from blocks import sources
from privatekube.data import day_range
from privatekube.data.columns import Reviews
from privatekube.privacy import calibration, events
from privatekube.privacy.unit import PrivacyUnit
from privatekube.runs import run_arguments
from privatekube.training import examples, model_shape, models
from privatekube.training.settings import Settings

MOMENTUM, MOMENTS = 0.9, (0.9, 0.999)
CLIPPING_NORM = 1.0
DELTA, STATISTICS_SHARE = 1e-9, 0.05
MOST_ITERATIONS = 300

Step = Callable[[torch.Tensor, int], torch.Tensor]
"""Returns how far the weights move in a step, from its noisy gradient and its number."""


@dataclass(frozen=True)
class Features:
    """Inputs of the regression, with a column of ones: float32 [N, D], and the labels [N]."""

    inputs: torch.Tensor
    labels: torch.Tensor
    classes: int

    @classmethod
    def of(cls, settings: Settings, data: utility.Data, reviews: Reviews) -> Features:
        """Return what the last layer of the model `linear` reads of reviews."""
        shape, seen = utility.shape(settings, data), []
        vectors = model_shape.vectors(settings, vocabulary_digest=data.vocabulary_digest)
        module = models.build(shape, 0, None if vectors is None else torch.from_numpy(vectors))
        hook = module.get_submodule("head").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        prepared = examples.prepare(
            reviews, task=settings.task, unit=PrivacyUnit.EVENT, max_contribution=1, model=shape
        )
        labels = []
        with torch.no_grad():
            every = torch.arange(prepared.units).numpy()
            for batch in prepared.batches(every, torch.device("cpu"), positions=module.positions):
                module(batch.tokens, batch.lengths)
                labels.append(batch.labels)
        hook.remove()
        inputs = torch.cat(seen)
        return cls(torch.cat([inputs, torch.ones(len(inputs), 1)], 1), torch.cat(labels), shape.n_classes)


@dataclass(frozen=True)
class Noise:
    """How units are sampled, and the noise that this needs.

    Args:
        rate: of a step.
        steps: how many.
        strategy: C [steps, steps], banded and lower triangular, with columns of length 1; the noise of the steps is
            inverse(C) times independent noise. None for independent noise.
        bands: its bands: a unit joins every such step at most, at a higher rate, by a part of its own (cyclic Poisson
            sampling; Choquette-Choo et al., "(Amplified) Banded Matrix Factorization", 2023, Theorem 4).
    """

    rate: float
    steps: int
    strategy: torch.Tensor | None = None
    bands: int = 1

    def multiplier(self, epsilon: float) -> float:
        """Return the noise with which statistics and training together cost epsilon."""
        statistics = events.discrete_laplace(1 / (STATISTICS_SHARE * epsilon), 1)
        rate, steps = self.rate * self.bands, self.steps // self.bands

        def made(noise: float) -> events.DpEvent:
            return events.composition(statistics, events.poisson_gaussian(rate, noise, steps))

        return calibration.noise_multiplier(made, target_epsilon=epsilon, delta=DELTA)


def banded(steps: int, bands: int) -> torch.Tensor:
    """Return the banded strategy with the least error of all iterates of SGD with momentum, by L-BFGS."""
    numbers = torch.arange(steps, dtype=torch.float64)
    age = numbers[:, None] - numbers
    workload = torch.where(age >= 0, (1 - MOMENTUM ** (age.clamp(min=0) + 1)) / (1 - MOMENTUM), 0.0)
    start = torch.cat([torch.ones(1), 0.5 / torch.arange(2, bands + 1)]).double()
    diagonals = start.repeat(steps, 1).requires_grad_()

    def strategy() -> torch.Tensor:
        made: torch.Tensor = torch.stack(
            [torch.diag(diagonals[: steps - band, band], -band) for band in range(bands)]
        ).sum(0)
        return torch.div(made, made.norm(dim=0))

    solver = torch.optim.LBFGS([diagonals], max_iter=MOST_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        error: torch.Tensor = torch.linalg.solve_triangular(strategy().T, workload.T, upper=True).square().sum().log()
        error.backward()  # type: ignore[no-untyped-call]
        return error

    solver.step(loss)  # type: ignore[no-untyped-call]
    return strategy().detach()


def sgd(rate: float, schedule: Callable[[int], float] = lambda _: 1.0) -> Step:
    moved: list[torch.Tensor] = []

    def step(gradient: torch.Tensor, number: int) -> torch.Tensor:
        moved[:] = [MOMENTUM * moved[0] + gradient if moved else gradient]
        return rate * schedule(number) * moved[0]

    return step


def adam(rate: float, *, noise_variance: float = 0.0, floor: float = 1e-16) -> Step:
    """Adam; with the variance of the noise, which is taken from the second moment, DP-AdamBC (Tang et al., 2023)."""
    moments = [torch.zeros(()), torch.zeros(())]
    first, second = MOMENTS

    def step(gradient: torch.Tensor, number: int) -> torch.Tensor:
        moments[0] = first * moments[0] + (1 - first) * gradient
        moments[1] = second * moments[1] + (1 - second) * gradient.square()
        mean, square = (m / (1 - b ** (number + 1)) for m, b in zip(moments, MOMENTS, strict=True))
        return rate * mean / (square - noise_variance).clamp(min=floor).sqrt()

    return step


def accuracies(
    train: Features, test: Features, noise: Noise, move: Step, *, multiplier: float, runs: int, seed: int
) -> torch.Tensor:
    """Train `runs` models beside each other and return their accuracies [runs]."""
    chance = torch.Generator().manual_seed(seed)
    n, size = len(train.labels), (train.inputs.shape[1], runs, train.classes)
    weights, expected = torch.zeros(size), noise.rate * n
    inverse = None if noise.strategy is None else torch.linalg.inv(noise.strategy).float()
    part = torch.randint(noise.bands, (n, runs), generator=chance)
    drawn: list[torch.Tensor] = []
    for number in range(noise.steps):
        is_in = torch.rand(n, runs, generator=chance) < noise.rate * noise.bands
        sums = clipped_sums(weights, train, is_in & (part == number % noise.bands))
        drawn = [*(drawn if inverse is not None else []), torch.randn(size, generator=chance)]
        added = (
            drawn[-1]
            if inverse is None
            else torch.einsum("s,s...->...", inverse[number, : number + 1], torch.stack(drawn))
        )
        weights -= move((sums + multiplier * CLIPPING_NORM * added) / expected, number)
    predicted = torch.einsum("nd,drk->nrk", test.inputs, weights).argmax(2)
    return (predicted == test.labels[:, None]).float().mean(0)


def clipped_sums(weights: torch.Tensor, data: Features, is_in: torch.Tensor) -> torch.Tensor:
    """Return the sums [D, runs, K] of the clipped gradients of the reviews that are in, bool [N, runs]."""
    errors = torch.einsum("nd,drk->nrk", data.inputs, weights).softmax(2)
    errors -= nn.functional.one_hot(data.labels, data.classes)[:, None]
    norms = errors.norm(dim=2) * data.inputs.norm(dim=1)[:, None]
    errors *= (is_in * (CLIPPING_NORM / norms.clamp(min=CLIPPING_NORM)))[:, :, None]
    return torch.einsum("nd,nrk->drk", data.inputs, errors)


def entries(n: int, epsilon: float) -> Iterator[tuple[str, Noise, float, Step]]:
    """Yield what is compared, each with the learning rate that was best among several in 8 other runs."""
    for rate, steps, learning_rate in ((0.5, 40, 4.0), (0.5, 80, 2.0)):
        noise = Noise(rate, steps)
        yield f"sgd {learning_rate:g}", noise, noise.multiplier(epsilon), sgd(learning_rate)
    for rate, steps, bands, learning_rate in ((0.25, 40, 4, 4.0), (0.5, 80, 2, 2.0), (0.25, 80, 4, 2.0)):
        noise = Noise(rate, steps, banded(steps, bands), bands)
        yield f"{bands} bands, sgd {learning_rate:g}", noise, noise.multiplier(epsilon), sgd(learning_rate)
    noise = Noise(0.5, 40)
    multiplier = noise.multiplier(epsilon)
    variance = (multiplier * CLIPPING_NORM / (noise.rate * n)) ** 2
    yield "sgd 12, linear decay", noise, multiplier, sgd(12.0, lambda number: 1 - number / 40)
    yield "sgd 12, cosine decay", noise, multiplier, sgd(12.0, lambda number: (1 + math.cos(math.pi * number / 40)) / 2)
    yield "adam 0.1", noise, multiplier, adam(0.1)
    yield "adambc 0.3", noise, multiplier, adam(0.3, noise_variance=variance, floor=10 * variance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=sources.SYNTHETIC, help="synthetic, a file or a folder of reviews")
    parser.add_argument("--start-day", default="2013-01-01", help="first day to read")
    parser.add_argument("--days", type=int, default=10, help="how many days to read")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=32, help="how many trainings of each")
    parser.add_argument("--only", nargs="*", default=(), help="names of optimizers, such as 'sgd 4'; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    options = parser.parse_args()
    settings = Settings.of(run_arguments.load(Path("arguments.yaml"), ["model=linear"]).settings)
    days = day_range.declared(start_day=options.start_day, end_day=None, days=options.days)
    data = utility.load(options.source, days, settings.test_fraction, is_validation=True)
    train, test = (Features.of(settings, data, reviews) for reviews in (data.train, data.test))
    print(f"{len(train.labels)} training and {len(test.labels)} validation reviews, epsilon {options.epsilon:g}\n")
    print("| optimizer | sampling rate | steps | noise | accuracy | standard error |\n|---|---|---|---|---|---|")
    for name, noise, multiplier, move in entries(len(train.labels), options.epsilon):
        if options.only and name not in options.only:
            continue
        found = accuracies(train, test, noise, move, multiplier=multiplier, runs=options.runs, seed=options.seed)
        error = found.std() / math.sqrt(len(found))
        cells = (name, f"{noise.rate:g}", noise.steps, f"{multiplier:.2f}", f"{found.mean():.4f}", f"{error:.4f}")
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
