"""Evaluate the model under DP on the held-out users."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from privatekube import config, errors
from privatekube.data import block_file
from privatekube.privacy import events, mechanisms
from privatekube.steps import arguments, documents, public_log
from privatekube.training import checkpoint as checkpoints
from privatekube.training import evaluation, loop, split


def dp_evaluate(
    *, grant: Path, dataset: Path, checkpoint: Path, device: config.Device, metrics: Path, spend: Path
) -> None:
    """Release the noisy number of correct and wrong predictions per class, and the accuracy they imply.

    Adjacency: one privacy unit of the Grant added or removed; it moves the counts by at most its contribution bound
    (L1). The held-out users are disjoint from those trained on. Writes `metrics` (accuracy with estimate, low and high
    at 95 %, from sampling error and noise) and what it cost to `spend`.
    """
    granted = documents.read(documents.Grant, grant)
    inputs = documents.digest(grant, checkpoint)
    if documents.finished(spend, claim=granted.claim, inputs=inputs, outputs=(metrics,)):
        public_log.say("kept")
        return
    trained = checkpoints.load(checkpoint)
    read = block_file.read(dataset)
    if read.metadata.vocabulary_digest != trained.vocabulary_digest:
        raise errors.InvalidInput("checkpoint: trained on another vocabulary than the dataset's; train on this one")
    data = read.reviews.select(split.is_test(read.reviews.user, granted.test_fraction))
    counts = evaluation.count_predictions(
        trained.module,
        data,
        task=trained.task,
        unit=granted.unit,
        max_contribution=granted.max_contribution,
        model=trained.config,
        device=loop.resolve(device),
    )
    scale, classes = granted.plan.evaluation_scale, trained.config.n_classes
    released = mechanisms.noisy_histogram(
        counts, evaluation.cells(classes), scale=scale, sensitivity=granted.plan.sensitivity
    )
    estimated = evaluation.metrics(
        released.value, n_classes=classes, scale=scale, max_contribution=granted.max_contribution
    )
    names = read.metadata.categories if trained.task == "product" else ("other", "five stars")
    document = asdict(estimated) | {
        "schema_version": documents.SCHEMA_VERSION,
        "task": trained.task,
        "model": trained.config.architecture,
        "per_class": {name: asdict(share) for name, share in zip(names, estimated.per_class, strict=True)},
        "confidence": 0.95,
        "noise": {"mechanism": "discrete Laplace", "scale": scale, "sensitivity": granted.plan.sensitivity},
    }
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    used = documents.Spend(
        step="dp_evaluate", claim=granted.claim, part="test", event=events.to_json(released.event), inputs=inputs
    )
    documents.write(used, spend)
    public_log.say("evaluated", scale=scale)


if __name__ == "__main__":
    arguments.component(dp_evaluate, reads_data=True)
