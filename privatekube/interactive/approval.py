"""What a run was approved for: the document whose digest is registered with its claim before its data is opened."""

from __future__ import annotations

from privatekube import validation
from privatekube.privacy.unit import PrivacyUnit
from privatekube.steps import documents


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
        plan: the mechanism of each step, with its noise; None if they are chosen one after the other.
    """

    run_id: str
    claim: str
    epsilon: validation.Epsilon
    delta: validation.ClaimedDelta
    unit: PrivacyUnit
    adjacency: documents.Adjacency = documents.ADJACENCY
    max_contribution: validation.Count
    blocks: tuple[documents.GrantedBlock, ...]
    plan: documents.GrantedPlan | None = None

    @property
    def digest(self) -> str:
        """The digest of this document."""
        return documents.digest(documents.encode(self))
