"""Poisson samples for Opacus' loaders, drawn from the operating system's entropy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from opacus.data_loader import DPDataLoader
from torch.utils.data import DataLoader, RandomSampler, Sampler

from privatekube import errors
from privatekube.integrations.opacus.planned import PlannedTraining
from privatekube.privacy import noisy_steps
from privatekube.training import randomness


class PoissonSampler(Sampler[list[int]]):
    """Draws the sample of each step: every unit is in it independently, with the planned rate.

    A pass has as many samples as one epoch is expected to need, and fewer where the plan ends before. What was drawn is
    remembered until the optimizer has taken the step.

    Args:
        n_units: the number of items of the data set, each of which is one privacy unit.
        planned: the planned training.
        steps_left: tells how many steps the plan still has.
        generator: source of the samples.
    """

    def __init__(
        self,
        n_units: int,
        planned: PlannedTraining,
        *,
        steps_left: Callable[[], int],
        generator: randomness.SecureGenerator,
    ) -> None:
        self._n_units = n_units
        self._planned = planned
        self._steps_left = steps_left
        self._generator = generator
        self._sizes: deque[int] = deque()

    def __len__(self) -> int:
        """Return the number of samples of a whole pass."""
        return noisy_steps.of_epochs(1, self._planned.sampling_rate)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the indices of the units in each sample.

        Raises:
            InvalidInput: all planned steps are taken.
        """
        self._sizes.clear()
        for _ in range(min(len(self), require_steps(self._steps_left(), self._planned))):
            chosen = np.flatnonzero(self._generator.mask(self._n_units, self._planned.sampling_rate))
            self._sizes.append(len(chosen))
            yield chosen.tolist()

    def require_sample(self, n_gradients: int) -> None:
        """Check that a step is about to use the gradients of the next sample that was drawn, no more and no fewer.

        Raises:
            InvalidInput: it is not; the message does not say how many there are, which is private.
        """
        if not self._sizes or self._sizes.popleft() != n_gradients:
            raise errors.InvalidInput(
                "batch: is not the next sample that the loader drew; take one step for each sample of the loader that "
                "make_private returned, empty ones included"
            )


def require_steps(left: int, planned: PlannedTraining) -> int:
    """Return how many steps are left.

    Raises:
        InvalidInput: none.
    """
    if left < 1:
        raise errors.invalid("steps", planned.steps + 1, f"is above the {planned.steps} of the plan", "stop training")
    return left


def require_poisson(loader: object, planned: PlannedTraining) -> None:
    """Check that a loader is one of Opacus' that draws Poisson samples at the planned rate.

    Raises:
        InvalidInput: it shuffles, draws other samples, or is distributed.
    """
    remedy = f"pass opacus.data_loader.DPDataLoader(dataset, sample_rate={planned.sampling_rate})"
    kind = type(loader).__name__
    if not isinstance(loader, DPDataLoader):
        if isinstance(getattr(loader, "sampler", None), RandomSampler):
            raise errors.invalid("data_loader", kind, "shuffles, and the plan is for Poisson samples", remedy)
        raise errors.invalid("data_loader", kind, "does not draw Poisson samples", remedy)
    planned.require_same("sampling_rate", loader.sample_rate)
    if loader.distributed:
        raise errors.invalid("data_loader", kind, "is distributed, which is not planned", remedy)
    if loader.collate_fn.rand_on_empty:
        raise errors.invalid("data_loader", kind, "makes up a unit for an empty sample", remedy)


def with_sampler(loader: DataLoader[Any], sampler: PoissonSampler) -> DataLoader[Any]:
    """Return a loader of the same data set in the same manner, with other samples."""
    return DataLoader(
        loader.dataset,
        batch_sampler=sampler,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
    )
