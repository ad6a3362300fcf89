"""The terms of a run: what it claims, of which blocks, and how long it may take."""

from __future__ import annotations

from typing import Any, Self

import pydantic

from privatekube import config, errors, validation


class Terms(pydantic.BaseModel):
    """What `RunClient.claim` was given, checked.

    Args:
        dataset: of the blocks.
        epsilon: what the run may cost.
        delta: likewise.
        blocks: how many blocks: a number as text, or `all` that match.
        namespace: of the blocks and of the claim.
        conditions: further conditions on the dimensions of the blocks.
        timeout_seconds: how long to wait for the budget.
        settle_after_seconds: how long after the last progress of the run the control plane settles its claim.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    dataset: validation.Name
    epsilon: validation.Epsilon
    delta: validation.Delta
    blocks: validation.BlockCount
    namespace: validation.Name
    conditions: validation.Conditions
    timeout_seconds: validation.Seconds
    settle_after_seconds: validation.Seconds

    @pydantic.model_validator(mode="after")
    def _require_settling_after_waiting(self) -> Self:
        config.require_settling_after_waiting(self.settle_after_seconds, timeout_seconds=self.timeout_seconds)
        return self

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
