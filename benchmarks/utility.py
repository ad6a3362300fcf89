"""Accuracy of models at several epsilons and without privacy, on one source of reviews.

    python benchmarks/utility.py --out cells.jsonl --source DIR --models linear lstm --epsilon 0.3 1

Reads the arguments of a run from arguments.yaml, plans the noise as a run does, trains with the project's own DP-SGD,
and prints exact accuracies: for public or synthetic reviews only, since nothing here is paid for. The noise of each
training is its own; the seeds are of the initial weights.

Each training is a line of the file of `--out`, with the settings that it had. What is there with the same settings is
not run again, so that a command that was interrupted goes on. `utility_table.py` makes the table of such files.

Choose settings with `--on validation`, which trains on four fifths of the training users and tests on the others: the
test users are for figures that are reported.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from blocks import demo, sources
from privatekube.client import plan_file
from privatekube.data import block_file, day_range, declare, partition, word_vectors
from privatekube.data.columns import Reviews
from privatekube.data.cutting import cut
from privatekube.data.partition import Slice
from privatekube.data.read_report import ReadReport
from privatekube.privacy import solving
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.plan import Plan
from privatekube.privacy.unit import PrivacyUnit
from privatekube.runs import run_arguments
from privatekube.runs.run_arguments import RunArguments
from privatekube.training import evaluation, examples, loop, model_shape, models, split
from privatekube.training.settings import Settings

EPSILONS = ("0.1", "0.3", "1", "3", "8", "none")
NON_PRIVATE_EPOCHS, NON_PRIVATE_BATCH, NON_PRIVATE_RATE, NON_PRIVATE_RATE_ON_VECTORS = 8, 256, 3e-3, 3e-2
"""Of Adam; the rates were chosen on validation users."""

Vectors = npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class Data:
    """Training and test reviews of a source, and what it declares."""

    train: Reviews
    test: Reviews
    categories: tuple[str, ...]
    vocabulary_digest: str


def load(source: str, days: Slice, test_fraction: float, *, is_validation: bool) -> Data:
    whole, categories, vocabulary_digest = synthetic(days) if source == sources.SYNTHETIC else of_files(source, days)
    held_out = split.is_test(whole.user, test_fraction)
    train, test = whole.select(~held_out), whole.select(held_out)
    if is_validation:
        held_out = split.is_test(train.user + 1, test_fraction)  # another hash of the user
        train, test = train.select(~held_out), train.select(held_out)
    return Data(train, test, categories, vocabulary_digest)


def synthetic(days: Slice) -> tuple[Reviews, tuple[str, ...], str]:
    source = sources.Synthetic(seed=0)
    return source.reviews(days), source.categories, source.encoding.vocabulary_digest


def of_files(source: str, days: Slice) -> tuple[Reviews, tuple[str, ...], str]:
    """Cut files into one block of a temporary folder, and read it."""
    with tempfile.TemporaryDirectory() as folder:
        declaration = declare.Declaration(
            dataset="reviews",
            namespace="default",
            kind=partition.ALL_DAYS,
            n_buckets=1,
            unit=PrivacyUnit.EVENT,
            max_contribution=1,
            initial_budget=EpsilonDelta(10.0, 1e-7),
            folder=folder,
        )
        job = demo.job_of(demo.Choice(source=source, days=days), [days], declaration, owner_key=bytes(32))
        with cut.opened(job, ReadReport(), home=Path(folder) / "scratch") as done:
            (block,) = done.slices[0].blocks
            read = block_file.read(block.spec.data_source.removeprefix("file://"))
    return read.reviews, read.metadata.categories, read.metadata.vocabulary_digest


@dataclass(frozen=True)
class Cell:
    """One training and its accuracy.

    Args:
        data: name of the source.
        tested_on: the users, `test` or `validation`.
        task, model, embeddings: settings, also among the others.
        epsilon: of the run, or `none` without privacy.
        seed: of the initial weights.
        settings: all settings that the training had.
        accuracy: on the users that were tested on.
        balanced: mean of the accuracies of the classes that occur.
        seconds: of the processor.
    """

    data: str
    tested_on: str
    task: str
    model: str
    embeddings: str
    epsilon: str
    seed: int
    settings: Mapping[str, Any]
    accuracy: float = math.nan
    balanced: float = math.nan
    seconds: float = math.nan

    @property
    def key(self) -> str:
        """What a cell is the result of."""
        stated = dataclasses.asdict(self)
        return json.dumps({name: stated[name] for name in list(stated)[:-3]}, sort_keys=True)


def shape(settings: Settings, data: Data) -> models.ModelConfig:
    return model_shape.of_settings(settings, n_categories=len(data.categories))


def noise_of(run: RunArguments) -> Mapping[str, Any]:
    plan = cast("Plan", plan_file.parse(run.plan or "", run.named))
    return solving.solve(plan, epsilon=run.epsilon, delta=run.delta).step("dp_train").parameters


def private(run: RunArguments, data: Data, vectors: Vectors, *, seed: int) -> models.Classifier:
    settings, noise = Settings.of(run.settings), noise_of(run)
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
        vectors=vectors,
        device=run.device,
    ).module


def non_private(run: RunArguments, data: Data, vectors: Vectors, *, seed: int) -> models.Classifier:
    settings = Settings.of(run.settings)
    prepared = examples.prepare(
        data.train, task=settings.task, unit=PrivacyUnit.EVENT, max_contribution=1, model=shape(settings, data)
    )
    module = models.build(shape(settings, data), seed, None if vectors is None else torch.from_numpy(vectors))
    is_fast = vectors is not None or settings.model == "linear"
    rate = NON_PRIVATE_RATE_ON_VECTORS if is_fast else NON_PRIVATE_RATE
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
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


def done(path: Path) -> dict[str, Cell]:
    """Return the cells of a file, by what they are the result of."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {cell.key: cell for cell in (Cell(**json.loads(line)) for line in lines)}


