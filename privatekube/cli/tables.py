"""One block or claim in full, as tables for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from privatekube.privacy.budget import PrivacyBudget, RenyiCurve
from privatekube.resources import transitions
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.meta import format_time
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import AllocateResponse, ConsumeResponse, ReleaseResponse, Response
from privatekube.simulation.replay import Replay
from privatekube.simulation.scenario import Scenario


def block(found: PrivateDataBlock) -> Iterator[Table]:
    """Identity and data of a block, where its budget is, and who holds or waits for how much."""
    yield _facts(
        ("block", found.id),
        ("dataset", found.spec.dataset),
        ("data", found.spec.data_source),
        ("digest", found.content_digest or "not stated"),
        *((each.attribute, each.numeric_value or each.string_value) for each in found.spec.dimensions),
        ("created", _time(found.meta.creation_time_ms)),
    )
    status = transitions.status_of(transitions.initialize_status(found))
    parts = [
        ("initial", found.spec.initial_budget),
        ("locked", status.pending),
        ("available", status.available),
        *((f"acquired by {claim}", amount) for claim, amount in status.acquired.items()),
        *((f"committed by {claim}", amount) for claim, amount in status.committed.items()),
        *((f"waited for by {claim}", amount) for claim, amount in status.reserved.items()),
    ]
    yield _budgets(parts)


def claim(found: PrivacyBudgetClaim) -> Iterator[Table]:
    """Identity of a claim, its requests with their answers, and what it holds on which block."""
    yield _facts(
        ("claim", found.id),
        ("data opened", "yes" if found.spec.data_opened else "no"),
        ("settled by", "its run" if found.spec.settle_after is None else _time(found.spec.settle_after.at_ms)),
        ("created", _time(found.meta.creation_time_ms)),
    )
    table = Table("request", "asks", "answer", "reason", box=None)
    for index, request in enumerate(found.spec.requests):
        answered = index < len(found.status.responses)
        response = found.status.responses[index] if answered else None
        state = "not yet" if response is None else str(response.state)
        table.add_row(str(index), type(request.action).__name__, state, _reason(request.action, response))
    yield table
    holdings = [
        *((f"waits for, on {key}", amount) for key, amount in found.status.reserved.items()),
        *((f"acquired on {key}", amount) for key, amount in found.status.acquired.items()),
        *((f"committed on {key}", amount) for key, amount in found.status.committed.items()),
    ]
    if holdings:
        yield _budgets(holdings)


def replay(scenario: Scenario, played: Replay, policy: Mapping[str, str]) -> Iterator[Table]:
    """How many claims of a scenario were granted, which and when, and what that took of each block."""
    yield _facts(
        ("scenario", scenario.name),
        *policy.items(),
        ("granted", f"{len(played.granted)} of {len(scenario.claims)} claims"),
        ("seconds spent deciding", f"{played.wall_seconds:.3f}"),
    )
    table = Table("block", "used", "unlocked", box=None)
    for block, used, unlocked in zip(scenario.blocks, played.used_share, played.unlocked_share, strict=True):
        table.add_row(str(block.id), f"{used:.1%}", f"{unlocked:.1%}")
    yield table
    table = Table("granted claim", "at second", box=None)
    for claim, seconds in zip(played.granted, played.grant_seconds, strict=True):
        table.add_row(str(claim), f"{seconds:.6g}")
    yield table


def _facts(*rows: tuple[str, object]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def _budgets(parts: list[tuple[str, PrivacyBudget]]) -> Table:
    first = parts[0][1]
    names = [f"order {a:g}" for a in first.orders] if isinstance(first, RenyiCurve) else ["epsilon", "delta"]
    table = Table("budget", *names, box=None)
    for name, amount in parts:
        table.add_row(name, *("-" if value is None else f"{value:.6g}" for value in _values(amount, first)))
    return table


def _values(amount: PrivacyBudget, like: PrivacyBudget) -> list[float | None]:
    """The components of `amount`, one for each of those of `like`."""
    return [amount.at(order) for order in like.orders] if isinstance(amount, RenyiCurve) else list(amount.values)


def _reason(action: Any, response: Response | None) -> str:
    if response is None:
        return ""
    if response.error:
        return response.error
    if isinstance(response.detail, ConsumeResponse | ReleaseResponse):
        return "; ".join(f"{key}: {each.error}" for key, each in response.detail.blocks.items() if each.error)
    if isinstance(action, AllocateRequest) and isinstance(response.detail, AllocateResponse):
        return f"{len(response.detail.budgets)} blocks"
    return ""


def _time(unix_ms: int | None) -> str:
    return "not yet" if unix_ms is None else format_time(unix_ms)
