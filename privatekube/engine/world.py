"""What a pass depends on, read once: everything that it decides follows from this and the policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.data_identity import DataIdentity
from privatekube.resources.ledger import Entry
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
        entries: the entries of the ledger by id of the claim, for each claim that awaits a statement.
    """

    private_key: bytes = field(repr=False)
    entries: Mapping[str, Sequence[Entry]]


@dataclass(frozen=True, slots=True)
class World:
    """The state of a store at one time.

    Args:
        now_ms: the time in unix milliseconds.
        blocks: by id, in order of creation.
        open_claims: the claims that a pass has to look at, by id, in order of creation; see `claim.is_open`.
        closed_claims: the other claims that a lock or a reservation names, by id, those that exist and can be read.
        unreadable_claims: ids of claims that a lock or a reservation names and that cannot be read.
        records: of earlier data; empty if every block has a status.
        signing: None if no claim awaits a statement.
    """

    now_ms: int
    blocks: Mapping[str, PrivateDataBlock]
    open_claims: Mapping[str, PrivacyBudgetClaim]
    closed_claims: Mapping[str, PrivacyBudgetClaim] = field(default_factory=lambda: MappingProxyType({}))
    unreadable_claims: frozenset[str] = frozenset()
    records: Records = Records()
    signing: Signing | None = None
