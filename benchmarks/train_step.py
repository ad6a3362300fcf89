"""Time of one training step: ours with clipping and noise, a plain non-private one, and Opacus' LSTM with hooks.

Prints a table; asserts nothing. All three run in turns in this one process: compare within a run, not
between machines.

    python benchmarks/train_step.py --batch-size 64 256 --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from opacus.grad_sample import GradSampleModule
from opacus.layers import DPLSTM
from opacus.optimizers import DPOptimizer
from torch import nn

from privatekube.training import clipping, dpsgd, models, randomness

Step = Callable[[], None]
CLIP, NOISE, LEARNING_RATE = 0.5, 1.0, 0.01


class Stock(nn.Module):
    """The same classifier, built from the given layers: torch's, or Opacus'."""

    def __init__(self, config: models.ModelConfig, lstm: type[nn.Module]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_dim)
        self.lstm = lstm(config.embedding_dim, config.hidden_dim, batch_first=True)
        self.output = nn.Linear(config.hidden_dim, config.n_classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, n_classes] of tokens [B, T], read at the last position."""
        hidden, _ = self.lstm(self.embedding(tokens))
        logits: torch.Tensor = self.output(hidden[:, -1])
        return logits


def ours(config: models.ModelConfig, tokens: torch.Tensor, labels: torch.Tensor) -> Step:
    module = models.build(config, 0)
    lengths = torch.full((len(tokens),), tokens.shape[1])
    optimizer = dpsgd.DpSgdOptimizer(
        torch.optim.Adam(module.parameters(), lr=LEARNING_RATE),
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
        sampling_rate=0.1,
        expected_batch_size=len(tokens),
        generator=randomness.SecureGenerator(),
    )

    def step() -> None:
        logits, taps = module(tokens, lengths)
        loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
        optimizer.take(clipping.clipped_sums(loss, taps, units=len(tokens), max_grad_norm=CLIP))

    return step


def plain(config: models.ModelConfig, tokens: torch.Tensor, labels: torch.Tensor) -> Step:
    module = Stock(config, nn.LSTM)
    optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(module(tokens), labels))
        optimizer.step()

    return step


def hooks(config: models.ModelConfig, tokens: torch.Tensor, labels: torch.Tensor) -> Step:
    module = GradSampleModule(Stock(config, DPLSTM), loss_reduction="sum")
    optimizer = DPOptimizer(
        torch.optim.Adam(module.parameters(), lr=LEARNING_RATE),
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
        expected_batch_size=len(tokens),
    )

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(module(tokens), labels, reduction="sum"))
        optimizer.step()

    return step


VARIANTS = {"ours": ours, "plain nn.LSTM, not private": plain, "Opacus DPLSTM, hooks": hooks}


def measure(config: models.ModelConfig, batch_size: int, repeats: int) -> dict[str, float]:
    """Median seconds of a step of each variant, taken in turns."""
    frequency = 1 / torch.arange(1, config.vocab_size + 1).double()  # Zipf's law, for realistic repeats
    tokens = torch.multinomial(frequency, batch_size * config.max_text_len, replacement=True)
    tokens = tokens.view(batch_size, config.max_text_len)
    labels = torch.randint(0, config.n_classes, (batch_size,))
    steps = {name: variant(config, tokens, labels) for name, variant in VARIANTS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--length", type=int, default=100, help="tokens of a text")
    parser.add_argument("--embedding-dim", type=int, default=100)
    parser.add_argument("--hidden-dim", type=int, default=100)
    parser.add_argument("--vocab-size", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of Opacus' hooks
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    config = models.ModelConfig(
        architecture="lstm",
        vocab_size=options.vocab_size,
        max_text_len=options.length,
        embedding_dim=options.embedding_dim,
        hidden_dim=options.hidden_dim,
        n_classes=options.classes,
    )
    print(f"{'batch':>6}  {'step':<28}{'milliseconds':>13}{'times plain':>13}")
    for batch_size in options.batch_size:
        seconds = measure(config, batch_size, options.repeats)
        base = seconds["plain nn.LSTM, not private"]
        for name, median in seconds.items():
            print(f"{batch_size:>6}  {name:<28}{1000 * median:>13.1f}{median / base:>13.2f}")


if __name__ == "__main__":
    main()
