"""The list of claims, and one claim in full: its state and why it waits, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from privatekube.page.snapshot import Snapshot
from privatekube.page.views import wording
from privatekube.privacy import budget_text, event_text
from privatekube.resources import details, shortages, summary
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.shortages import Shortage
from privatekube.resources.summary import ClaimState
from privatekube.resources.transitions import status_of

MOST_AMOUNTS = 200
"""How many blocks of a claim are listed one by one."""


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim in the list.

    Args:
        who: requests it, and for which team.
        position: its place in the order of the policy; None if it does not wait.
        reason: why it waits or was refused, in words.
        created: when, in words.
    """

    id: str
    who: str
    state: ClaimState
    demand: str
    n_blocks: int
    position: int | None
    reason: str
    created: str


@dataclass(frozen=True, slots=True)
class Release:
    """What a step released under a claim: the noise in words, and the digests of its files."""

    step: str
    noise: str
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim.

    Args:
        row: as in the list.
        facts: what it is.
        requests: each with its answer: number, action in a word, answer, reason.
        header: of the amounts.
        amounts: what it waits for, holds and has committed, at the best order in Renyi accounting.
        n_hidden: how many amounts are not listed.
        releases: what was released under it.
        has_statement: whether the control plane signed a privacy card about it.
        can_be_explained: whether it asked for budget that it did not get, so that there is a forecast.
    """

    row: ClaimRow
    facts: tuple[tuple[str, object], ...]
    requests: tuple[tuple[str, ...], ...]
    header: tuple[str, ...]
    amounts: tuple[tuple[str, ...], ...]
    n_hidden: int
    releases: tuple[Release, ...]
    has_statement: bool
    can_be_explained: bool


def rows(snapshot: Snapshot, *, search: str = "", state: str = "") -> list[PrivacyBudgetClaim]:
    """Return the claims whose id, user or team contains a text, in a state; first those that wait, then the newest."""
    wanted = search.casefold()
    claims = [
        claim
        for claim in snapshot.claims.values()
        if wanted in f"{claim.id} {wording.who(claim.requester)}".casefold() and state in ("", summary.state(claim))
    ]
    last = len(snapshot.claims) + 1
    newest_first = reversed(claims)
    return sorted(newest_first, key=lambda claim: snapshot.positions.get(claim.id, last))


def waiting(snapshot: Snapshot) -> list[PrivacyBudgetClaim]:
    """Return the claims that wait: those for budget in the order of the policy, then those for an approval."""
    states = [(claim, summary.state(claim)) for claim in reversed(list(snapshot.claims.values()))]
    last, rank = len(states) + 1, (summary.ClaimState.WAITING, summary.ClaimState.AWAITS_APPROVAL)
    ranked = [(rank.index(state), claim) for claim, state in states if state in rank]
    ranked.sort(key=lambda item: (item[0], snapshot.positions.get(item[1].id, last)))
    return [claim for _, claim in ranked]


def row(snapshot: Snapshot, claim: PrivacyBudgetClaim) -> ClaimRow:
    """Return a claim as a row of the list."""
    held = {**claim.status.reserved, **claim.status.acquired, **claim.status.committed}
    return ClaimRow(
        id=claim.id,
        who=wording.who(claim.requester),
        state=summary.state(claim),
        demand=summary.demand(claim),
        n_blocks=len(held),
        position=snapshot.positions.get(claim.id),
        reason=_reason(snapshot, claim),
        created=wording.moment(claim.meta.creation_time_ms),
    )


def claim(snapshot: Snapshot, claim_id: str) -> Claim | None:
    """Return a claim in full; None if it does not exist."""
    stored = snapshot.claims.get(claim_id)
    if stored is None:
        return None
    amounts = details.claim_amounts(stored)
    header, lines = budget_text.columns(amounts[:MOST_AMOUNTS], left=amounts[0][1]) if amounts else ((), [])
    shown = row(snapshot, stored)
    return Claim(
        row=shown,
        facts=tuple(details.claim_facts(stored)),
        requests=tuple(_requests(stored)),
        header=header,
        amounts=tuple(lines),
        n_hidden=max(0, len(amounts) - MOST_AMOUNTS),
        releases=tuple(_releases(stored)),
        has_statement=stored.status.statement is not None,
        can_be_explained=shown.state in (ClaimState.WAITING, ClaimState.AWAITS_APPROVAL, ClaimState.FAILURE),
    )


def _requests(claim: PrivacyBudgetClaim) -> Iterator[tuple[str, str, str, str]]:
    for number, action, answer, reason in details.claim_requests(claim):
        yield number, action.removesuffix("Request").lower(), answer, reason


def _releases(claim: PrivacyBudgetClaim) -> Iterator[Release]:
    for step, release in claim.releases.items():
        noise = "no noise was drawn" if release.event is None else event_text.readable(release.event)
        yield Release(step, noise, release.outputs)


def _reason(snapshot: Snapshot, claim: PrivacyBudgetClaim) -> str:
    """Say why a claim waits or was refused: the first block that lacks budget, and what it lacks."""
    if claim.awaits_approval:
        return "waits for an approval by somebody else"
    if claim.is_waiting and claim.status.reserved:
        shortage = _first_shortage(snapshot, claim)
        return "its blocks have room for it; it waits for its turn" if shortage is None else f"waits: {shortage}"
    responses = claim.status.responses
    return str(responses[-1].refusal or "") if responses else "the control plane has not seen it yet"


def _first_shortage(snapshot: Snapshot, claim: PrivacyBudgetClaim) -> Shortage | None:
    for name, demand in claim.status.reserved.items():
        block = snapshot.blocks.get(name)
        if block is not None and not status_of(block).available.admits(demand, capacity=block.spec.initial_budget):
            return next(shortages.shortages([block], {name: demand}), None)
    return None
