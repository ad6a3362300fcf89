"""Time and memory of one training step: nn.LSTM without privacy, Opacus' two modes, and each of our implementations.

Prints a table; asserts nothing. All run in turns in this one process: compare within a run, not between machines. A
step clips, sums, adds noise and moves the weights; all texts have the same length. With one thread the clock is the
processor's, which other processes disturb less.

    python benchmarks/train_step.py --batch 64 256 1024 --embedding frozen trained --threads 1
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
from opacus.layers import DPLSTM
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import nn

from privatekube.data import columns
from privatekube.training import dpsgd, examples, loop, models, randomness
from privatekube.training.lstm_steps import choice, cudnn, path, torch_path

Step = Callable[[], None]
CLIP, NOISE, LEARNING_RATE = 0.5, 1.0, 0.01
PLAIN = "nn.LSTM, not private"


@dataclass(frozen=True, eq=False)
class Task:
    """A model's shape and a batch, on a device."""

    config: models.ModelConfig
    tokens: torch.Tensor
    labels: torch.Tensor

    @property
    def is_frozen(self) -> bool:
        """Whether the words' vectors are public and stay as they are."""
        return self.config.embeddings is not None


class Stock(nn.Module):
    """The same classifier, built from the given layers: torch's, or Opacus'."""

    def __init__(self, config: models.ModelConfig, lstm: type[nn.Module]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_dim)
        self.embedding.weight.requires_grad_(config.embeddings is None)
        self.lstm = lstm(config.embedding_dim, config.hidden_dim, batch_first=True)
        self.output = nn.Linear(config.hidden_dim, config.n_classes)
        self.reads_mean = config.embeddings is not None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [B, n_classes] of tokens [B, T]."""
        hidden, _ = self.lstm(self.embedding(tokens))
        logits: torch.Tensor = self.output(hidden.mean(1) if self.reads_mean else hidden[:, -1])
        return logits


def adam(module: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=LEARNING_RATE)


def plain(task: Task) -> Step:
    module = Stock(task.config, nn.LSTM).to(task.tokens.device)
    optimizer = adam(module)

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(module(task.tokens), task.labels))
        optimizer.step()

    return step


def hooks(task: Task) -> Step:
    module = GradSampleModule(Stock(task.config, DPLSTM).to(task.tokens.device), loss_reduction="sum")
    optimizer = DPOptimizer(
        adam(module), noise_multiplier=NOISE, max_grad_norm=CLIP, expected_batch_size=len(task.tokens)
    )

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(module(task.tokens), task.labels, reduction="sum"))
        optimizer.step()

    return step


def ghost(task: Task) -> Step:
    module = GradSampleModuleFastGradientClipping(
        Stock(task.config, DPLSTM).to(task.tokens.device),
        loss_reduction="sum",
        max_grad_norm=CLIP,
        use_ghost_clipping=True,
    )
    optimizer = DPOptimizerFastGradientClipping(
        adam(module),
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
        expected_batch_size=len(task.tokens),
        loss_reduction="sum",
    )
    loss = DPLossFastGradientClipping(module, optimizer, nn.CrossEntropyLoss(reduction="sum"), "sum")

    def step() -> None:
        optimizer.zero_grad()
        loss(module(task.tokens), task.labels).backward()
        optimizer.step()

    return step


def reviews(task: Task) -> columns.Reviews:
    """Return the texts and classes of a task as reviews."""
    batch, length = task.tokens.shape
    zeros = np.zeros(batch, np.int64)
    return columns.Reviews(
        user=zeros,
        product=zeros,
        time=zeros,
        category=task.labels.cpu().numpy().astype(np.int16),
        stars=np.ones(batch, np.int8),
        summary_length=np.zeros(batch, np.int32),
        tokens=task.tokens.cpu().numpy().astype(np.int32).ravel(),
        offsets=np.arange(batch + 1) * length,
    )


def ours(steps: path.Path) -> Callable[[Task], Step]:
    def build(task: Task) -> Step:
        batch, length = task.tokens.shape
        vectors = torch.randn(task.config.vocab_size, task.config.embedding_dim) if task.is_frozen else None
        module = models.build(task.config, 0, vectors).to(task.tokens.device)
        module.use(steps)
        rows = np.arange(batch + 1)
        data = examples.Examples(reviews(task), "product", length, task.config.vocab_size, rows[:-1], rows)
        optimizer = dpsgd.DpSgdOptimizer(
            adam(module),
            noise_multiplier=NOISE,
            max_grad_norm=CLIP,
            sampling_rate=0.1,
            expected_batch_size=batch,
            generator=randomness.SecureGenerator(steps),
        )

        def step() -> None:
            optimizer.take(loop.clipped_sums(module, data, rows[:-1], max_grad_norm=CLIP))

        return step

    return build


def variants(device: torch.device, *, with_opacus: bool) -> dict[str, Callable[[Task], Step]]:
    """Return what to measure: steps by name, the first one without privacy."""
    opacus = {"Opacus, hooks": hooks, "Opacus, ghost": ghost} if with_opacus else {}
    chosen = choice.choose(device)
    if chosen.reason:
        print(chosen.reason)
    paths = {p.name: p for p in (torch_path.TORCH, cudnn.CuDnn(), chosen.path)}
    return {PLAIN: plain, **opacus, **{f"ours, {name}": ours(steps) for name, steps in paths.items()}}


def seconds_of(step: Step, clock: Callable[[], float], device: torch.device) -> float:
    """Return how long a step takes; on a GPU between two of its events."""
    if device.type == "cuda":
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        first.record()
        step()
        last.record()
        torch.cuda.synchronize()
        return float(first.elapsed_time(last)) / 1000
    start = clock()
    step()
    return clock() - start


def peak_mib(step: Step, device: torch.device) -> float:
    """Return how much memory a step needs beyond what was in use before it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts again from what is in use
    before = _status_kib("VmRSS")
    step()
    return (_status_kib("VmHWM") - before) / 1024


