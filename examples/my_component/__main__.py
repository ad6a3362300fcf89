"""Evaluate the model by two counts: correct and wrong predictions on the held-out users.

Use it in place of dp_evaluate where the accuracy of the single classes does not matter: one count's noise instead of
one per class, at the same cost.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from privatekube import config
from privatekube.data import stored_block
from privatekube.privacy import mechanisms
from privatekube.steps import arguments, documents, dp_step, interface, public_log
from privatekube.training import checkpoint, devices, evaluation
from privatekube.training.settings import TrainingSettings

CELLS = (True, False)


def my_component(
    *,
    grant: interface.Artifact,
    workspace: interface.Workspace,
    dataset: interface.Dataset,
    checkpoint: interface.Model,
    device: config.Device = "auto",
    metrics: interface.OutputArtifact,
    spend: interface.OutputArtifact,
) -> None:
    """Release the noisy number of correct and wrong predictions, and the accuracy they imply.

    Adjacency and sensitivity are those of dp_evaluate: each review of a privacy unit is in one of the two counts, so
    both together move by at most the unit's contribution bound (L1). The noise is what the Grant planned.

    Args:
        grant: from allocate.
        workspace: where the run has its private data.
        dataset: from dp_preprocess.
        checkpoint: from dp_train.
        device: `auto`, `cpu` or `cuda`.
        metrics: accuracy with its confidence interval (JSON).
        spend: what the two counts cost (JSON).
    """
    dp_step.run(
        "dp_evaluate",
        lambda granted: _release(granted, dataset=dataset, model=checkpoint, device=device),
        grant=grant,
        workspace=workspace,
        noisy_inputs=(checkpoint,),
        outputs=(metrics,),
        spend=spend,
    )


def _release(granted: documents.Grant, *, dataset: Path, model: Path, device: config.Device) -> dp_step.Release:
    trained = checkpoint.load(model)
    per_class = evaluation.count_held_out(
        trained,
        stored_block.read_reviews(dataset),
        unit=granted.unit,
        max_contribution=granted.max_contribution,
        test_fraction=TrainingSettings.of(granted.settings).test_fraction,
        device=devices.resolve(device),
    )
    counts = Counter({cell: sum(n for (_, correct), n in per_class.items() if correct is cell) for cell in CELLS})
    noise = documents.CountNoise.planned(granted.plan.step("dp_evaluate"), max_contribution=granted.max_contribution)
    released = mechanisms.noisy_histogram(counts, CELLS, scale=noise.scale, sensitivity=noise.sensitivity)
    public_log.say("evaluated", scale=noise.scale)
    metrics = documents.Metrics(
        accuracy=_accuracy(released.value, noise.scale, granted.max_contribution),
        task=trained.task,
        model=trained.config.architecture,
        noise=noise,
    )
    return dp_step.Release(released.event, (metrics,))


def _accuracy(noisy: dict[bool, int], scale: float, max_contribution: int) -> documents.Estimate:
    """Estimate the accuracy from the noisy counts; 2 b^2 bounds the variance of discrete Laplace noise of scale b."""
    share = evaluation.share_estimate(
        noisy[True], noisy[False], noise_variance=(2 * scale**2, 2 * scale**2), design_effect=max_contribution
    )
    return documents.Estimate(**asdict(share))


if __name__ == "__main__":
    arguments.run_component(my_component, reads_data=True)
