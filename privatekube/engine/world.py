"""What a pass depends on, read once: everything that it decides follows from this and the policy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from privatekube import errors
from privatekube.errors import ResourceKind
from privatekube.resources import matching
from privatekube.resources.approval import PrivacyBudgetApproval
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.ledger import Entry
from privatekube.resources.quota import PrivacyBudgetQuota
from privatekube.resources.retired_data import RetiredData


@dataclass(frozen=True, slots=True)
class Records:
    """What was committed on data before; a pass needs it to admit new blocks.

    Args:
        retired: the records of deleted data.
        identities: of the data of blocks and records, by id, those that exist and can be read.
        entries: the whole ledger; not needed if no new block is admissible.
        claims: all claims; not needed if no new block is admissible.
    """

    retired: Sequence[RetiredData] = ()
    identities: Mapping[str, DataIdentity] = field(default_factory=lambda: MappingProxyType({}))
    entries: Sequence[Entry] = ()
    claims: Sequence[PrivacyBudgetClaim] = ()


@dataclass(frozen=True, slots=True)
class Signing:
    """What a pass needs to sign statements about privacy cards.

    Args:
        private_key: of the control plane.
        entries: the entries of the ledger by id of the claim, for each claim whose statement may be signed.
        refused: why no statement is signed for the other claims that await one, by id: an entry that cannot be read is
            theirs, or may be.
    """

    private_key: bytes = field(repr=False)
    entries: Mapping[str, Sequence[Entry]]
    refused: Mapping[str, errors.CorruptData] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class World:
    """The state of a store at one time.

    Args:
        now_ms: the time in unix milliseconds.
        blocks: by id, in order of creation.
        open_claims: the claims that a pass has to look at, by id, in order of creation; see `claim.is_open`.
        closed_claims: the other claims that a lock or a reservation names, by id, those that exist and can be read.
        obstructed_claims: open claims that depend on a block which is set aside, by id: they can only time out.
        set_aside_claims: ids of claims that are left unchanged, because they cannot be read, decided or written.
        set_aside_blocks: blocks that are left unchanged, by id, because they cannot be decided or written.
        records: of earlier data; empty if every block has a status.
        signing: None if no claim awaits a statement.
        sealing_secret: from which the keys of claims are derived; None if no claim can be granted budget or awaits its
            key.
        unanswerable: claims whose answer the store has refused, by id, and why.
        unanswered: claims that are set aside because the store refused their answers, by id; no answer that is still on
            its way can be written.
        quotas: of teams and namespaces; empty if no claim waits for budget.
        charges: what the ledger says was committed; empty without quotas.
        approvals: what was decided about claims; empty if no quota is a threshold beyond which approval is necessary.
    """

    now_ms: int
    blocks: Mapping[str, PrivateDataBlock]
    open_claims: Mapping[str, PrivacyBudgetClaim]
    closed_claims: Mapping[str, PrivacyBudgetClaim] = field(default_factory=lambda: MappingProxyType({}))
    obstructed_claims: Mapping[str, PrivacyBudgetClaim] = field(default_factory=lambda: MappingProxyType({}))
    set_aside_claims: frozenset[str] = frozenset()
    set_aside_blocks: Mapping[str, PrivateDataBlock] = field(default_factory=lambda: MappingProxyType({}))
    records: Records = Records()
    signing: Signing | None = None
    sealing_secret: bytes | None = field(default=None, repr=False)
    unanswerable: Mapping[str, Exception] = field(default_factory=lambda: MappingProxyType({}))
    unanswered: Mapping[str, PrivacyBudgetClaim] = field(default_factory=lambda: MappingProxyType({}))
    quotas: Sequence[PrivacyBudgetQuota] = ()
    charges: Sequence[Entry] = ()
    approvals: Sequence[PrivacyBudgetApproval] = ()

    def without(self, names: Collection[errors.ResourceName]) -> World:
        """Return the world with these objects set aside, and with the claims that depend on the blocks obstructed."""
        if not names:
            return self
        ids = {kind: {name.id for name in names if name.kind == kind} for kind in ResourceKind}
        blocks = {key: block for key, block in self.blocks.items() if key in ids[ResourceKind.BLOCK]}
        claims = {key: claim for key, claim in self.open_claims.items() if key not in ids[ResourceKind.CLAIM]}
        obstructed = {
            key: claim
            for key, claim in claims.items()
            if any(matching.depends_on(claim, block) for block in blocks.values())
        }
        known = {**self.obstructed_claims, **obstructed}
        return replace(
            self,
            blocks={key: block for key, block in self.blocks.items() if key not in blocks},
            open_claims={key: claim for key, claim in claims.items() if key not in obstructed},
            obstructed_claims={key: claim for key, claim in known.items() if key not in ids[ResourceKind.CLAIM]},
            set_aside_claims=self.set_aside_claims | ids[ResourceKind.CLAIM],
            set_aside_blocks={**self.set_aside_blocks, **blocks},
        )
