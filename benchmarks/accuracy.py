"""Accuracy at several epsilons, and without privacy, on block files: for choosing defaults on data that is public.

Splits, trains and plans as the pipeline does, but prints exact accuracies on the test part, which no release may hold:
not for private data. Training without privacy exists here and nowhere in the package.

    python benchmarks/accuracy.py .privatekube/blocks/*.h5 --epsilon 1 3 8 --model lstm bow
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from privatekube import reviews
from privatekube.privacy import planning
from privatekube.training import evaluate, examples, loop, models, split

CPU = torch.device("cpu")


def train_privately(
    data: reviews.Reviews, config: models.ModelConfig, given: argparse.Namespace, epsilon: float
) -> models.Classifier:
    """As the pipeline does, with statistics and evaluation planned beside it."""
    plan = planning.plan_run(
        epsilon=epsilon,
        delta=given.delta,
        statistics_fraction=0.05,
        sampling_rate=given.sampling_rate,
        steps=planning.steps_of(given.epochs, given.sampling_rate),
        sensitivity=1,
    )
    return loop.train(
        data,
        task=given.task,
        unit="event",
        max_contribution=1,
        model=config,
        noise_multiplier=plan.noise_multiplier,
        sampling_rate=plan.sampling_rate,
        steps=plan.steps,
        max_grad_norm=given.max_grad_norm,
        learning_rate=given.learning_rate,
        expected_batch_size=plan.sampling_rate * len(data),  # a pipeline takes a noisy count
        seed=given.seed,
        device="cpu",
    ).module


def train_without_privacy(
    data: reviews.Reviews, config: models.ModelConfig, given: argparse.Namespace
) -> models.Classifier:
    """Shuffled batches, no clipping, no noise."""
    ready = examples.prepare(data, task=given.task, unit="event", max_contribution=1, model=config)
    module = models.build(config, given.seed)
    optimizer = torch.optim.Adam(module.parameters(), lr=given.plain_learning_rate)
    shuffle = np.random.default_rng(given.seed)
    for _ in range(given.plain_epochs):
        for chosen in np.array_split(shuffle.permutation(ready.units), math.ceil(ready.units / 128)):
            sums = loop.clipped_sums(module, ready, chosen, max_grad_norm=math.inf)
            for parameter, total in sums.items():
                parameter.grad = total / len(chosen)
            optimizer.step()
    return module


def accuracy(
    module: models.Classifier, data: reviews.Reviews, config: models.ModelConfig, task: str
) -> tuple[float, float, float]:
    """Exact accuracy, its mean over classes, and the share of the largest class."""
    counts = evaluate.count_predictions(
        module, data, task=task, unit="event", max_contribution=1, model=config, device=CPU
    )
    right = np.array([counts[label, True] for label in range(config.n_classes)])
    totals = right + np.array([counts[label, False] for label in range(config.n_classes)])
    present = totals > 0
    return right.sum() / totals.sum(), float(np.mean(right[present] / totals[present])), totals.max() / totals.sum()


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("blocks", type=Path, nargs="+", help="block files")
    parser.add_argument("--task", choices=sorted(examples.LABELS), default="product")
    parser.add_argument("--model", nargs="+", choices=sorted(models.ARCHITECTURES), default=["lstm", "bow"])
    parser.add_argument("--epsilon", type=float, nargs="*", default=[1.0, 3.0, 8.0])
    parser.add_argument("--delta", type=float, default=1e-9)
    parser.add_argument("--test-fraction", type=float, default=0.2)
    parser.add_argument("--vocab-size", type=int, default=10_004)
    parser.add_argument("--max-text-len", type=int, default=32)
    parser.add_argument("--embedding-dim", type=int, default=32)
    parser.add_argument("--hidden-dim", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--sampling-rate", type=float, default=0.25)
    parser.add_argument("--max-grad-norm", type=float, default=0.3)
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--plain-epochs", type=int, default=8)
    parser.add_argument("--plain-learning-rate", type=float, default=0.003)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Print one line for each model and epsilon."""
    given = options()
    block = reviews.merge([reviews.read(path) for path in given.blocks])
    held_out = split.is_test(block.reviews.user, given.test_fraction)
    train, test = block.reviews.select(~held_out), block.reviews.select(held_out)
    print(f"{'model':<12}{'epsilon':>12}{'accuracy':>10}{'balanced':>10}{'majority':>10}{'seconds':>9}")
    for architecture in given.model:
        config = models.ModelConfig(
            architecture=architecture,
            vocab_size=given.vocab_size,
            max_text_len=given.max_text_len,
            embedding_dim=given.embedding_dim,
            hidden_dim=given.hidden_dim,
            n_classes=len(block.metadata.categories) if given.task == "product" else 2,
        )
        for epsilon in (*given.epsilon, None):
            start = time.perf_counter()
            if epsilon is None:
                module = train_without_privacy(train, config, given)
            else:
                module = train_privately(train, config, given, epsilon)
            seconds = time.perf_counter() - start
            exact, balanced, majority = accuracy(module, test, config, given.task)
            name = "not private" if epsilon is None else f"{epsilon:g}"
            print(f"{architecture:<12}{name:>12}{exact:>10.3f}{balanced:>10.3f}{majority:>10.3f}{seconds:>9.1f}")


if __name__ == "__main__":
    main()
