"""The terms of a run: what it claims, of which blocks, and how long it may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pydantic

from privatekube import errors, plain_text, validation
from privatekube.client import plan_file
from privatekube.privacy.plan import Plan
from privatekube.resources import deadlines
from privatekube.resources.deadlines import Deadline
from privatekube.resources.requester import Requester
from privatekube.runs import run_arguments


class Terms(pydantic.BaseModel):
    """What `RunClient.claim` was given, checked.

    Args:
        dataset: of the blocks.
        epsilon: what the run may cost.
        delta: likewise; 0 where only pure mechanisms run, and without a plan.
        blocks: how many blocks: a number as text, or `all` that match.
        namespace: of the blocks and of the claim.
        conditions: further conditions on the dimensions of the blocks.
        timeout_seconds: how long to wait for the budget.
        settle_after_seconds: how long after the last progress of the run the control plane settles its claim.
        team: whom the budget is for.
        purpose: what the results are for.
        deadline: when they become useless, an RFC 3339 time.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    dataset: validation.Name
    epsilon: validation.Epsilon
    delta: validation.ClaimedDelta
    blocks: validation.BlockCount
    namespace: validation.Name
    conditions: validation.Conditions
    timeout_seconds: validation.Seconds
    settle_after_seconds: validation.Seconds
    team: validation.Team = plain_text.NOT_STATED
    purpose: validation.PlainLine = plain_text.NOT_STATED
    deadline: Deadline = plain_text.NOT_STATED

    @pydantic.model_validator(mode="after")
    def _require_settling_after_waiting(self) -> Self:
        run_arguments.require_settling_after_waiting(self.settle_after_seconds, timeout_seconds=self.timeout_seconds)
        return self

    @property
    def requester(self) -> Requester:
        """For which team the run is, and why."""
        return Requester(team=plain_text.stated(self.team), purpose=plain_text.stated(self.purpose))

    @property
    def deadline_ms(self) -> int | None:
        """When the results become useless, in unix milliseconds; None for never."""
        return deadlines.stated(self.deadline)

    @classmethod
    def of(cls, **given: Any) -> Terms:
        """Return the terms that were given.

        Raises:
            InvalidInput: one has another type or is out of bounds; the message has the first.

        >>> try:
        ...     Terms.of(dataset="reviews", epsilon="x")
        ... except errors.InvalidInput as error:
        ...     print(error)
        epsilon: 'x' must be a valid number; change it
        """
        try:
            return cls.model_validate(given)
        except pydantic.ValidationError as error:
            raise errors.InvalidInput(validation.first_fault(error)) from None


def plan_of(given: object) -> Plan | None:
    """Return the plan of a run: as it is, or read from the file of that path; None for none.

    Raises:
        InvalidInput: it is neither, the file is not a plan, or it demands a budget without one.
    """
    if given is None or isinstance(given, Plan):
        return given
    if not isinstance(given, str | Path):
        bound = f"of the type {type(given).__name__} is not a plan"
        raise errors.InvalidInput(f"plan: {bound}; pass a Plan, or the path of a YAML file")
    plan = plan_file.read(Path(given))
    if not isinstance(plan, Plan):
        raise errors.invalid("plan", str(given), "demands a budget and has no steps", "state it by epsilon and delta")
    return plan
