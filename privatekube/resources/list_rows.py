"""What a list shows of a block and of a claim, in one row: a store may keep it beside the object.

Example:
    row = BlockRow.of(block)
    assert BlockRow(*json.loads(json.dumps(row))) == row
"""

from __future__ import annotations

from typing import NamedTuple

from privatekube.resources import summary
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim


class BlockRow(NamedTuple):
    """A block in a list.

    Args:
        namespace: of the block.
        name: of the block.
        dataset: of the block.
        left: the budget that is not granted yet, in words.
        most_left: its largest number, to sort by.
        committed_share: of the initial budget.
        waiting: how many claims wait for the block.
        alarm: what its conditions say.
        data_source: URI of the data.
        creation_time_ms: None before it is stored.
    """

    namespace: str
    name: str
    dataset: str
    left: str
    most_left: float
    committed_share: float
    waiting: int
    alarm: str
    data_source: str
    creation_time_ms: int | None

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @classmethod
    def of(cls, block: PrivateDataBlock) -> BlockRow:
        """Return the row of a block."""
        left = summary.left_amount(block)
        return cls(
            namespace=block.meta.namespace,
            name=block.meta.name,
            dataset=block.spec.dataset,
            left=str(left),
            most_left=max(left.values),
            committed_share=summary.committed_share(block),
            waiting=len(block.status.reserved) if block.status else 0,
            alarm=summary.alarm(block),
            data_source=block.spec.data_source,
            creation_time_ms=block.meta.creation_time_ms,
        )


class ClaimRow(NamedTuple):
    """A claim in a list.

    Args:
        namespace: of the claim.
        name: of the claim.
        state: in one word.
        demand: on each block, in words.
        blocks: on how many it waits, holds or has paid.
        data_opened: whether its data was.
        reason: why its last request was refused.
        user: who requests it.
        team: of the user.
        purpose: as the user states it.
        deadline_ms: after which it is granted nothing.
        creation_time_ms: None before it is stored.
    """

    namespace: str
    name: str
    state: str
    demand: str
    blocks: int
    data_opened: bool
    reason: str
    user: str
    team: str
    purpose: str
    deadline_ms: int | None
    creation_time_ms: int | None

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @classmethod
    def of(cls, claim: PrivacyBudgetClaim) -> ClaimRow:
        """Return the row of a claim."""
        responses, who = claim.status.responses, claim.requester
        return cls(
            namespace=claim.meta.namespace,
            name=claim.meta.name,
            state=str(summary.state(claim)),
            demand=summary.demand(claim),
            blocks=len({**claim.status.reserved, **claim.status.acquired, **claim.status.committed}),
            data_opened=claim.spec.data_opened,
            reason=str(responses[-1].refusal or "") if responses else "",
            user=who.user or "",
            team=who.team or "",
            purpose=who.purpose or "",
            deadline_ms=claim.spec.deadline_ms,
            creation_time_ms=claim.meta.creation_time_ms,
        )


ListRow = BlockRow | ClaimRow
