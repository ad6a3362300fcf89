"""PrivacyBudgetQuota: how much of each block of a dataset a team or a namespace may commit, or may without approval."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from privatekube import errors
from privatekube.privacy import renyi_filter
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.resources import bounds, meta
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requester import Requester

DEFAULT_DELTA = 1e-9
MOST_WEIGHT = 1000.0


class Period(enum.StrEnum):
    """For which time a quota is."""

    LIFETIME = "lifetime"
    MONTH = "month"

    @property
    def words(self) -> str:
        """The time of an amount of a block, in words."""
        return "for its lifetime" if self is Period.LIFETIME else "a month"


class Beyond(enum.StrEnum):
    """What happens to a claim that goes beyond a quota."""

    WAIT = "wait"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True)
class QuotaSpec:
    """What the data owner allows.

    Args:
        dataset: of the blocks; None for every dataset, as in a quota that cannot be read.
        team: whose claims it limits; None for all claims of the namespace together.
        share: the largest part of each block's initial budget, from 0 to 1; None where epsilon is given.
        epsilon: the largest epsilon on each block; None where share is given.
        delta: at which epsilon is meant on a block with a Renyi budget.
        period: for the block's lifetime, or for each month in UTC.
        weight: of the team where an ordering of requests weighs teams, see `scheduling.dpf`; None for 1.
        beyond: whether a claim beyond it waits until less counts, or may be granted once somebody else approves it.
    """

    dataset: str | None
    team: str | None = None
    share: float | None = None
    epsilon: float | None = None
    delta: float = DEFAULT_DELTA
    period: Period = Period.LIFETIME
    beyond: Beyond = Beyond.WAIT
    weight: float | None = None

    def __post_init__(self) -> None:
        bounds.require_text("dataset", self.dataset, bounds.NAME, least=1)
        Requester(team=self.team)
        if (self.share is None) == (self.epsilon is None):
            raise errors.InvalidInput("quota: give either share or epsilon")
        if self.share is not None and not 0 <= self.share <= 1:
            raise errors.invalid("share", self.share, "must be 0 to 1", "change it")
        if self.epsilon is not None and not (self.epsilon >= 0 and math.isfinite(self.epsilon)):
            raise errors.invalid("epsilon", self.epsilon, "must be finite and at least 0", "change it")
        if self.weight is not None and self.team is None:
            raise errors.InvalidInput("weight: is of a team; name the team")
        if self.weight is not None and not MOST_WEIGHT >= self.weight >= 1 / MOST_WEIGHT:
            raise errors.invalid("weight", self.weight, f"must be {1 / MOST_WEIGHT:g} to {MOST_WEIGHT:g}", "change it")
        if not 0 < self.delta < 1:
            raise errors.invalid("delta", self.delta, "must lie in (0, 1)", "change it")

    @property
    def allowance(self) -> str:
        """What it allows of each block, in words."""
        return f"epsilon {self.epsilon:.6g}" if self.share is None else f"{self.share:.6g} of the budget"

    def of(self, lifetime: PrivacyBudget) -> PrivacyBudget:
        """Return what it allows of a block with this initial budget.

        >>> QuotaSpec("reviews", share=0.5).of(EpsilonDelta(10.0, 1e-6))
        EpsilonDelta(epsilon=5.0, delta=5e-07)
        """
        if self.share is not None or self.epsilon is None:
            return lifetime * (self.share or 0.0)
        if isinstance(lifetime, EpsilonDelta):
            return EpsilonDelta(self.epsilon, lifetime.delta)
        try:
            return renyi_filter.capacity(EpsilonDelta(self.epsilon, self.delta), lifetime.orders)
        except errors.InvalidBudget:  # too small for every order
            return lifetime * 0.0


@dataclass(frozen=True, slots=True)
class PrivacyBudgetQuota:
    """A quota; it limits the claims of its namespace."""

    meta: meta.ObjectMeta
    spec: QuotaSpec
    fault: str | None = None
    """Why it cannot be read, or not be compared with the ledger: then nothing is granted that it may limit."""

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return self.meta.id

    def is_of(self, namespace: str, dataset: str) -> bool:
        """Return whether it is of a dataset in a namespace."""
        return self.meta.namespace == namespace and self.spec.dataset in (None, dataset)

    def limits(self, claim: PrivacyBudgetClaim, dataset: str) -> bool:
        """Return whether it limits what a claim gets of a dataset."""
        return self.is_of(claim.meta.namespace, dataset) and self.spec.team in (None, claim.requester.team)

    @property
    def is_threshold(self) -> bool:
        """Whether a claim beyond it may be granted once it is approved; not if the quota cannot be read."""
        return self.fault is None and self.spec.beyond is Beyond.APPROVAL

    def __str__(self) -> str:
        whose = "all claims" if self.spec.team is None else f"team {self.spec.team}"
        if self.fault is not None:
            return f"quota {self.id}: {self.fault}; nothing of it is granted"
        amount = f"{self.spec.allowance} of each block of {self.spec.dataset} {self.spec.period.words}"
        without = " without an approval" if self.is_threshold else ""
        return f"quota {self.id}: {whose} may have {amount}{without}"


def closed(identity: meta.ObjectMeta, fault: str) -> PrivacyBudgetQuota:
    """Return the quota that allows nothing in its namespace, in place of one that cannot be read."""
    return PrivacyBudgetQuota(identity, QuotaSpec(None, share=0.0), fault)
