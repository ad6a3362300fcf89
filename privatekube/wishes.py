"""What somebody wants to claim, before anything is claimed: the demand of a run, or of a claim's manifest."""

from __future__ import annotations

from pathlib import Path

from privatekube import config, demand, errors
from privatekube.plane import ControlPlane
from privatekube.privacy import budget, planning
from privatekube.resources import claim_codec
from privatekube.resources.claim import AllocateRequest


def of_run(plane: ControlPlane, run: config.RunArguments) -> AllocateRequest:
    """What the step allocate would claim for a run.

    Raises:
        InvalidInput: too few blocks match, or they do not go together.
    """
    request = demand.request(run.dataset, run.n_blocks, run.conditions)
    candidates = plane.matching_blocks(run.namespace, request)
    _, max_contribution = demand.privacy_unit(candidates)
    asked = budget.EpsilonDelta(run.epsilon, run.delta)
    if all(isinstance(each.spec.initial_budget, budget.EpsilonDelta) for each in candidates):
        return demand.request(run.dataset, run.n_blocks, run.conditions, asked)
    planned = planning.plan_run(
        epsilon=run.epsilon,
        delta=run.delta,
        statistics_fraction=run.statistics_fraction,
        sampling_rate=run.sampling_rate,
        steps=planning.steps_of(run.n_epochs, run.sampling_rate),
        sensitivity=max_contribution,
    )
    return demand.request(run.dataset, run.n_blocks, run.conditions, demand.amount(planned, asked, candidates))


def read_claim(path: Path) -> tuple[str, AllocateRequest]:
    """The namespace and the first allocate request of a claim's manifest.

    Raises:
        InvalidInput: no such file, no claim, or it asks for nothing.
    """
    claim = claim_codec.from_wire(config.read_mapping(path))
    for request in claim.spec.requests:
        if isinstance(request.action, AllocateRequest):
            return claim.meta.namespace, request.action
    raise errors.InvalidInput(f"{path}: has no allocateRequest; name a claim that asks for budget")
