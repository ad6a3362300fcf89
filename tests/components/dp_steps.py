"""Runs over a few user-days, and what each of their steps hands to its mechanism before noise is added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from privatekube.client import connect
from privatekube.data import block_file, columns
from privatekube.privacy import events, mechanisms, solving
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.solving import SolvedPlan, SolvedStep
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from privatekube.training import dpsgd
from tests.components.run_steps import Run

BOUND = 2
"""Reviews of one user-day that count."""

HELD_OUT = (0, 3, 9)
"""Users on the test side of the split at a fraction of 0.3."""

TRAINED = (1, 2, 4, 5)
"""Users on its training side."""

STEPS = 3
"""Noisy steps of training in these tests."""


def planned(
    *, statistics: float = 20.0, training: float = 1.5, evaluation: float = 5.0, steps: int = STEPS
) -> SolvedPlan:
    """Return a plan with that noise; every unit is in every sample, so that sums depend on the data alone."""
    counts = {"sensitivity": BOUND, "queries": 1}
    parameters = {"sampling_rate": 1.0, "steps": steps, "noise_multiplier": training}
    return SolvedPlan(
        (
            SolvedStep(
                "dp_preprocess",
                "all",
                "discrete_laplace",
                {"scale": statistics, **counts},
                events.discrete_laplace(statistics, BOUND),
            ),
            SolvedStep("dp_train", "train", "dp_sgd", parameters, events.poisson_gaussian(1.0, training, steps)),
            SolvedStep(
                "dp_evaluate",
                "test",
                "discrete_laplace",
                {"scale": evaluation, **counts},
                events.discrete_laplace(evaluation, BOUND),
            ),
        ),
        ("train", "test"),
    )


@dataclass
class Inputs:
    """What the mechanisms of a run were given, in the order of their calls.

    Args:
        counts: the exact counts behind each noisy histogram.
        scales: the scale of the noise that was drawn for each.
        sums: the sum of clipped gradients of each training step, all parameters in one row.
        batch_sizes: what the noisy sum of each training step is divided by.
        noise_multipliers: the noise of each training step.
    """

    counts: list[dict[Any, int]] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    sums: list[torch.Tensor] = field(default_factory=list)
    batch_sizes: list[float] = field(default_factory=list)
    noise_multipliers: list[float] = field(default_factory=list)


def reviews(user_days: Mapping[int, int]) -> columns.Reviews:
    """Return that many reviews of each user, all on day 0 and all alike within a user."""
    users = np.repeat(np.fromiter(user_days, np.int64), list(user_days.values()))
    n, length = len(users), 4
    return columns.Reviews(
        user=users,
        product=np.zeros(n, np.int64),
        time=np.full(n, columns.FIRST_DAY_SECONDS),
        category=(users % 3).astype(np.int16),
        stars=np.full(n, 5, np.int8),
        summary_length=np.zeros(n, np.int32),
        tokens=np.repeat(columns.FIRST_WORD + users, length).astype(np.int32),
        offsets=np.arange(n + 1) * length,
    )


@contextmanager
def run_on(folder: Path, user_days: Mapping[int, int], *, plan: SolvedPlan | None = None) -> Iterator[Run]:
    """Yield a run that was granted one block of these reviews, and has downloaded it."""
    folder.mkdir()
    metadata = block_file.Metadata(
        "d", 0, 0, 0, 1, "key", "sha256:words", 100, "words", PrivacyUnit.USER_DAY, BOUND, ("a", "b", "c")
    )
    digest = block_file.write(folder / "b.h5", reviews(user_days), metadata)
    dimensions = (
        Dimension("startTime", numeric_value="0"),
        Dimension("unit", string_value=PrivacyUnit.USER_DAY),
        Dimension("maxContribution", numeric_value=str(BOUND)),
    )
    spec = BlockSpec(EpsilonDelta(3, 1e-7), "d", f"file://{folder}/b.h5", dimensions)
    uri = f"sqlite:///{folder}/state.db"
    with pytest.MonkeyPatch.context() as patch, connect.connect(uri) as client:
        patch.setenv(connect.STORE, uri)
        patch.setattr(solving, "solve", lambda _plan, **_target: plan or planned())
        client.create_blocks([PrivateDataBlock(ObjectMeta("b", "ns", annotations={CONTENT_DIGEST: digest}), spec)])
        run = Run(folder, client)
        run.allocate()
        run.download()
        yield run


@contextmanager
def recorded() -> Iterator[Inputs]:
    """Record what the mechanisms are given; they run as they are."""
    inputs = Inputs()
    histogram, draw, take = mechanisms.noisy_histogram, mechanisms._laplace_measurement, dpsgd.DpSgdOptimizer.take

    def counting(counts: Mapping[Any, int], *given: Any, **named: Any) -> Any:
        inputs.counts.append({key: count for key, count in counts.items() if count})
        return histogram(counts, *given, **named)

    def drawing(scale: float) -> Any:
        inputs.scales.append(scale)
        return draw(scale)

    def stepping(self: dpsgd.DpSgdOptimizer, sums: Any) -> None:
        inputs.sums.append(torch.cat([sums[parameter].flatten() for parameter in self.params]).double())
        inputs.batch_sizes.append(self.expected_batch_size)
        inputs.noise_multipliers.append(self.noise_multiplier)
        take(self, sums)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mechanisms, "noisy_histogram", counting)
        patch.setattr(mechanisms, "_laplace_measurement", drawing)
        patch.setattr(dpsgd.DpSgdOptimizer, "take", stepping)
        yield inputs
