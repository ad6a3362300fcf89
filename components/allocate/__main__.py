"""Plan the mechanisms of a whole run, claim the budget they need, wait for it, and write the Grant."""

from __future__ import annotations

import pydantic

from privatekube import plain_text, validation
from privatekube.client import connect, run_demand
from privatekube.resources import summary
from privatekube.resources.deadlines import Deadline
from privatekube.resources.requests import RegisterRequest
from privatekube.runs import hook
from privatekube.runs.run_arguments import RunArguments
from privatekube.steps import arguments, documents, granted_blocks, interface, paid_releases, public_log
from privatekube.storage import uris


def allocate(
    *,
    run_id: validation.RunId,
    namespace: validation.Name,
    dataset: validation.Name,
    n_blocks: validation.BlockCount = "all",
    conditions: pydantic.Json[validation.Conditions],
    epsilon: validation.Epsilon,
    delta: validation.Delta,
    timeout_seconds: validation.Seconds,
    settle_after_seconds: validation.Seconds,
    plan: validation.Text,
    settings: pydantic.Json[validation.Settings],
    check: validation.Text = hook.NO_CHECK,
    organisation: validation.Line,
    team: validation.Team = plain_text.NOT_STATED,
    purpose: validation.PlainLine,
    deadline: Deadline = plain_text.NOT_STATED,
    hyperparameters_chosen: validation.Line,
    prefix: validation.Text,
    step_memory: validation.Bytes,
    grant: interface.OutputArtifact,
) -> None:
    """Claim budget for a run under a name made from `run_id`: a repetition finds its own claim and pays once.

    Registers the Grant with the claim and writes it to the path `grant`. Refuses, before anything is claimed, what
    would let a later step fail: a `prefix` that cannot be written, what the plan cannot meet, and what `check` refuses.

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
        plan: what each step runs under DP, or the budget to demand as it is, in YAML; `$name` in it is that setting or
            argument.
        settings: of the pipeline, by name; the Grant records them for its steps.
        check: module of the image that declares the settings, and checks the run before its claim.
        organisation: who is responsible for the run, for the privacy card.
        team: whom the budget is for; with the claim and in the ledger.
        purpose: what the results are for; likewise, and for the privacy card.
        deadline: when the results become useless, an RFC 3339 time; no budget is granted from then on.
        hyperparameters_chosen: how the values of these arguments were chosen, for the privacy card.
        prefix: prefix where upload publishes the results; it must be writable.
        step_memory: memory of the step that needs most, such as 8Gi.
        grant: the approved run: claim, blocks, noise of each step, settings (JSON).
    """
    uris.require_writable(prefix)
    run = RunArguments(
        dataset=dataset,
        namespace=namespace,
        n_blocks=n_blocks,
        conditions=conditions,
        epsilon=epsilon,
        delta=delta,
        timeout_seconds=timeout_seconds,
        settle_after_seconds=settle_after_seconds,
        plan=plan,
        settings=settings,
        check=check,
        organisation=organisation,
        team=team,
        purpose=purpose,
        deadline=deadline,
        hyperparameters_chosen=hyperparameters_chosen,
        prefix=prefix,
    )
    with connect.connect() as client:
        demand = run_demand.of_run(client, run, memory_bytes=step_memory, workspace=grant.parent)
        name = connect.claim_name(run_id)
        claim_id = f"{namespace}/{name}"
        wanted = "all blocks" if n_blocks == run_demand.ALL else summary.number_of_blocks(int(n_blocks))
        public_log.say("claiming", demand=demand.target, blocks=wanted, claim=claim_id)
        granted = client.allocate(
            namespace,
            name,
            demand.request,
            timeout_seconds=timeout_seconds,
            settle_after_seconds=settle_after_seconds,
            team=plain_text.stated(team),
            purpose=plain_text.stated(purpose),
            deadline=plain_text.stated(run.deadline),
        )
        blocks = granted_blocks.of_claim(client, granted)
    document = documents.Grant(
        run_id=run_id,
        claim=claim_id,
        epsilon=demand.target.epsilon,
        delta=demand.target.delta,
        unit=demand.unit,
        max_contribution=demand.max_contribution,
        blocks=blocks,
        plan=documents.GrantedPlan(steps=()) if demand.plan is None else documents.GrantedPlan.of(demand.plan),
        settings=run.settings,
        declared=documents.Declarations.of(run),
        requested_by=granted.requester.user,
        sealing_key=None if granted.status.sealing is None else granted.status.sealing.public,
    )
    _approve(document)
    documents.write(document, grant)
    public_log.say("granted", blocks=summary.number_of_blocks(len(blocks)), claim=claim_id)


def _approve(document: documents.Grant) -> None:
    """Register the Grant with its claim, so that the claim pays for no other run."""
    digest = documents.digest(documents.encode(document))
    with connect.connect() as client:
        client.register_release(document.claim, RegisterRequest(paid_releases.APPROVAL, (digest,)))


if __name__ == "__main__":
    arguments.run_component(allocate)
