"""A run whose steps are called as functions, with fitting arguments, and the blocks that it claims."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.allocate.__main__ import allocate
from components.consume.__main__ import consume
from components.download.__main__ import download
from components.dp_evaluate.__main__ import dp_evaluate
from components.dp_preprocess.__main__ import dp_preprocess
from components.dp_train.__main__ import dp_train
from components.upload.__main__ import upload
from pipelines import dp_lstm
from privatekube.client.client import BudgetClient
from privatekube.data import block_file, columns
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import transitions
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from privatekube.steps import clear_inputs, documents
from privatekube.training import run_check
from tests import shipped_plan
from tests.steps.builders import DECLARED, SETTINGS


def synthetic_block(
    path: Path,
    day: int,
    *,
    unit: PrivacyUnit = PrivacyUnit.EVENT,
    bound: int = 1,
    n: int = 200,
    words: str = "sha256:words",
) -> str:
    chance = np.random.default_rng(day)
    length = 5
    made = columns.Reviews(
        user=np.arange(n) + 1000 * day,
        product=chance.integers(0, 50, n),
        time=np.full(n, columns.FIRST_DAY_SECONDS + day * columns.SECONDS_PER_DAY),
        category=chance.integers(0, 3, n).astype(np.int16),
        stars=chance.integers(1, 6, n).astype(np.int8),
        summary_length=np.zeros(n, np.int32),
        tokens=chance.integers(4, 60, n * length).astype(np.int32),
        offsets=np.arange(n + 1) * length,
    )
    return block_file.write(
        path,
        made,
        block_file.Metadata("d", day, day, 0, 1, "key", words, 100, "words", unit, bound, ("a", "b", "c")),
    )


def declared_block(folder: Path, day: int, **of_data: Any) -> PrivateDataBlock:
    """Write the data of a day to a file in `folder` and return its block."""
    path = folder / f"{day}.h5"
    meta = ObjectMeta(f"b{day}", "ns", annotations={CONTENT_DIGEST: synthetic_block(path, day, **of_data)})
    dimensions = (
        Dimension("startTime", numeric_value=str(day)),
        Dimension("unit", string_value="event"),
        Dimension("vocabularySize", numeric_value="100"),
    )
    return PrivateDataBlock(meta, BlockSpec(EpsilonDelta(3, 1e-7), "d", f"file://{path}", dimensions))


ALL_SETTINGS = SETTINGS | {"statistics_fraction": 0.05, "test_fraction": 0.3, "n_epochs": 1, "sampling_rate": 0.5}


@dataclass
class Run:
    """The artifacts of a run, and its steps with fitting arguments."""

    folder: Path
    client: BudgetClient

    def path(self, name: str) -> Path:
        return self.folder / "run" / name

    def allocate(self, **changes: Any) -> documents.Grant:
        arguments: dict[str, Any] = {
            "run_id": "r1",
            "namespace": "ns",
            "dataset": "d",
            "n_blocks": "all",
            "conditions": [],
            "epsilon": 1.0,
            "delta": 1e-9,
            "timeout_seconds": 5,
            "settle_after_seconds": 60,
            "plan": shipped_plan.TEXT,
            "check": run_check.__name__,
            "settings": ALL_SETTINGS,
            "prefix": str(self.folder / "out"),
            "step_memory": 8 << 30,
            "grant": self.path("grant"),
        }
        allocate(**arguments | DECLARED | changes)
        return documents.read(documents.Grant, self.path("grant"))

    @property
    def workspace(self) -> Path:
        folder = self.path("workspace")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear(self, name: str) -> Path:
        """Return the file in clear of what a step has released: the artifact is sealed."""
        return clear_inputs.find(self.workspace, self.path(name))

    def download(self) -> None:
        download(grant=self.path("grant"), workspace=self.workspace, blocks=self.path("blocks"))

    def preprocess(self) -> None:
        names = ("blocks", "dataset", "statistics")
        paths = {name: self.path(name) for name in names}
        dp_preprocess(grant=self.path("grant"), workspace=self.workspace, **paths, spend=self.path("s1"))

    def train(self) -> None:
        dp_train(
            grant=self.path("grant"),
            workspace=self.workspace,
            dataset=self.path("dataset"),
            statistics=self.clear("statistics"),
            device="cpu",
            checkpoint=self.path("checkpoint"),
            spend=self.path("s2"),
        )

    def evaluate(self) -> None:
        paths = {name: self.path(name) for name in ("grant", "dataset", "metrics")}
        dp_evaluate(
            **paths, checkpoint=self.clear("checkpoint"), workspace=self.workspace, device="cpu", spend=self.path("s3")
        )

    def consume(self) -> documents.Receipt:
        spends = [self.path(name) for name in ("s1", "s2", "s3")]
        consume(grant=self.path("grant"), spend=spends, receipt=self.path("receipt"))
        return documents.read(documents.Receipt, self.path("receipt"))

    def upload(self, *names: str) -> Path:
        files = {name: self.path(name) for name in ("grant", "receipt", "location")}
        released = [self.path(name) for name in dp_lstm.PUBLISHED]
        prefix = str(self.folder / "out")
        upload(
            released=released, names=list(names) or list(dp_lstm.PUBLISHED.values()), images={}, prefix=prefix, **files
        )
        return Path(self.path("location").read_text())

    def to_the_end(self) -> None:
        self.allocate()
        for step in (self.download, self.preprocess, self.train, self.evaluate):
            step()


def committed(client: BudgetClient) -> list[float]:
    return [
        sum(amount.values[0] for amount in transitions.status_of(block).committed.values())
        for block in client.list_blocks()
    ]


OTHER_STEPS = """
steps:
  - {name: size, mechanism: discrete_laplace, sensitivity: 1, per: record, share: 0.5}
  - {name: mean-stars, mechanism: gaussian, sensitivity: 5, part: some, share: free}
disjoint: [some]
"""
