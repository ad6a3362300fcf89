"""Train the model under DP on the users that are not held out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from privatekube import config
from privatekube.data import block_file
from privatekube.steps import arguments, documents, dp_step, interface, public_log
from privatekube.training import checkpoint, loop, model_shape, split
from privatekube.training.settings import TrainingSettings


def dp_train(
    *,
    grant: interface.Artifact,
    workspace: interface.Workspace,
    dataset: interface.Dataset,
    statistics: interface.Artifact,
    device: config.Device = "auto",
    checkpoint: interface.OutputModel,
    spend: interface.OutputArtifact,
) -> None:
    """Train by DP-SGD with the Grant's noise, sampling rate, number of steps and training settings.

    Adjacency: one privacy unit of the Grant added or removed; its clipped gradient moves a step's sum by at most
    `max_grad_norm` (L2). Each unit is in each step's sample independently, with the Grant's sampling rate. Gradients
    are normalised by the expected batch size, taken from the noisy `statistics`.

    Args:
        grant: from allocate.
        workspace: where the run has its private data.
        dataset: from dp_preprocess.
        statistics: from dp_preprocess; the noisy total normalises gradients.
        device: `auto`, `cpu` or `cuda`.
        checkpoint: weights, configuration, vocabulary digest (torch).
        spend: what the steps cost (JSON).
    """
    dp_step.run(
        "dp_train",
        lambda granted: _release(granted, dataset=dataset, statistics=statistics, device=device),
        grant=grant,
        workspace=workspace,
        noisy_inputs=(statistics,),
        outputs=(checkpoint,),
        spend=spend,
    )


def _release(granted: documents.Grant, *, dataset: Path, statistics: Path, device: config.Device) -> dp_step.Release:
    block, noise, settings = (
        block_file.read(dataset),
        documents.TrainingNoise.planned(granted.plan.step("dp_train")),
        TrainingSettings.of(granted.settings),
    )
    shape = model_shape.of_settings(settings, n_categories=len(block.metadata.categories))
    trained = loop.train(
        block.reviews.select(~split.is_test(block.reviews.user, settings.test_fraction)),
        task=settings.task,
        unit=granted.unit,
        max_contribution=granted.max_contribution,
        model=shape,
        noise_multiplier=noise.noise_multiplier,
        sampling_rate=noise.sampling_rate,
        steps=noise.steps,
        max_grad_norm=settings.max_grad_norm,
        optimizer=settings.optimizer,
        learning_rate=settings.learning_rate,
        expected_batch_size=_expected_batch_size(settings, noise.sampling_rate, statistics),
        seed=settings.seed,
        vectors=model_shape.vectors(settings, vocabulary_digest=block.metadata.vocabulary_digest),
        device=device,
        progress=partial(_report, every=max(1, noise.steps // 20)),
    )
    content, _ = checkpoint.encode(
        trained.module, shape, task=settings.task, vocabulary_digest=block.metadata.vocabulary_digest
    )
    return dp_step.Release(trained.event, (content,))


def _expected_batch_size(settings: TrainingSettings, sampling_rate: float, statistics: Path) -> float:
    """Return how many units a step's sample is expected to have, from noisy counts: at least one."""
    noisy = documents.read(documents.Statistics, statistics).total
    return max(1.0, sampling_rate * (1 - settings.test_fraction) * noisy)


def _report(done: int, total: int, *, every: int) -> None:
    if done % every == 0 or done == total:
        public_log.say("training", done=done, total=total)


if __name__ == "__main__":
    arguments.run_component(dp_train, reads_data=True)
