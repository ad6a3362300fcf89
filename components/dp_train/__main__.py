"""Train the model under DP on the users that are not held out."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from privatekube import config, errors, validation
from privatekube.data import block_file
from privatekube.privacy import events
from privatekube.steps import arguments, documents, public_log
from privatekube.training import checkpoint as checkpoints
from privatekube.training import loop, models, split


def dp_train(
    *,
    grant: Path,
    dataset: Path,
    statistics: Path,
    task: config.Task,
    model: config.Architecture,
    max_grad_norm: validation.Positive,
    learning_rate: validation.Positive,
    vocab_size: validation.VocabularySize,
    max_text_len: validation.Count,
    embedding_dim: validation.Count,
    hidden_dim: validation.Count,
    device: config.Device,
    seed: validation.Seed,
    checkpoint: Path,
    spend: Path,
) -> None:
    """Train by DP-SGD with the Grant's noise, sampling rate and number of steps.

    Adjacency: one privacy unit of the Grant added or removed; its clipped gradient moves a step's sum by at most
    `max_grad_norm` (L2). Each unit joins each step by an independent coin of the Grant's sampling rate. Gradients are
    normalised by the expected batch size, taken from the noisy `statistics`. Writes the model to `checkpoint` and what
    the steps taken cost to `spend`.
    """
    granted = documents.read(documents.Grant, grant)
    inputs = documents.digest(grant, statistics)
    if documents.finished(spend, claim=granted.claim, inputs=inputs, outputs=(checkpoint,)):
        public_log.say("kept")
        return
    read = block_file.read(dataset)
    data = read.reviews.select(~split.is_test(read.reviews.user, granted.test_fraction))
    shape = models.ModelConfig(
        architecture=model,
        vocab_size=vocab_size,
        max_text_len=max_text_len,
        embedding_dim=embedding_dim,
        hidden_dim=hidden_dim,
        n_classes=len(read.metadata.categories) if task == "product" else 2,
    )
    plan = granted.plan
    trained = loop.train(
        data,
        task=task,
        unit=granted.unit,
        max_contribution=granted.max_contribution,
        model=shape,
        noise_multiplier=plan.noise_multiplier,
        sampling_rate=plan.sampling_rate,
        steps=plan.steps,
        max_grad_norm=max_grad_norm,
        learning_rate=learning_rate,
        expected_batch_size=_expected_batch_size(granted, statistics),
        seed=seed,
        device=device,
        progress=partial(_report, every=max(1, plan.steps // 20)),
    )
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    digest = read.metadata.vocabulary_digest
    checkpoints.save(checkpoint, trained.module, shape, task=task, vocabulary_digest=digest)
    used = documents.Spend(
        step="dp_train", claim=granted.claim, part="train", event=events.to_json(trained.event), inputs=inputs
    )
    documents.write(used, spend)


def _expected_batch_size(granted: documents.Grant, statistics: Path) -> float:
    """Units that a step's sample is expected to have, from noisy counts: at least one."""
    try:
        counts = json.loads(statistics.read_text(encoding="utf-8"))["counts"]
        noisy = sum(int(count) for stars in counts.values() for count in stars.values())
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise errors.InvalidInput("statistics: not the noisy counts of dp_preprocess; run that step again") from error
    return max(1.0, granted.plan.sampling_rate * (1 - granted.test_fraction) * noisy)


def _report(done: int, total: int, *, every: int) -> None:
    if done % every == 0 or done == total:
        public_log.say("training", done=done, total=total)


if __name__ == "__main__":
    arguments.component(dp_train, reads_data=True)
