"""Builders of resources for tests."""

from __future__ import annotations

from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources.approval import ApprovalSpec, Decision, PrivacyBudgetApproval
from privatekube.resources.approval_record import ApprovalRecord
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.claim import ClaimSpec, PrivacyBudgetClaim
from privatekube.resources.decision_entry import DecisionEntry
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from privatekube.resources.request_id import RequestId
from privatekube.resources.requester import Requester
from privatekube.resources.requests import AllocateRequest, BudgetDemand, RegisterRequest, Request

NAMESPACE = "ns"


def block(
    name: str = "b",
    budget: PrivacyBudget | None = None,
    *,
    dataset: str = "d",
    digest: str | None = None,
    day: int | None = None,
    bucket: int = 0,
    buckets: int = 1,
) -> PrivateDataBlock:
    """Return a block; with `day`, it has dimensions for its days and user bucket."""
    dimensions: tuple[Dimension, ...] = ()
    if day is not None:
        numbers = {"startTime": day, "endTime": day, "userBucket": bucket, "userBuckets": buckets}
        dimensions = tuple(Dimension(key, numeric_value=str(value)) for key, value in numbers.items())
    annotations = {} if digest is None else {CONTENT_DIGEST: digest}
    return PrivateDataBlock(
        ObjectMeta(name, NAMESPACE, annotations=annotations),
        BlockSpec(budget or EpsilonDelta(1.0, 1e-7), dataset, f"file:///{name}", dimensions),
    )


def release(step: str = "dp_train", output: str = "1", event: str | None = "noise") -> RegisterRequest:
    """Return the registration of a step whose output has a digest of the hexadecimal digit `output`."""
    return RegisterRequest(step, (f"sha256:{output * 64}",), event=event)


def allocate(
    epsilon: float = 0.1,
    delta: float = 0.0,
    *,
    demand: PrivacyBudget | None = None,
    blocks: int | None = None,
    timeout_ms: int | None = None,
    dataset: str = "d",
) -> AllocateRequest:
    """Return a request for the same budget on `blocks` blocks of a dataset, or on all of them."""
    return AllocateRequest(
        dataset=dataset,
        expected_budget=BudgetDemand(constant=demand or EpsilonDelta(epsilon, delta)),
        min_blocks=blocks,
        max_blocks=blocks,
        timeout_ms=timeout_ms,
    )


def approval(claim_name: str = "c", *, approver: str) -> PrivacyBudgetApproval:
    """Return what `approver` decided about a claim of ann that is gone."""
    spec = ApprovalSpec(claim_name, "uid", 0, f"sha256:{'1' * 64}", "ann", approver, Decision.APPROVED)
    return PrivacyBudgetApproval(ObjectMeta(f"{claim_name}-1", NAMESPACE), spec)


def rejection(claim_id: str) -> DecisionEntry:
    """Return the ledger's entry of a rejection by bob, before it is entered."""
    return DecisionEntry(
        identity=f"uid/decision/0/rejected/bob/{claim_id}",
        time_ms=5,
        dataset="d",
        claim=claim_id,
        claim_uid="uid",
        request=RequestId(claim_id, 0),
        demand=f"sha256:{0:064x}",
        decision=Decision.REJECTED,
        record=ApprovalRecord("bob", 4, "too much"),
        requester=Requester("ann", "ads", "clicks"),
    )


def claim(name: str = "c", *actions: AllocateRequest) -> PrivacyBudgetClaim:
    """Return a claim with these requests, or with one for epsilon 0.1."""
    requests = tuple(Request(str(index), action) for index, action in enumerate(actions or (allocate(),)))
    return PrivacyBudgetClaim(ObjectMeta(name, NAMESPACE), ClaimSpec(requests))


def curve(*epsilons: float) -> RenyiCurve:
    """Return a Renyi curve at the orders 2, 3, 4, ..."""
    return RenyiCurve(tuple(range(2, 2 + len(epsilons))), epsilons)
