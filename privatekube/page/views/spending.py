"""Who spent what: the ledger's entries, added up by claim, user, team, purpose, namespace, dataset or month."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from privatekube.page.snapshot import Snapshot
from privatekube.page.views import wording
from privatekube.resources.ledger import Entry
from privatekube.resources.ledger_totals import Group


class By(enum.StrEnum):
    """What is added up together."""

    CLAIM = "claim"
    USER = "user"
    TEAM = "team"
    PURPOSE = "purpose"
    NAMESPACE = "namespace"
    DATASET = "dataset"
    MONTH = "month"


_KEYS: dict[By, Callable[[Entry], str]] = {
    By.CLAIM: lambda entry: entry.claim,
    By.USER: Group.USER.key,
    By.TEAM: Group.TEAM.key,
    By.PURPOSE: Group.PURPOSE.key,
    By.NAMESPACE: lambda entry: entry.claim.partition("/")[0],
    By.DATASET: lambda entry: entry.dataset,
    By.MONTH: Group.MONTH.key,
}


@dataclass(frozen=True, slots=True)
class Spender:
    """What one claim, user, team and so on committed.

    Args:
        name: of the claim, user, team and so on; `not stated` where a claim does not say.
        lifetimes: the shares of blocks' lifetimes together: 1 is the whole budget of one block.
        n_blocks: the number of blocks on which it was committed.
        n_claims: the number of claims that committed it.
        last_ms: when it was committed last, in unix milliseconds.
        claim_exists: whether `name` is a claim that exists.
        who: who requested it, for which team, as its latest entry says; empty where that is not stated.
    """

    name: str
    lifetimes: float
    n_blocks: int
    n_claims: int
    last_ms: int
    claim_exists: bool = False
    who: str = ""

    @property
    def last(self) -> str:
        """When it was committed last, in words."""
        return wording.moment(self.last_ms)


def spenders(snapshot: Snapshot, by: By, entries: Iterable[Entry] | None = None) -> list[Spender]:
    """Return who spent how much of these entries, or of the whole ledger; the largest spender first.

    What data inherited from earlier blocks is left out: it was spent there.
    """
    groups: dict[str, list[Entry]] = {}
    for entry in snapshot.amounts if entries is None else entries:
        if "/" in entry.claim:
            groups.setdefault(_KEYS[by](entry), []).append(entry)
    rows = [_spender(snapshot, by, name, group) for name, group in groups.items()]
    return sorted(rows, key=lambda spender: (-spender.lifetimes, spender.name))


def _spender(snapshot: Snapshot, by: By, name: str, entries: list[Entry]) -> Spender:
    return Spender(
        name=name,
        lifetimes=sum(snapshot.shares[entry.sequence] for entry in entries),
        n_blocks=len({entry.block for entry in entries}),
        n_claims=len({entry.claim for entry in entries}),
        last_ms=max(entry.time_ms for entry in entries),
        claim_exists=by is By.CLAIM and name in snapshot.claims,
        who=wording.who(max(entries, key=lambda entry: entry.sequence).requester) if by is By.CLAIM else "",
    )
