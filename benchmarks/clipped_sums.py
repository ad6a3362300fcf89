"""What clipped sums in float64 cost: their processor time beside that of the same sums in float32, taken in turns.

Float64 is what bounds the sensitivity of a training step (docs/privacy.md), so float32 is no option: this is its price.
Prints a table; asserts nothing. Compare within a run, not between machines.

    python benchmarks/clipped_sums.py --batch-size 64 256 --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import get_args

import torch
from torch import nn

from privatekube.training import clipping, dpsgd, models, randomness, settings

CLIP, NOISE, LEARNING_RATE = 0.5, 1.0, 0.01


@contextmanager
def float32() -> Iterator[None]:
    """Let clipping compute in float32: what it converts stays as it is, and its sums start in the model's type."""
    double, zeros_for = torch.Tensor.double, clipping.zeros_for
    torch.Tensor.double = lambda tensor: tensor
    clipping.zeros_for = torch.zeros_like
    try:
        yield
    finally:
        torch.Tensor.double, clipping.zeros_for = double, zeros_for


def step_of(shape: models.ModelConfig, batch_size: int) -> Callable[[], tuple[float, float]]:
    """Return a training step, which returns the processor time of its clipped sums and that of the rest of it."""
    frequency = 1 / torch.arange(1, shape.vocab_size + 1).double()  # Zipf's law, for realistic repeats
    tokens = torch.multinomial(frequency, batch_size * shape.max_text_len, replacement=True)
    tokens = tokens.view(batch_size, shape.max_text_len)
    labels = torch.randint(0, shape.n_classes, (batch_size,))
    module, lengths = models.build(shape, 0), torch.full((batch_size,), shape.max_text_len)
    optimizer = dpsgd.DpSgdOptimizer(
        torch.optim.Adam(module.parameters(), lr=LEARNING_RATE),
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
        sampling_rate=0.1,
        expected_batch_size=batch_size,
        generator=randomness.SecureGenerator(),
    )

    def step() -> tuple[float, float]:
        times = [time.process_time()]
        logits, taps = module(tokens, lengths)
        loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
        times.append(time.process_time())
        sums = clipping.clipped_sums(loss, taps, units=batch_size, max_grad_norm=CLIP)
        times.append(time.process_time())
        optimizer.take(sums)
        times.append(time.process_time())
        return times[2] - times[1], times[1] - times[0] + times[3] - times[2]

    return step


def measure(shape: models.ModelConfig, batch_size: int, repeats: int) -> tuple[float, float, float]:
    """Return the median seconds of the sums in float32, of those in float64, and of the rest of a step."""
    step, rows = step_of(shape, batch_size), []
    for _ in range(repeats + 1):
        with float32():
            low, _ = step()
        rows.append((low, *step()))
    low, high, rest = (statistics.median(column) for column in zip(*rows[1:], strict=True))  # the first one warms up
    return low, high, rest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--length", type=int, default=100, help="tokens of a text")
    parser.add_argument("--width", type=int, default=100, help="of embeddings and of hidden layers")
    parser.add_argument("--vocab-size", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    print(f"{'model':<6}{'batch':>6}{'ms float32':>12}{'ms float64':>12}{'sums, times':>13}{'step, times':>13}")
    for architecture in get_args(settings.Architecture):
        for batch_size in options.batch_size:
            shape = models.ModelConfig(
                architecture=architecture,
                vocab_size=options.vocab_size,
                max_text_len=options.length,
                embedding_dim=options.width,
                hidden_dim=options.width,
                n_classes=options.classes,
            )
            low, high, rest = measure(shape, batch_size, options.repeats)
            ratios = f"{high / low:>13.2f}{(high + rest) / (low + rest):>13.2f}"
            print(f"{architecture:<6}{batch_size:>6}{1000 * low:>12.1f}{1000 * high:>12.1f}{ratios}")


if __name__ == "__main__":
    main()
