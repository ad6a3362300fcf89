"""What a run was approved for: the document whose digest is registered with its claim before its data is opened."""

from __future__ import annotations

import pydantic

from privatekube import validation
from privatekube.privacy import events
from privatekube.privacy.solving import SolvedStep
from privatekube.privacy.unit import PrivacyUnit
from privatekube.steps import documents


class ApprovedStep(pydantic.BaseModel):
    """A step of the plan of a run, as `privacy.solving.SolvedStep` has it, with its event as JSON."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    name: str
    part: str
    mechanism: str
    parameters: documents.Json
    event: documents.Json

    @classmethod
    def of(cls, step: SolvedStep) -> ApprovedStep:
        """Return the JSON form of a step."""
        return cls(
            name=step.name,
            part=step.part,
            mechanism=step.mechanism,
            parameters=dict(step.parameters),
            event=events.to_json(step.event),
        )


class Approval(documents.Document):
    """What a run obtained; its digest is what its Receipt and its Spends name as the Grant.

    Args:
        run_id: of the run.
        claim: id `namespace/name` of the claim.
        epsilon: what the whole run may cost, at `delta`.
        delta: likewise.
        unit: the privacy unit of all blocks.
        adjacency: how neighbouring data sets differ.
        max_contribution: how many records a unit has at most in a block.
        blocks: what was granted of each block.
        steps: the plan, in order; none if the mechanisms are chosen one after the other.
    """

    run_id: str
    claim: str
    epsilon: validation.Epsilon
    delta: validation.ClaimedDelta
    unit: PrivacyUnit
    adjacency: documents.Adjacency = documents.ADJACENCY
    max_contribution: validation.Count
    blocks: tuple[documents.GrantedBlock, ...]
    steps: tuple[ApprovedStep, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of this document."""
        return documents.digest(documents.encode(self))
