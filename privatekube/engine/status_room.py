"""How much room is left in the statuses of blocks and claims.

An API server takes objects of up to 1.5 MB. A status above that could never be written again: not even to consume or to
release what it holds. So nothing is added to a status that is larger than a bound below that, on every store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import bounds
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.request_id import LockId
from privatekube.resources.wire import block_groups, blocks, claims

MOST_WAITING_BYTES, MOST_BLOCK_BYTES = 2**19, 2**20
"""The largest status of a block to which a request that waits is added, and one to which a grant is added.

Requests that wait leave room for grants. Consuming and releasing is never refused: it adds little, above the second.
"""
MOST_CLAIM_BYTES = 1_400_000
"""The largest size that a claim may reach until it has paid."""
_COPIES_WHILE_WAITING, _COPIES_WHEN_PAID = 2, 3
"""How often the status of a claim has its amounts. Waiting: in the answer, and reserved. Paid: in the grant, the answer
to the request to consume, and the total; besides, the request has them."""
_LONGEST_ENTRY_BYTES, _LONGEST_ORDER_BYTES = 800, 80
"""An entry with the longest names, and what it takes for each order."""
_NAME_BYTES = 4
"""What JSON adds to a name in a list of the blocks that have the same amounts."""


class StatusRoom:
    """The room in the statuses of blocks in one pass; what a pass removes counts only in the next."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def take(
        self, demands: Mapping[str, PrivacyBudget], request: LockId, known: Mapping[str, PrivateDataBlock], *, most: int
    ) -> bool:
        """Take the room for a request on each of these blocks; return whether there is enough, and take none if not.

        Args:
            demands: what the request has reserved or gets, by block id.
            request: names it.
            known: the blocks, by id.
            most: the largest size of a status with it.
        """
        sizes = {key: _room_bytes(request, amount) for key, amount in demands.items()}
        for key in sizes:
            if key not in self._used:
                self._used[key] = _status_bytes(known[key])
        if any(self._used[key] + size > most for key, size in sizes.items()):
            return False
        for key, size in sizes.items():
            self._used[key] += size
        return True


def _room_bytes(request: LockId, amount: PrivacyBudget) -> int:
    """Return what a request takes in a block's status: a lock, and an entry of what is reserved or held."""
    return block_groups.ENTRY_BYTES + 2 * (len(str(request)) + block_groups.budget_bytes(amount))


def require_claim_fits(claim: PrivacyBudgetClaim, demands: Mapping[str, PrivacyBudget], *, needed: int) -> None:
    """Check that a claim can be written until it has paid: one that cannot would keep its places on blocks for ever.

    Args:
        claim: as it is, with all that its author wrote.
        demands: the demand on each candidate, by block id.
        needed: on how many of them it is granted.

    Raises:
        InvalidInput: it could not.
    """
    size = _added_bytes(demands, needed) + len(json.dumps(claims.to_wire(claim)))
    if size > MOST_CLAIM_BYTES:
        bound = f"the claim would take {size:,} bytes, more than {MOST_CLAIM_BYTES:,}"
        raise errors.InvalidInput(f"demand on {len(demands)} blocks: {bound}; claim fewer at once, and write less else")


def _added_bytes(demands: Mapping[str, PrivacyBudget], needed: int) -> int:
    """Return by how much a claim grows until it has paid, at most."""
    sizes = sorted((block_groups.entry_bytes(key, amount) for key, amount in demands.items()), reverse=True)
    names = sorted((_NAME_BYTES + len(key) for key in demands), reverse=True)
    entries = sorted((block_groups.entry_bytes("", amount) for amount in set(demands.values())), reverse=True)
    n_first = min(needed, len(sizes))

    def copies(n_copies: int, n_blocks: int, most_bytes: int) -> int:
        """Return the size of maps of this many blocks in one document."""
        if n_blocks <= bounds.MAP_ENTRIES and sum(sizes[:n_blocks]) <= most_bytes:
            return n_copies * sum(sizes[:n_blocks])
        return sum(names[:n_blocks]) + n_copies * sum(entries[:n_blocks])

    waiting = copies(_COPIES_WHILE_WAITING, len(sizes), block_groups.MOST_IN_STATUS)
    paid = copies(_COPIES_WHEN_PAID, n_first, block_groups.MOST_IN_STATUS)
    return max(waiting, paid + copies(1, n_first, block_groups.MOST_IN_REQUEST))


def _status_bytes(block: PrivateDataBlock) -> int:
    """Return the size of a block's status: exactly if it may be near the bound, else from above."""
    status = block.status
    if status is None:
        return 0
    n_entries = len(status.acquired) + len(status.reserved) + len(status.committed) + 2 * len(status.locks)
    at_most = n_entries * (_LONGEST_ENTRY_BYTES + _LONGEST_ORDER_BYTES * len(block.spec.initial_budget.values))
    return at_most if at_most < MOST_WAITING_BYTES // 2 else len(json.dumps(blocks.to_wire(block)["status"]))