def runs(options: argparse.Namespace) -> Iterator[tuple[RunArguments, str]]:
    """Yield the arguments of each training, and its epsilon."""
    for task, embeddings, model, epsilon in itertools.product(
        options.tasks, options.embeddings, options.models, options.epsilon
    ):
        given = [f"task={task}", f"model={model}", f"embeddings={embeddings}", *options.set]
        yield (
            run_arguments.load(Path("arguments.yaml"), [*given, f"epsilon={1 if epsilon == 'none' else epsilon}"]),
            epsilon,
        )


def train(cell: Cell, run: RunArguments, data: Data, vectors: Vectors) -> Cell:
    """Return the cell with its accuracies."""
    began = time.process_time()
    how: Callable[..., models.Classifier] = non_private if cell.epsilon == "none" else private
    trained = how(run, data, vectors, seed=cell.seed)
    accuracy, balanced = accuracies(Settings.of(run.settings), data, trained)
    return dataclasses.replace(cell, accuracy=accuracy, balanced=balanced, seconds=time.process_time() - began)


def add_cells(options: argparse.Namespace, data: Data, known: dict[str, Cell]) -> None:
    """Run what is not in the file yet, seed by seed, and append it."""
    for (run, epsilon), seed in ((each, seed) for each in runs(options) for seed in range(options.seeds)):
        settings = Settings.of(run.settings)
        names = (settings.task, settings.model, settings.embeddings)
        stated = settings.model_dump(mode="json", exclude={"seed"})
        cell = Cell(options.name, options.on, *names, epsilon, seed, stated)
        if cell.key not in known:
            cell = train(cell, run, data, read_vectors(settings, data))
            with options.out.open("a") as file:
                file.write(json.dumps(dataclasses.asdict(cell)) + "\n")
        cell = known.setdefault(cell.key, cell)
        figures = f"accuracy {cell.accuracy:.3f}, balanced {cell.balanced:.3f}, {cell.seconds:.0f} s of processor"
        print(f"{', '.join(names)}, epsilon {epsilon}, seed {seed}: {figures}", flush=True)


_read: dict[tuple[str, int], Vectors] = {}


def read_vectors(settings: Settings, data: Data) -> Vectors:
    """Return the vectors that a model reads, which are read once."""
    of = (settings.embeddings, settings.embedding_dim)
    if of not in _read:
        _read[of] = model_shape.vectors(settings, vocabulary_digest=data.vocabulary_digest)
    return _read[of]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file that gets a line for each training")
    parser.add_argument("--source", default=sources.SYNTHETIC, help="synthetic, a file or a folder of reviews")
    parser.add_argument("--name", default="", help="of the source in the table; synthetic or real by default")
    parser.add_argument("--start-day", default="2013-01-01", help="first day to read")
    parser.add_argument("--days", type=int, default=10, help="how many days to read")
    parser.add_argument("--tasks", nargs="*", default=list(examples.LABELS))
    parser.add_argument("--models", nargs="*", default=list(models.ARCHITECTURES))
    parser.add_argument("--embeddings", nargs="*", default=[word_vectors.BUNDLED, word_vectors.NONE])
    parser.add_argument("--epsilon", nargs="*", default=EPSILONS, help="numbers, and none for without privacy")
    parser.add_argument("--seeds", type=int, default=3, help="how many trainings at each epsilon")
    parser.add_argument("--on", choices=("test", "validation"), default="test", help="the users that are tested on")
    parser.add_argument("--set", nargs="*", default=[], help="key=value, as run_pipeline.py takes it")
    options = parser.parse_args()
    options.name = options.name or ("synthetic" if options.source == sources.SYNTHETIC else "real")
    settings = Settings.of(run_arguments.load(Path("arguments.yaml"), options.set).settings)
    days = day_range.declared(start_day=options.start_day, end_day=None, days=options.days)
    data = load(options.source, days, settings.test_fraction, is_validation=options.on == "validation")
    for task in options.tasks:
        majority = np.bincount(examples.LABELS[task](data.test, slice(None))).max() / len(data.test)
        print(f"{len(data.train)} training and {len(data.test)} {options.on} reviews, {task}: majority {majority:.3f}")
    add_cells(options, data, done(options.out))


if __name__ == "__main__":
    main()
