"""Budgets of teams: what each quota allows, and what of it is committed or held; what teams without one committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privatekube.page.snapshot import Snapshot
from privatekube.page.views import spending
from privatekube.page.views.spending import Spender
from privatekube.resources.quota import PrivacyBudgetQuota


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """What of a quota is used.

    Args:
        name: of the quota, with its namespace.
        team: whose claims it limits; nothing where it limits all claims of the namespace.
        dataset: of the blocks; nothing where it is for every dataset.
        allows: how much of each block, and for which time, in words.
        fault: why it cannot be counted, so that nothing of it is granted; None if it can.
        most: the largest share of the quota that is committed or held on a block; None if it allows nothing anywhere.
        block: on which block that is.
        mean: the same as the mean of the blocks.
    """

    name: str
    team: str
    dataset: str
    allows: str
    fault: str | None
    most: float | None = None
    block: str | None = None
    mean: float | None = None


def quota_uses(snapshot: Snapshot) -> list[QuotaUse]:
    """Return what of each quota is used, by the rule by which requests are decided; the most used first."""
    uses = [_use(quota, snapshot.quota_shares[quota.id]) for quota in snapshot.quotas]
    return sorted(uses, key=lambda use: (-(use.most or 0.0), use.name))


def teams_without_quota(snapshot: Snapshot) -> list[Spender]:
    """Return what teams without a quota have committed: it counts only for quotas of the whole namespace."""
    teams = {quota.spec.team for quota in snapshot.quotas}
    return [spender for spender in spending.spenders(snapshot, spending.By.TEAM) if spender.name not in teams]


def _use(quota: PrivacyBudgetQuota, shares: Mapping[str, float]) -> QuotaUse:
    spec = quota.spec
    more = "; more with an approval" if quota.is_threshold else ""
    block = max(shares, key=lambda key: shares[key], default=None)
    return QuotaUse(
        name=quota.id,
        team=spec.team or "",
        dataset=spec.dataset or "",
        allows=f"{spec.allowance} of each block, {spec.period.words}{more}",
        fault=quota.fault,
        most=None if block is None else shares[block],
        block=block,
        mean=sum(shares.values()) / len(shares) if shares else None,
    )
