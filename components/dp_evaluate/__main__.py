"""Evaluate the model under DP on the held-out users."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from privatekube import config
from privatekube.data import stored_block
from privatekube.privacy import mechanisms
from privatekube.steps import arguments, documents, dp_step, interface, public_log
from privatekube.training import checkpoint, devices, evaluation
from privatekube.training.settings import TrainingSettings


def dp_evaluate(
    *,
    grant: interface.Artifact,
    workspace: interface.Workspace,
    dataset: interface.Dataset,
    checkpoint: interface.Model,
    device: config.Device = "auto",
    metrics: interface.OutputArtifact,
    spend: interface.OutputArtifact,
) -> None:
    """Release the noisy number of correct and wrong predictions per class, and the accuracy they imply.

    Adjacency: one privacy unit of the Grant added or removed; it moves the counts by at most its contribution bound
    (L1). The held-out users are disjoint from those trained on. Accuracy has an estimate and a 95 % interval, from
    sampling error and noise.

    Args:
        grant: from allocate.
        workspace: where the run has its private data.
        dataset: from dp_preprocess.
        checkpoint: from dp_train.
        device: `auto`, `cpu` or `cuda`.
        metrics: accuracy with its confidence interval (JSON).
        spend: what the counts cost (JSON).
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
    trained, block = checkpoint.load(model), stored_block.read_reviews(dataset)
    counts = evaluation.count_held_out(
        trained,
        block,
        unit=granted.unit,
        max_contribution=granted.max_contribution,
        test_fraction=TrainingSettings.of(granted.settings).test_fraction,
        device=devices.resolve(device),
    )
    noise = documents.CountNoise.planned(granted.plan.step("dp_evaluate"), max_contribution=granted.max_contribution)
    n_classes = trained.config.n_classes
    released = mechanisms.noisy_histogram(
        counts, evaluation.cells(n_classes), scale=noise.scale, sensitivity=noise.sensitivity
    )
    public_log.say("evaluated", scale=noise.scale)
    names = block.metadata.categories if trained.task == "product" else ("other", "five stars")
    estimated = evaluation.metrics(
        released.value, n_classes=n_classes, scale=noise.scale, max_contribution=granted.max_contribution
    )
    metrics = documents.Metrics(
        accuracy=_estimate(estimated.accuracy),
        per_class={name: _estimate(share) for name, share in zip(names, estimated.per_class, strict=True)},
        majority_share=_estimate(estimated.majority_share),
        examples=estimated.examples,
        task=trained.task,
        model=trained.config.architecture,
        hyperparameters=dict(trained.found) or None,
        noise=noise,
    )
    return dp_step.Release(released.event, (metrics,))


def _estimate(share: evaluation.Estimate) -> documents.Estimate:
    return documents.Estimate(**asdict(share))


if __name__ == "__main__":
    arguments.run_component(dp_evaluate, reads_data=True)
