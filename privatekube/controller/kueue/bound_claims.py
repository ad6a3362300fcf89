"""Which workload uses a claim: two annotations of the claim, so that it is known after any restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from privatekube.controller.kueue.workload import Workload
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.wire.common import Json
from privatekube.store import kinds
from privatekube.store.kubernetes import documents
from privatekube.store.unreadable import Unreadable

WORKLOAD, WORKLOAD_UID = "kueue.columbia.github.com/workload", "kueue.columbia.github.com/workload-uid"
"""Annotations of a claim: the name and the uid of the workload that uses it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The workload that uses a claim."""

    namespace: str
    name: str
    uid: str

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class BoundClaim:
    """An open claim that a workload uses."""

    id: str
    holder: Holder


def holder_of(claim: PrivacyBudgetClaim) -> Holder | None:
    """Return the workload that uses a claim; None where none does."""
    annotations: Mapping[str, str] = claim.meta.annotations
    if WORKLOAD not in annotations or WORKLOAD_UID not in annotations:
        return None
    return Holder(claim.meta.namespace, annotations[WORKLOAD], annotations[WORKLOAD_UID])


def bound(claim: PrivacyBudgetClaim, workload: Workload) -> PrivacyBudgetClaim:
    """Return the claim as used by a workload of its namespace."""
    annotations = {**claim.meta.annotations, WORKLOAD: workload.name, WORKLOAD_UID: workload.uid}
    return replace(claim, meta=replace(claim.meta, annotations=annotations))


def of_document(document: Json) -> BoundClaim | None:
    """Return a claim in the API server's JSON; None if it is not open, used by no workload, or cannot be read."""
    claim = documents.read(kinds.CLAIM, document)
    if isinstance(claim, Unreadable) or not claim.is_open:
        return None
    holder = holder_of(claim)
    return None if holder is None else BoundClaim(claim.id, holder)
