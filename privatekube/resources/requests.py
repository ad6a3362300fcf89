"""The requests of a claim: the entries of spec.requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from privatekube import errors, validation
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import bounds
from privatekube.resources.block import Budgets

_ALL_OR_NOTHING, _ABORT_AVAILABLE = "allOrNothing=true", "abortAvailable=true"
"""Options in the policy of a consume or release request; several are separated by commas."""


@dataclass(frozen=True, slots=True)
class BlockCondition:
    """A test on one dimension of a block; `operation` as on the wire (`>=`, `is`, `include`, ...)."""

    attribute: str
    operation: str
    numeric_value: str | None = None
    string_value: str | None = None

    def __post_init__(self) -> None:
        bounds.require_text("condition.attribute", self.attribute, bounds.NAME)
        bounds.require_text("condition.operation", self.operation, bounds.OPERATION)
        bounds.require_text(f"numericValue of {self.attribute}", self.numeric_value, bounds.NUMBER)
        bounds.require_text(f"stringValue of {self.attribute}", self.string_value, bounds.TEXT)


@dataclass(frozen=True, slots=True)
class BudgetDemand:
    """The demand on each block: one amount for all, an amount by block id, or a named function (not supported).

    If all three are None, it is the wire's empty object.

    Args:
        constant: the amount on every block.
        by_block: the amount by block id.
        function: read and written, but refused.

    Example:
        >>> from privatekube.privacy.budget import EpsilonDelta
        >>> BudgetDemand(EpsilonDelta(1.0, 1e-9)).constant
        EpsilonDelta(epsilon=1.0, delta=1e-09)
    """

    constant: PrivacyBudget | None = None
    by_block: Budgets | None = None
    function: str | None = None

    def __post_init__(self) -> None:
        bounds.require_size("budgetMap", self.by_block or {}, bounds.NAMED_BLOCKS, "blocks")
        for block_id in self.by_block or {}:
            bounds.require_text("budgetMap", block_id, bounds.BLOCK_ID)
        bounds.require_text("function", self.function, bounds.NAME)


@dataclass(frozen=True, slots=True)
class AllocateRequest:
    """Ask for budget on the blocks of a dataset that meet all conditions.

    Args:
        dataset: of the blocks.
        expected_budget: the demand.
        min_budget: read and written, but not used.
        conditions: on the dimensions of blocks; all must hold.
        min_blocks: minimum number of matching blocks; None for no minimum, -1 for all or none.
        max_blocks: number of matching blocks to grant; None for all.
        timeout_ms: how long to wait; None for the scheduler's default.

    Example:
        >>> from privatekube.privacy.budget import EpsilonDelta
        >>> demand = BudgetDemand(EpsilonDelta(1.0, 1e-9))
        >>> AllocateRequest(dataset="reviews", expected_budget=demand, max_blocks=7).max_blocks
        7
    """

    dataset: str
    expected_budget: BudgetDemand
    min_budget: BudgetDemand | None = None
    conditions: tuple[BlockCondition, ...] = ()
    min_blocks: int | None = None
    max_blocks: int | None = None
    timeout_ms: int | None = None

    def __post_init__(self) -> None:
        bounds.require_text("dataset", self.dataset, bounds.NAME)
        bounds.require_size("conditions", self.conditions, bounds.CONDITIONS, "conditions")


@dataclass(frozen=True, slots=True)
class ConsumeRequest:
    """Move acquired budget to committed, per block.

    Args:
        consume: the amounts, by block id.
        policy: as on the wire, such as `allOrNothing=true`.
        mechanisms: the mechanisms that ran, for the ledger; no decision depends on them.
    """

    consume: Budgets
    policy: str | None = None
    mechanisms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bounds.require_text("policy", self.policy, bounds.NAME)
        bounds.require_size("mechanisms", self.mechanisms, bounds.MECHANISMS, "mechanisms")
        for mechanism in self.mechanisms:
            bounds.require_text("mechanisms", mechanism, bounds.NAME)

    @classmethod
    def all_or_nothing(cls, consume: Budgets, mechanisms: tuple[str, ...] = ()) -> ConsumeRequest:
        """Return a request of which all is committed, or nothing."""
        return cls(consume, _ALL_OR_NOTHING, mechanisms)

    @property
    def is_all_or_nothing(self) -> bool:
        """Whether nothing is committed if less is held on any block; otherwise what is held is committed."""
        return _has_option(self.policy, _ALL_OR_NOTHING)


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """Release acquired budget, per block; `policy` as on the wire, such as `abortAvailable=true`."""

    release: Budgets
    policy: str | None = None

    def __post_init__(self) -> None:
        bounds.require_text("policy", self.policy, bounds.NAME)

    @property
    def is_truncated(self) -> bool:
        """Whether what is held is released where that is less; otherwise nothing is released there."""
        return _has_option(self.policy, _ABORT_AVAILABLE)


def _has_option(policy: str | None, option: str) -> bool:
    return option in (policy or "").replace(" ", "").split(",")


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RegisterRequest:
    """State what a step releases under the claim, before it leaves the step.

    The control plane accepts one registration for each step of a claim, so that the claim pays for these outputs alone.

    Args:
        step: name of the step.
        outputs: the digest of each released file, `sha256:` and 64 hexadecimal digits; never of un-noised data.
        inputs: likewise of each file that the step read: approved or released earlier, never un-noised data.
        event: the DpEvent that ran, as JSON text; None if no noise was drawn. The control plane does not read it.

    Raises:
        InvalidInput: a field is too long or malformed.

    >>> RegisterRequest("histogram", outputs=(f"sha256:{1:064x}",), event="noise").step
    'histogram'
    """

    step: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    event: str | None = None

    def __post_init__(self) -> None:
        bounds.require_text("registerRequest.step", self.step, bounds.NAME, least=1)
        bounds.require_text("registerRequest.event", self.event, bounds.TEXT, least=1)
        _require_digests("outputs", self.outputs, least=1)
        _require_digests("inputs", self.inputs, least=0)


def _require_digests(name: str, digests: tuple[str, ...], *, least: int) -> None:
    bounds.require_size(f"registerRequest.{name}", digests, bounds.FILES, "digests", least=least)
    for digest in digests:
        validation.require_type(f"registerRequest.{name}", digest, str)
        if not _DIGEST.fullmatch(digest):
            bound = "must be sha256: and 64 hexadecimal digits"
            raise errors.invalid(f"registerRequest.{name}", digest[:80], bound, "change it")


@dataclass(frozen=True, slots=True)
class MalformedRequest:
    """A request that cannot be read: its document, and the fault with which it is answered."""

    document: Mapping[str, object]
    fault: str


@dataclass(frozen=True, slots=True)
class Request:
    """One entry of spec.requests; its index is part of its id, see `RequestId`."""

    identifier: str
    action: AllocateRequest | ConsumeRequest | ReleaseRequest | RegisterRequest | MalformedRequest

    def __post_init__(self) -> None:
        bounds.require_text("identifier", self.identifier, bounds.NAME)
