"""Quarantine: objects that a pass cannot work on for now, and the objects that depend on them.

A claim is decided by all blocks that it requests, and settled on all blocks that it holds. Without one of them it would
get less than it requested, or pay less than it used. So a claim that depends on a quarantined block is obstructed: it
can only time out. A new block of the same dataset, or of some of the same days, is withheld from passes, because it may
hold the same data, unless the quarantined one never had a status: then nothing was granted on it. A block without a
status that a claim names is taken as one that lost it. So it is withheld while that claim cannot be read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from privatekube.resources import matching
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.store import kinds
from privatekube.store.base import R, Resource
from privatekube.store.unreadable import UnreadableBlock, UnreadableClaim

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Term:
    """How long an object is quarantined: until a time of the monotonic clock, or until its version changes."""

    until_seconds: float
    version: str


@dataclass
class Quarantine:
    """The quarantined objects, by kind and id."""

    _terms: dict[tuple[str, str], _Term] = field(default_factory=dict)

    def add(self, resource: Resource) -> None:
        """Quarantine an object until it changes or 30 seconds have passed."""
        self._terms[kinds.name_of(resource)] = _Term(time.monotonic() + _SECONDS, resource.meta.resource_version)

    def usable_blocks(
        self,
        blocks: Sequence[PrivateDataBlock],
        unreadable: Sequence[UnreadableBlock],
        unreadable_claims: Sequence[UnreadableClaim],
        claims: Sequence[PrivacyBudgetClaim],
    ) -> list[PrivateDataBlock]:
        """Return the blocks that a pass can work on.

        Args:
            blocks: all readable blocks, quarantined or not.
            unreadable: the blocks that cannot be read.
            unreadable_claims: the claims that cannot be read.
            claims: all readable claims that are open.
        """
        usable, quarantined = self._split(blocks)

        def is_named(block_id: str) -> bool:
            return any(claim.may_have_budget_on(block_id) for claim in unreadable_claims)

        def was_admitted(other: UnreadableBlock) -> bool:
            return other.is_admitted or is_named(other.id) or any(claim.has_budget_on(other.id) for claim in claims)

        set_aside = [other for other in (*unreadable, *map(UnreadableBlock.of, quarantined)) if was_admitted(other)]

        def must_wait(block: PrivateDataBlock) -> bool:
            return is_named(block.id) or any(other.may_have_data_of(block) for other in set_aside)

        return [block for block in usable if block.status is not None or not must_wait(block)]

    def split_claims(
        self,
        claims: Sequence[PrivacyBudgetClaim],
        blocks: Sequence[PrivateDataBlock],
        unreadable: Sequence[UnreadableBlock],
    ) -> tuple[list[PrivacyBudgetClaim], list[PrivacyBudgetClaim]]:
        """Return the claims that a pass can work on, and those that depend on a block which it cannot work on.

        Quarantined claims are in neither.

        Args:
            claims: all readable claims.
            blocks: all readable blocks, quarantined or not.
            unreadable: the blocks that cannot be read.
        """
        _, quarantined = self._split(blocks)
        usable: list[PrivacyBudgetClaim] = []
        obstructed: list[PrivacyBudgetClaim] = []
        for claim in self._split(claims)[0]:
            is_obstructed = any(matching.depends_on(claim, block) for block in quarantined) or any(
                block.may_concern(claim) for block in unreadable
            )
            (obstructed if is_obstructed else usable).append(claim)
        return usable, obstructed

    def _split(self, resources: Sequence[R]) -> tuple[list[R], list[R]]:
        """Return the usable and the quarantined ones."""
        usable: list[R] = []
        quarantined: list[R] = []
        for resource in resources:
            (quarantined if self._terms and self._contains(resource) else usable).append(resource)
        return usable, quarantined

    def _contains(self, resource: Resource) -> bool:
        term = self._terms.get(kinds.name_of(resource))
        if term is None:
            return False
        if time.monotonic() < term.until_seconds and term.version == resource.meta.resource_version:
            return True
        self._terms.pop(kinds.name_of(resource), None)
        return False
