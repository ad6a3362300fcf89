"""What a controller leaves out for a while: objects that it cannot work on, and whatever hangs on such a block.

A claim is decided by all the blocks it asks for, and settled on all it holds: without one of them it would get less
than it asked for, or pay less than it used, for good. So it is left out as well. So is a new block of the same dataset:
it may be the same data once more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from privatekube.resources import matching
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.base import R, Resource

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What can be told of a block that cannot be read."""

    id: str
    namespace: str
    dataset: str
    is_admitted: bool

    @classmethod
    def of(cls, document: Json) -> Unreadable:
        """The block in that JSON."""
        name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
        dataset = str(document.get("spec", {}).get("dataset", ""))
        return cls(f"{namespace}/{name}", namespace, dataset, bool(document.get("status")))

    def holds_up(self, claim: PrivacyBudgetClaim) -> bool:
        """Whether a claim hangs on it, for all that can be told; see `matching.hangs_on`."""
        if claim.has_budget_on(self.id):
            return True
        datasets = {request.dataset for request in claim.open_allocate_requests}
        return self.is_admitted and claim.meta.namespace == self.namespace and self.dataset in datasets


@dataclass(frozen=True, slots=True)
class _Term:
    """Until when an object is left out, in seconds of the monotonic clock, and at which version."""

    until: float
    version: str


@dataclass
class Aside:
    """The objects that are left out, by kind and id."""

    _terms: dict[tuple[str, str], _Term] = field(default_factory=dict)

    def put(self, resource: Resource) -> None:
        """Leave it out until it changes, or some time has passed."""
        term = _Term(time.monotonic() + _SECONDS, resource.meta.resource_version)
        self._terms[kinds.kind(resource), resource.id] = term

    def blocks(self, found: Sequence[PrivateDataBlock], unreadable: Sequence[Unreadable]) -> list[PrivateDataBlock]:
        """Those of `found` that can be worked on, where there are `unreadable` ones besides."""
        usable, left_out = self._divided(found)
        datasets = {each.dataset for each in unreadable} | {block.spec.dataset for block in left_out}
        return [block for block in usable if block.status is not None or block.spec.dataset not in datasets]

    def claims(
        self,
        found: Sequence[PrivacyBudgetClaim],
        blocks: Sequence[PrivateDataBlock],
        unreadable: Sequence[Unreadable],
    ) -> list[PrivacyBudgetClaim]:
        """Those of `found` that can be worked on, where there are these `blocks`, left out or not."""
        usable, _ = self._divided(found)
        _, left_out = self._divided(blocks)
        return [
            claim
            for claim in usable
            if not any(matching.hangs_on(claim, block) for block in left_out)
            and not any(each.holds_up(claim) for each in unreadable)
        ]

    def _divided(self, found: Sequence[R]) -> tuple[list[R], list[R]]:
        """What can be worked on, and what is left out."""
        usable: list[R] = []
        left_out: list[R] = []
        for each in found:
            (left_out if self._terms and self._has(each) else usable).append(each)
        return usable, left_out

    def _has(self, resource: Resource) -> bool:
        key = (kinds.kind(resource), resource.id)
        term = self._terms.get(key)
        if term is None:
            return False
        if time.monotonic() < term.until and term.version == resource.meta.resource_version:
            return True
        self._terms.pop(key, None)
        return False
