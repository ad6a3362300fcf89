"""Plan the mechanisms of a whole run, claim the budget they need, wait for it, and write the Grant."""

from __future__ import annotations

from pathlib import Path

import pydantic

from privatekube import config, errors, validation
from privatekube.client import connect, run_demand
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import summary
from privatekube.resources.requests import RegisterRequest
from privatekube.steps import arguments, documents, granted_blocks, interface, paid_releases, public_log
from privatekube.storage import local_files, uris
from privatekube.training import feasibility

_COPIES = 3
"""How often the workspace holds the model: what the step writes, its output, and a file on the way."""


def allocate(
    *,
    run_id: validation.Text,
    namespace: validation.Name,
    dataset: validation.Name,
    n_blocks: validation.BlockCount = "all",
    conditions: pydantic.Json[validation.Conditions],
    epsilon: validation.Epsilon,
    delta: validation.Delta,
    timeout_seconds: validation.Seconds,
    settle_after_seconds: validation.Seconds,
    plan: validation.Text,
    statistics_fraction: validation.OpenShare,
    test_fraction: validation.OpenShare,
    task: config.Task,
    model: config.Architecture,
    n_epochs: validation.Count,
    sampling_rate: validation.Rate,
    max_grad_norm: validation.ClippingNorm,
    learning_rate: validation.Positive,
    vocab_size: validation.VocabularySize,
    max_text_len: validation.Count,
    embedding_dim: validation.Count,
    hidden_dim: validation.Count,
    seed: validation.Seed = 0,
    organisation: validation.Line,
    purpose: validation.Line,
    hyperparameters_chosen: validation.Line,
    prefix: validation.Text,
    training_memory: validation.Bytes,
    grant: interface.OutputArtifact,
) -> None:
    """Claim budget for a run under a name made from `run_id`: a repetition finds its own claim and pays once.

    Registers the Grant with the claim and writes it to the path `grant`. Refuses, before anything is claimed, what
    would let a later step fail: a `prefix` that cannot be written, a model that needs more than `training_memory`, a
    disk that is too full, and what `run_demand.of_run` refuses.

    Args:
        run_id: identifier of the run; it determines the name of the claim.
        namespace: namespace of the blocks.
        dataset: dataset of the blocks.
        n_blocks: how many blocks: a number, or `all` that match.
        conditions: conditions on block dimensions, as in an allocate request.
        epsilon: epsilon that the whole run may cost.
        delta: delta that the whole run may cost.
        timeout_seconds: seconds to wait for the budget.
        settle_after_seconds: after how many seconds without activity of the run its claim is settled.
        plan: what each step runs under DP, in YAML; `$name` in it is that argument.
        statistics_fraction: share of epsilon for the statistics.
        test_fraction: share of users held out.
        task: `product` or `sentiment`.
        model: `lstm`, `bow` or `feedforward`.
        n_epochs: expected passes over the training data.
        sampling_rate: Poisson sampling rate of training.
        max_grad_norm: clipping norm of a unit's gradient.
        learning_rate: learning rate of the optimizer.
        vocab_size: bound of the token ids; others become the unknown word.
        max_text_len: maximum number of tokens of a review.
        embedding_dim: size of a token's embedding.
        hidden_dim: size of the hidden layer.
        seed: seed of the initial weights; noise has no seed.
        organisation: who is responsible for the run, for the privacy card.
        purpose: what the model is for, for the privacy card.
        hyperparameters_chosen: how the values of these arguments were chosen, for the privacy card.
        prefix: prefix where upload publishes the results; it must be writable.
        training_memory: memory of the step that trains, such as 8Gi.
        grant: the approved run: claim, blocks, noise of each step, training settings (JSON).
    """
    uris.require_writable(prefix)
    run = config.RunArguments(
        dataset=dataset,
        namespace=namespace,
        n_blocks=n_blocks,
        conditions=conditions,
        epsilon=epsilon,
        delta=delta,
        timeout_seconds=timeout_seconds,
        settle_after_seconds=settle_after_seconds,
        plan=plan,
        statistics_fraction=statistics_fraction,
        test_fraction=test_fraction,
        task=task,
        model=model,
        n_epochs=n_epochs,
        sampling_rate=sampling_rate,
        max_grad_norm=max_grad_norm,
        learning_rate=learning_rate,
        vocab_size=vocab_size,
        max_text_len=max_text_len,
        embedding_dim=embedding_dim,
        hidden_dim=hidden_dim,
        seed=seed,
        organisation=organisation,
        purpose=purpose,
        hyperparameters_chosen=hyperparameters_chosen,
        prefix=prefix,
    )
    with connect.connect() as client:
        demand = run_demand.of_run(client, run, memory_bytes=training_memory)
        if demand.plan is None:
            raise errors.InvalidInput("plan: demands a budget without steps; name the mechanism of each step")
        if uris.is_local(prefix):
            _require_space(run, workspace=grant.parent)
        name = connect.claim_name(run_id)
        claim_id = f"{namespace}/{name}"
        wanted = "all blocks" if n_blocks == run_demand.ALL else summary.number_of_blocks(int(n_blocks))
        asked = EpsilonDelta(epsilon, delta)
        public_log.say("claiming", demand=asked, blocks=wanted, claim=claim_id)
        granted = client.allocate(
            namespace,
            name,
            demand.request,
            timeout_seconds=timeout_seconds,
            settle_after_seconds=settle_after_seconds,
        )
        blocks = granted_blocks.of_claim(client, granted)
    document = documents.Grant(
        run_id=run_id,
        claim=claim_id,
        epsilon=epsilon,
        delta=delta,
        unit=demand.unit,
        max_contribution=demand.max_contribution,
        test_fraction=test_fraction,
        blocks=blocks,
        plan=documents.GrantedPlan.of(demand.plan),
        training=documents.TrainingSettings.of(run),
        declared=documents.Declarations.of(run),
    )
    _approve(document)
    documents.write(document, grant)
    public_log.say("granted", blocks=summary.number_of_blocks(len(blocks)), claim=claim_id)


def _approve(document: documents.Grant) -> None:
    """Register the Grant with its claim, so that the claim pays for no other run."""
    digest = documents.digest(documents.encode(document))
    with connect.connect() as client:
        client.register_release(document.claim, RegisterRequest(paid_releases.APPROVAL, (digest,)))


def _require_space(run: config.RunArguments, *, workspace: Path) -> None:
    """Refuse a run on this machine whose model does not fit the disks of its results and of its workspace."""
    published = feasibility.checkpoint_bytes(run)
    local_files.require_space(Path(uris.absolute(run.prefix)), n_bytes=published)
    local_files.require_space(workspace, n_bytes=_COPIES * published)


if __name__ == "__main__":
    arguments.run_component(allocate)
