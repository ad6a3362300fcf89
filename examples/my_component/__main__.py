"""Evaluate the model by two counts: correct and wrong predictions on the held-out users.

In place of dp_evaluate where the accuracy of the single classes is of no interest: one count's noise instead of one per
class, at the same cost.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from privatekube import config
from privatekube.data import block_file
from privatekube.privacy import events, mechanisms
from privatekube.steps import arguments, documents, public_log
from privatekube.training import checkpoint as checkpoints
from privatekube.training import evaluation, loop, split

CELLS = (True, False)


def my_component(
    *, grant: Path, dataset: Path, checkpoint: Path, device: config.Device, metrics: Path, spend: Path
) -> None:
    """Release the noisy number of correct and wrong predictions, and the accuracy they imply.

    Adjacency and sensitivity are those of dp_evaluate: a privacy unit's reviews are in one count each, so both together
    move by at most its contribution bound (L1). The noise is what the Grant planned for the evaluation.
    """
    granted = documents.read(documents.Grant, grant)
    inputs = documents.digest(grant, checkpoint)
    if documents.finished(spend, claim=granted.claim, inputs=inputs, outputs=(metrics,)):
        public_log.say("kept")  # a repeated step must not draw noise twice
        return
    trained = checkpoints.load(checkpoint)
    read = block_file.read(dataset)
    per_class = evaluation.count_predictions(
        trained.module,
        read.reviews.select(split.is_test(read.reviews.user, granted.test_fraction)),
        task=trained.task,
        unit=granted.unit,
        max_contribution=granted.max_contribution,
        model=trained.config,
        device=loop.resolve(device),
    )
    counts = Counter({cell: sum(n for (_, correct), n in per_class.items() if correct is cell) for cell in CELLS})
    scale = granted.plan.evaluation_scale
    released = mechanisms.noisy_histogram(counts, CELLS, scale=scale, sensitivity=granted.plan.sensitivity)
    document = {
        "schema_version": documents.SCHEMA_VERSION,
        "task": trained.task,
        "model": trained.config.architecture,
        "accuracy": asdict(_accuracy(released.value, scale, granted.max_contribution)),
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


def _accuracy(noisy: dict[bool, int], scale: float, max_contribution: int) -> evaluation.Estimate:
    """Post-processing of the noisy counts; 2 b^2 bounds the variance of discrete Laplace noise of scale b."""
    return evaluation.share_estimate(
        noisy[True], noisy[False], noise_variance=(2 * scale**2, 2 * scale**2), design_effect=max_contribution
    )


if __name__ == "__main__":
    arguments.component(my_component, reads_data=True)
