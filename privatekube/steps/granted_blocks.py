"""The blocks of a run: what its claim was granted of them, and whether all of that is committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from privatekube import errors
from privatekube.client.store_client import StoreClient
from privatekube.privacy import arithmetic, budget_text
from privatekube.privacy.budget import PrivacyBudget
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import declared_data
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.wire import common
from privatekube.steps.documents import GrantedBlock


def of_claim(client: StoreClient, claim: PrivacyBudgetClaim) -> tuple[GrantedBlock, ...]:
    """Return what a claim was granted of each block."""
    blocks = [client.get_block(block_id) for block_id in sorted(claim.status.acquired)]
    return tuple(_granted_block(block, claim) for block in blocks)


def require_unit(stated: PrivacyUnit, unit: PrivacyUnit) -> None:
    """Check that files have the unit of the run.

    Raises:
        InvalidInput: they have another one.
    """
    if stated != unit:
        raise errors.invalid("unit", str(stated), f"is that of the files, not {unit}", "create the blocks again")


def require_all_committed(blocks: Sequence[GrantedBlock], committed: Mapping[str, PrivacyBudget]) -> None:
    """Check that everything that was granted is committed.

    Raises:
        BudgetExceeded: less, or something else, was committed on a block.
    """
    for block in blocks:
        amount, done = common.budget_from_wire(block.budget), committed.get(block.id)
        if amount is None or done is None or not arithmetic.is_close(amount, done):
            paid, due = budget_text.differing(done, amount)
            raise errors.BudgetExceeded(
                f"block {block.id}: {paid} was committed, the grant is {due}; nothing is published"
            )


def _granted_block(block: PrivateDataBlock, claim: PrivacyBudgetClaim) -> GrantedBlock:
    return GrantedBlock(
        id=block.id,
        uri=block.spec.data_source,
        digest=block.content_digest,
        budget=common.budget_to_wire(claim.status.acquired[block.id]),
        copies_kept=declared_data.keeps_copies(block),
        record_name=declared_data.record_name(block),
    )
