"""A Workload of Kueue: the few facts that decide whether its claim admits it (kueue.x-k8s.io/v1beta2)."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from privatekube.resources import meta
from privatekube.resources.wire.common import Json

CLAIM = "privacy.columbia.github.com/claim"
"""Annotation of a pod template: the name of the claim, in the same namespace, that the pods run under."""


class State(enum.StrEnum):
    """The states of an admission check."""

    PENDING = "Pending"
    READY = "Ready"
    RETRY = "Retry"
    REJECTED = "Rejected"


@dataclass(frozen=True, slots=True)
class Check:
    """What a workload says of one admission check; a state that is not known here is left to others."""

    state: State | str
    message: str


@dataclass(frozen=True, slots=True)
class Workload:
    """The facts of a Workload.

    Args:
        name: of the workload.
        namespace: of the workload, and of its claim.
        uid: of this creation of it.
        version: of the object that these facts are from.
        claims: the names of claims that its pod templates state.
        reserved_ms: since when it has reserved quota, unix milliseconds; None if it has none.
        is_admitted: whether its pods may run.
        is_evicted: whether it was evicted, and has reserved no quota since.
        is_over: whether it finished, was deactivated, or is being deleted.
        checks: its admission checks, by name.
    """

    name: str
    namespace: str
    uid: str
    version: str
    claims: frozenset[str]
    reserved_ms: int | None
    is_admitted: bool
    is_evicted: bool
    is_over: bool
    checks: Mapping[str, Check]

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @classmethod
    def from_document(cls, document: Json) -> Workload:
        """Return the facts of a Workload in the API server's JSON."""
        metadata, spec, status = document["metadata"], document.get("spec", {}), document.get("status", {})
        since_ms = dict(true_conditions(status))
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            version=metadata["resourceVersion"],
            claims=frozenset(_claims(spec)),
            reserved_ms=since_ms.get("QuotaReserved"),
            is_admitted="Admitted" in since_ms,
            is_evicted="Evicted" in since_ms,
            is_over="Finished" in since_ms or not spec.get("active", True) or "deletionTimestamp" in metadata,
            checks={
                check["name"]: Check(check["state"], check.get("message", ""))
                for check in status.get("admissionChecks", ())
            },
        )

    def awaits(self, check: str) -> bool:
        """Return whether the state of an admission check is to be decided: quota is reserved, and nothing runs yet."""
        is_candidate = self.reserved_ms is not None and not (self.is_admitted or self.is_evicted or self.is_over)
        return is_candidate and check in self.checks and self.checks[check].state in {State.PENDING, State.READY}


def true_conditions(status: Json) -> Iterator[tuple[str, int]]:
    """Yield the type of each condition in a status that is true, and since when, in unix milliseconds."""
    for condition in status.get("conditions", ()):
        if condition["status"] == "True":
            path = f"status.conditions.{condition['type']}.lastTransitionTime"
            yield condition["type"], meta.parse_time(condition["lastTransitionTime"], path)


def _claims(spec: Json) -> Iterator[str]:
    for pod_set in spec.get("podSets", ()):
        name = pod_set["template"].get("metadata", {}).get("annotations", {}).get(CLAIM)
        if name is not None:
            yield name