def _status_kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure(task: Task, options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Return the median seconds and the extra peak memory of each variant, in turns; Opacus' run less often."""
    device = task.tokens.device
    clock = time.process_time if options.threads == 1 else time.perf_counter
    steps = {name: build(task) for name, build in variants(device, with_opacus=not options.skip_opacus).items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.repeats + 1):
        for name, step in steps.items():
            if "Opacus" in name and turn > options.opacus_repeats:
                continue
            taken = seconds_of(step, clock, device)
            if turn:  # the first one warms up
                seconds[name].append(taken)
    return {name: (statistics.median(seconds[name]), peak_mib(step, device)) for name, step in steps.items()}


def task_of(options: argparse.Namespace, *, batch: int, embedding: str) -> Task:
    """Return a batch of words with Zipf's frequencies, for realistic repeats."""
    config = models.ModelConfig(
        architecture="lstm",
        vocab_size=options.vocab_size,
        max_text_len=options.length,
        embedding_dim=options.embedding_dim,
        hidden_dim=options.hidden_dim,
        n_classes=options.classes,
        embeddings="public" if embedding == "frozen" else None,
    )
    frequency = 1 / torch.arange(1, config.vocab_size + 1).double()
    tokens = torch.multinomial(frequency, batch * config.max_text_len, replacement=True)
    labels = torch.randint(0, config.n_classes, (batch,))
    return Task(config, tokens.view(batch, config.max_text_len).to(options.device), labels.to(options.device))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--embedding", choices=["frozen", "trained"], nargs="+", default=["frozen", "trained"])
    parser.add_argument("--length", type=int, default=100, help="tokens of a text")
    parser.add_argument("--embedding-dim", type=int, default=100)
    parser.add_argument("--hidden-dim", type=int, default=100)
    parser.add_argument("--vocab-size", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=11)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--opacus-repeats", type=int, default=1, help="its steps take longest")
    parser.add_argument("--skip-opacus", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of Opacus' hooks
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    print(f"{'batch':>6}  {'embedding':<11}{'step':<22}{'milliseconds':>13}{'times nn.LSTM':>15}{'extra MiB':>11}")
    for batch in options.batch:
        for embedding in options.embedding:
            results = measure(task_of(options, batch=batch, embedding=embedding), options)
            base = results[PLAIN][0]
            for name, (median, mib) in results.items():
                print(f"{batch:>6}  {embedding:<11}{name:<22}{1000 * median:>13.1f}{median / base:>15.2f}{mib:>11.0f}")


if __name__ == "__main__":
    main()
