"""The reviews of the users that are not held out, and how a model is trained and scored on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from privatekube import config
from privatekube.data import columns, metadata, stored_block
from privatekube.privacy.unit import PrivacyUnit
from privatekube.steps import documents
from privatekube.training import devices, evaluation, loop, model_shape, models, split
from privatekube.training.settings import TrainingSettings


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Reviews to train on, and what is public about them.

    Args:
        reviews: of all users.
        rows: int64 [M], which of them are of the training users, or of a part of those.
        metadata: of the block that they are from.
        unit: the privacy unit.
        max_contribution: how many reviews a unit has at most.
        noisy_total: noisy number of the reviews of all users.
        share: of all users that these rows are expected to be of.
        device: where to train.
    """

    reviews: columns.Reviews
    rows: npt.NDArray[np.int64]
    metadata: metadata.Metadata
    unit: PrivacyUnit
    max_contribution: int
    noisy_total: int
    share: float
    device: config.Device

    @classmethod
    def of(cls, granted: documents.Grant, dataset: Path, statistics: Path, device: config.Device) -> Self:
        """Return the reviews of the training users of a run."""
        block, test_fraction = stored_block.read_reviews(dataset), TrainingSettings.of(granted.settings).test_fraction
        return cls(
            reviews=block.reviews,
            rows=np.flatnonzero(~split.is_test(block.reviews.user, test_fraction)),
            metadata=block.metadata,
            unit=granted.unit,
            max_contribution=granted.max_contribution,
            noisy_total=documents.read(documents.Statistics, statistics).total,
            share=1 - test_fraction,
            device=device,
        )

    def shape(self, settings: TrainingSettings) -> models.ModelConfig:
        """Return the shape of a model of these reviews."""
        return model_shape.of_settings(settings, n_categories=len(self.metadata.categories))

    def train(
        self, settings: TrainingSettings, noise: documents.TrainingNoise, progress: loop.Progress | None = None
    ) -> loop.Trained:
        """Train a model on these reviews; gradients are normalised by the expected batch size, at least one unit."""
        return loop.train(
            self.reviews,
            rows=self.rows,
            task=settings.task,
            unit=self.unit,
            max_contribution=self.max_contribution,
            model=self.shape(settings),
            noise_multiplier=noise.noise_multiplier,
            sampling_rate=noise.sampling_rate,
            steps=noise.steps,
            max_grad_norm=settings.max_grad_norm,
            optimizer=settings.optimizer,
            learning_rate=settings.learning_rate,
            expected_batch_size=max(1.0, noise.sampling_rate * self.share * self.noisy_total),
            seed=settings.seed,
            vectors=model_shape.vectors(settings, vocabulary_digest=self.metadata.vocabulary_digest),
            device=self.device,
            n_workers=settings.workers,
            progress=progress,
        )

    def correct_predictions(
        self, module: models.Classifier, settings: TrainingSettings, rows: npt.NDArray[np.int64]
    ) -> int:
        """Count in some rows, exactly: one unit moves it by `max_contribution` at most."""
        counts = evaluation.count_predictions(
            module,
            self.reviews,
            rows=rows,
            task=settings.task,
            unit=self.unit,
            max_contribution=self.max_contribution,
            model=self.shape(settings),
            device=devices.resolve(self.device),
        )
        return sum(number for (_, is_correct), number in counts.items() if is_correct)
