"""The answers of the control plane: the entries of status.responses."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources.approval_record import ApprovalRecord
from privatekube.resources.refusals import Refusal


class ResponseState(enum.StrEnum):
    """State of the answer to one request."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Allocation:
    """The part of an allocate request on one block: acquired when granted, reserved while it waits."""

    acquired: PrivacyBudget | None = None
    reserved: PrivacyBudget | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """The amount that a consume or release request moved on one block, or the reason why it moved none."""

    budget: PrivacyBudget | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class AllocateResponse:
    """Answer to an allocate request, by block id; times in unix milliseconds.

    `awaits_approval` is the digest of the demand while it waits for an approval, and `approval` who approved it.
    """

    budgets: Mapping[str, Allocation] = field(default_factory=lambda: MappingProxyType({}))
    start_time_ms: int | None = None
    finish_time_ms: int | None = None
    awaits_approval: str | None = None
    approval: ApprovalRecord | None = None


@dataclass(frozen=True, slots=True)
class ConsumeResponse:
    """Answer to a consume request, by block id."""

    blocks: Mapping[str, Settlement] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """Answer to a release request, by block id."""

    blocks: Mapping[str, Settlement] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class RegisterResponse:
    """Answer to a register request: the step that it was about."""

    step: str


Detail = AllocateResponse | ConsumeResponse | ReleaseResponse | RegisterResponse
"""What an answer says beyond its state."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to the request of the same index."""

    identifier: str
    state: ResponseState
    refusal: Refusal | None = None
    detail: Detail | None = None


def covers(response: Response, block_id: str) -> bool:
    """Return whether an answer moved budget on a block."""
    match response.detail:
        case AllocateResponse(budgets=budgets):
            return block_id in budgets
        case ConsumeResponse(blocks=blocks) | ReleaseResponse(blocks=blocks):
            return block_id in blocks and blocks[block_id].budget is not None
        case RegisterResponse() | None:
            return False
