"""The seam between a client and whatever runs the passes of its control plane."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

from privatekube.client.claim_writer import Answers, ClaimWriter
from privatekube.reconcile import ledger_audit
from privatekube.resources.block import PrivateDataBlock


class Outcome(enum.StrEnum):
    """What `BudgetClient.settle` did.

    >>> from privatekube.client.client import BudgetClient
    >>> from privatekube.store.memory import MemoryStore
    >>> BudgetClient(MemoryStore()).settle("team/run-1") is Outcome.NO_CLAIM
    True
    """

    RELEASED = "released"
    CONSUMED = "consumed"
    NOTHING = "nothing to settle"
    NO_CLAIM = "there is no such claim"


class Passes(Answers, Protocol):
    """What runs the passes, and how a client has it act: `embedded.Embedded` itself, `cluster.Cluster` by waiting.

    Example::

        client = BudgetClient(store, Cluster(store))
        client.settle("team/run-1")  # Cluster.settle writes the claim's spec, and waits for the controller
    """

    @property
    def is_embedded(self) -> bool:
        """Whether the passes run in this process, so that a run is on this machine."""

    def owner_key(self) -> bytes:
        """Return the secret key of the data owner; see `StoreClient.owner_key`."""

    def admit(self, blocks: Sequence[PrivateDataBlock]) -> None:
        """Have new blocks get their first status."""

    def delete_block(self, block_id: str) -> None:
        """Have a block deleted after what was committed on its data is recorded; NotFound if it does not exist."""

    def set_policy(self, settings: Mapping[str, str]) -> None:
        """Change settings of the policy; InvalidInput if that is not possible."""

    def audit(self) -> ledger_audit.Audit:
        """Check the ledger; CorruptData if it does not add up."""

    def release(self, claims: ClaimWriter, claim_id: str) -> None:
        """Return all that a claim holds and withdraw what it waits for; see `BudgetClient.release`."""

    def settle(self, claims: ClaimWriter, claim_id: str) -> Outcome:
        """Release or consume what a claim holds; see `BudgetClient.settle`."""
