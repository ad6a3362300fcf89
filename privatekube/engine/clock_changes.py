"""Recorded times that are still to come: a clock was wrong, and has been set since.

Without this step, what began by a clock that said 2036 would neither time out nor be settled before 2036, and a block
that unlocked budget then would unlock none before.
"""

from __future__ import annotations

from dataclasses import replace

from privatekube.engine.draft import Draft
from privatekube.resources import transitions
from privatekube.resources.responses import AllocateResponse, Response

_TOLERANCE_MS = 60_000
"""By how much the clocks of processes that share a store may differ."""


def take_future_as_now(draft: Draft) -> None:
    """Replace each recorded time of a wait, a grant or a release that is still to come by the present.

    A block that will be created, by what it says, counts as released now: time begins to unlock its budget.
    """
    for block in list(draft.blocks.values()):
        if block.status is not None and _is_ahead(draft, block.status.last_release_ms or block.meta.creation_time_ms):
            with draft.isolated_block(block.id):
                status = replace(transitions.status_of(block), last_release_ms=draft.now_ms)
                draft.stage_block(replace(block, status=status))
    for claim in list(draft.open_claims.values()):
        if any(_has_ahead(draft, response) for response in claim.status.responses):
            with draft.isolated_claim(claim.id):
                responses = tuple(_corrected(draft, response) for response in claim.status.responses)
                draft.write_status(claim, replace(claim.status, responses=responses))


def _has_ahead(draft: Draft, response: Response) -> bool:
    detail = response.detail
    return isinstance(detail, AllocateResponse) and (
        _is_ahead(draft, detail.start_time_ms) or _is_ahead(draft, detail.finish_time_ms)
    )


def _corrected(draft: Draft, response: Response) -> Response:
    detail = response.detail
    if not isinstance(detail, AllocateResponse):
        return response
    start_ms, finish_ms = (
        draft.now_ms if _is_ahead(draft, time_ms) else time_ms
        for time_ms in (detail.start_time_ms, detail.finish_time_ms)
    )
    return replace(response, detail=replace(detail, start_time_ms=start_ms, finish_time_ms=finish_ms))


def _is_ahead(draft: Draft, time_ms: int | None) -> bool:
    return time_ms is not None and time_ms > draft.now_ms + _TOLERANCE_MS
