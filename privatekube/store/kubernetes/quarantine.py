"""Quarantine: objects that a controller cannot work on for now, and the objects that depend on them.

A claim is decided by all blocks that it requests, and settled on all blocks that it holds. Without one of them it would
get less than it requested, or pay less than it used. So a claim that depends on a quarantined block is obstructed: it
can only time out. A new block of the same dataset, or of some of the same days, is withheld from passes, because it may
hold the same data, unless the quarantined one never had a status: then nothing was granted on it. A block without a
status that a claim names is taken as one that lost it. So it is withheld while that claim cannot be read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from privatekube.resources import declared_data, matching
from privatekube.resources.block import DECIMAL, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.declared_data import END, START, DeclaredData
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.base import R, Resource

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class UnreadableBlock:
    """The facts that can be read of a block that as a whole cannot be read.

    Args:
        id: `namespace/name`.
        namespace: of the block.
        dataset: as it declares it.
        is_admitted: whether it has a status, and so a budget.
        days: the first and the last day that it declares; None if it declares none, or they cannot be read.
    """

    id: str
    namespace: str
    dataset: str
    is_admitted: bool
    days: tuple[Decimal, Decimal] | None = None

    @classmethod
    def from_document(cls, document: Json) -> UnreadableBlock:
        """Return the facts in a block's JSON."""
        name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
        spec = document.get("spec")
        spec = spec if isinstance(spec, dict) else {}
        is_admitted, days = bool(document.get("status")), _days(spec)
        return cls(f"{namespace}/{name}", namespace, str(spec.get("dataset", "")), is_admitted, days)

    @classmethod
    def of(cls, block: PrivateDataBlock) -> UnreadableBlock:
        """Return the facts of a block that can be read, but is quarantined."""
        days = DeclaredData.of(block).days
        return cls(block.id, block.meta.namespace, block.spec.dataset, block.status is not None, days)

    def may_have_data_of(self, block: PrivateDataBlock) -> bool:
        """Return whether the two may have a record in common, judged by dataset and days."""
        has_other_days = declared_data.are_disjoint(self.days, DeclaredData.of(block).days)
        return block.spec.dataset == self.dataset or not has_other_days

    def may_concern(self, claim: PrivacyBudgetClaim) -> bool:
        """Return whether a claim may depend on the block, judged by its known facts; see `matching.depends_on`."""
        if claim.has_budget_on(self.id):
            return True
        datasets = {request.dataset for request in claim.open_allocate_requests}
        return self.is_admitted and claim.meta.namespace == self.namespace and self.dataset in datasets


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
        unreadable_claims: Sequence[Json],
        claims: Sequence[PrivacyBudgetClaim],
    ) -> list[PrivateDataBlock]:
        """Return the blocks that a pass can work on.

        Args:
            blocks: all readable blocks, quarantined or not.
            unreadable: the blocks that cannot be read.
            unreadable_claims: the JSON of the claims that cannot be read.
            claims: all readable claims that are open.
        """
        usable, quarantined = self._split(blocks)
        statuses = [json.dumps(document.get("status", {})) for document in unreadable_claims]

        def is_named(block_id: str) -> bool:
            return any(f'"{block_id}"' in status for status in statuses)

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


def _days(spec: Json) -> tuple[Decimal, Decimal] | None:
    """Return the days in a block's spec, whatever else is wrong with it."""
    listed = spec.get("dimensions")
    pairs = [
        (item.get("attribute"), item.get("numericValue"))
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict)
    ]
    numbers = [
        [Decimal(text) for name, text in pairs if name == wanted and isinstance(text, str) and DECIMAL.fullmatch(text)]
        for wanted in (START, END)
    ]
    return (numbers[0][0], numbers[1][0]) if all(numbers) else None
