"""Train the model under DP on the users that are not held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from components.dp_train.training_data import TrainingData
from privatekube import config
from privatekube.privacy import mechanisms
from privatekube.privacy.events import DpEvent
from privatekube.steps import arguments, documents, dp_step, interface, public_log
from privatekube.training import checkpoint, devices, loop, public_vectors, search, split
from privatekube.training.lstm_steps import choice
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

    With `hyperparameters` in the settings, a random number of such trainings is scored on some of the users, who are
    not trained on, and the best one is released: see `training.search`.

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
        lambda granted: _release(granted, workspace=workspace, dataset=dataset, statistics=statistics, device=device),
        grant=grant,
        workspace=workspace,
        noisy_inputs=(statistics,),
        outputs=(checkpoint,),
        spend=spend,
    )


def _release(
    granted: documents.Grant, *, workspace: Path, dataset: Path, statistics: Path, device: config.Device
) -> dp_step.Release:
    data = TrainingData.of(granted, dataset, statistics, device)
    settings = public_vectors.fetched(TrainingSettings.of(granted.settings), workspace)
    chosen = choice.choose(devices.resolve(device))
    public_log.say("steps", name=chosen.path.name, reason=f" ({chosen.reason})" if chosen.reason else "")
    step = granted.plan.step("dp_train")
    if settings.hyperparameters:
        noise = documents.SearchNoise.planned(step, max_contribution=granted.max_contribution)
        return _released(data, *_searched(data, settings, noise), searched=tuple(settings.hyperparameters))
    trained = data.train(settings, documents.TrainingNoise.planned(step), progress=_report)
    return _released(data, (settings, trained), trained.event)


def _searched(
    data: TrainingData, settings: TrainingSettings, noise: documents.SearchNoise
) -> tuple[tuple[TrainingSettings, loop.Trained], DpEvent]:
    """Return the best trial with its settings, and the event of all trials; nothing tells how many there were."""
    is_scored = split.is_validation(data.reviews.user[data.rows], search.VALIDATION_SHARE)
    kept = replace(data, rows=data.rows[~is_scored], share=data.share * (1 - search.VALIDATION_SHARE))
    held_out = data.rows[is_scored]

    def trial(drawn: TrainingSettings) -> search.Trial[tuple[TrainingSettings, loop.Trained]]:
        trained = kept.train(drawn, noise.training)
        correct = data.correct_predictions(trained.module, drawn, held_out)
        score = mechanisms.noisy_count(correct, scale=noise.score.scale, sensitivity=noise.score.sensitivity)
        return search.Trial.scored((drawn, trained), trained.event, score)

    public_log.say("searching")
    return search.best_of(settings.candidates, trial, mean_trials=noise.mean_trials, shape=noise.shape)


def _released(
    data: TrainingData,
    best: tuple[TrainingSettings, loop.Trained],
    event: DpEvent,
    *,
    searched: tuple[str, ...] = (),
) -> dp_step.Release:
    settings, trained = best
    content, _ = checkpoint.encode(
        trained.module,
        data.shape(settings),
        task=settings.task,
        vocabulary_digest=data.metadata.vocabulary_digest,
        found={name: getattr(settings, name) for name in searched},
    )
    return dp_step.Release(event, (content,))


def _report(done: int, total: int) -> None:
    if done % max(1, total // 20) == 0 or done == total:
        public_log.say("training", done=done, total=total)


if __name__ == "__main__":
    arguments.run_component(dp_train, reads_data=True)
