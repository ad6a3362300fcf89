"""PrivateDataBlock: a part of a data set with a lifetime privacy budget (as specified in PrivateKube, OSDI'21)."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from privatekube import errors
from privatekube.privacy.budget import PrivacyBudget
from privatekube.resources import bounds, meta
from privatekube.resources.request_id import LockId

Budgets = Mapping[str, PrivacyBudget]
"""Budget by block or claim id."""

DECIMAL = re.compile(r"-?(\d+\.?\d*|\.\d+)", re.ASCII)
"""The form of a numericValue."""


class LockState(enum.StrEnum):
    """Progress of a request on one block; the names are PrivateKube's."""

    ALLOCATING = "allocating"
    ALLOCATED = "allocated"
    COMMITTING = "committing"
    COMMITTED = "committed"
    ABORTING = "aborting"
    ABORTED = "aborted"
    ABORT_RESERVED = "abortReserved"
    DPF_ACQUIRING = "dpf_acquiring"
    DPF_ACQUIRED = "dpf_acquired"
    DPF_RESERVING = "dpf_reserving"
    DPF_RESERVED = "dpf_reserved"


class ReleaseMode(enum.StrEnum):
    """What unlocks budget: BASE the arrival of requests, FLOW the passing of time."""

    BASE = "base"
    FLOW = "flow"


class ReturnPolicy(enum.StrEnum):
    """The part of the block to which released budget is added."""

    TO_PENDING = "toPending"
    TO_AVAILABLE = "toAvailable"


def require_decimal(name: str, text: str | None) -> None:
    """Check the form of a numericValue; None is allowed.

    Raises:
        InvalidInput: `text` is not a decimal number; the message has `name`.
    """
    bounds.require_text(f"numericValue of {name}", text, bounds.NUMBER)
    if text is not None and not DECIMAL.fullmatch(text):
        raise errors.invalid(f"numericValue of {name}", text, "is not a decimal number", "write it like '12.5'")


@dataclass(frozen=True, slots=True)
class Dimension:
    """A public property of the data by which claims select blocks: a decimal number or a string, one of the two.

    Args:
        attribute: its name, such as `startTime`.
        numeric_value: a decimal number as text.
        string_value: any text.

    >>> Dimension("startTime", numeric_value="12").numeric_value
    '12'
    """

    attribute: str
    numeric_value: str | None = None
    string_value: str | None = None

    def __post_init__(self) -> None:
        if (self.numeric_value is None) == (self.string_value is None):
            raise errors.InvalidInput(
                f"dimension {self.attribute}: needs exactly one of numericValue and stringValue; give one"
            )
        bounds.require_text("dimension.attribute", self.attribute, bounds.NAME, least=1)
        bounds.require_text(f"stringValue of {self.attribute}", self.string_value, bounds.TEXT)
        require_decimal(self.attribute, self.numeric_value)


@dataclass(frozen=True, slots=True)
class FlowReleasing:
    """Schedule of the T scheme, in unix milliseconds; None where the wire form has 0 or no value."""

    start_time_ms: int | None = None
    end_time_ms: int | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """Write-ahead record of one request on one block.

    Args:
        state: the transition that the request is in.
        acquired: the amount that the lock holds.
        reserved: the demand of a request that waits.
        owner: uid of the claim, so that a new claim of the same name does not inherit the lock; None if unknown.
    """

    state: LockState
    acquired: PrivacyBudget | None = None
    reserved: PrivacyBudget | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """What the data owner declares; immutable, except for a flow schedule that has not started.

    Args:
        initial_budget: the budget for the whole life of the data.
        dataset: name by which claims select blocks.
        data_source: URI of the data.
        dimensions: public properties of the data. This library reads the days `startTime` and `endTime`, the users
            `userBucket` of `userBuckets`, `unit` with `maxContribution`, `vocabularySize`, and `exactCopies`.
        release_mode: what unlocks budget.
        budget_return_policy: the part of the block to which released budget is added.
        flow_releasing: schedule of unlocking by time; None for that of the store's policy.

    >>> from privatekube.privacy.budget import EpsilonDelta
    >>> BlockSpec(EpsilonDelta(10.0, 1e-7), dataset="visits", data_source="file:///data/monday.csv").dataset
    'visits'
    """

    initial_budget: PrivacyBudget
    dataset: str
    data_source: str
    dimensions: tuple[Dimension, ...] = ()
    release_mode: ReleaseMode = ReleaseMode.BASE
    budget_return_policy: ReturnPolicy = ReturnPolicy.TO_PENDING
    flow_releasing: FlowReleasing | None = None

    def __post_init__(self) -> None:
        bounds.require_text("dataset", self.dataset, bounds.NAME, least=1)
        bounds.require_text("dataSource", self.data_source, bounds.TEXT)
        bounds.require_size("dimensions", self.dimensions, bounds.DIMENSIONS, "dimensions")


@dataclass(frozen=True, slots=True)
class BlockStatus:
    """The parts of the initial budget. Maps are by claim id, locks by request id."""

    pending: PrivacyBudget
    available: PrivacyBudget
    acquired: Budgets = field(default_factory=lambda: MappingProxyType({}))
    reserved: Budgets = field(default_factory=lambda: MappingProxyType({}))
    committed: Budgets = field(default_factory=lambda: MappingProxyType({}))
    locks: Mapping[LockId, Lock] = field(default_factory=lambda: MappingProxyType({}))
    last_release_ms: int | None = None
    number_of_data: int | None = None
    conditions: tuple[meta.Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class PrivateDataBlock:
    """A part of a data set with a privacy budget; `BudgetClient.create_blocks` creates it in a store.

    Args:
        meta: its name and namespace.
        spec: what the data owner declares.
        status: what became of the budget; None until the control plane has admitted the block.

    Example:
        >>> import privatekube
        >>> block = privatekube.PrivateDataBlock(
        ...     privatekube.ObjectMeta("monday", "team"),
        ...     privatekube.BlockSpec(
        ...         initial_budget=privatekube.EpsilonDelta(10.0, 1e-7),
        ...         dataset="visits",
        ...         data_source="file:///data/monday.csv",
        ...         dimensions=(
        ...             privatekube.Dimension("startTime", numeric_value="0"),
        ...             privatekube.Dimension("endTime", numeric_value="0"),
        ...             privatekube.Dimension("unit", string_value="event"),
        ...         ),
        ...     ),
        ... )
        >>> block.id
        'team/monday'
    """

    meta: meta.ObjectMeta
    spec: BlockSpec
    status: BlockStatus | None = None

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return self.meta.id

    @property
    def content_digest(self) -> str | None:
        """Digest of the data behind the block; None if its owner did not state one."""
        return self.meta.annotations.get(meta.CONTENT_DIGEST)

    @property
    def identity_id(self) -> str | None:
        """Name of the identity of the data; None if the block was not made by this library."""
        return self.meta.annotations.get(meta.DATA_IDENTITY)

    def dimension(self, attribute: str) -> Dimension | None:
        """Return the dimension whose name is `attribute`, or None."""
        for dimension in self.spec.dimensions:  # a pass asks each block, and a loop takes a third of what `next` takes
            if dimension.attribute == attribute:
                return dimension
        return None

    def _repr_html_(self) -> str:
        from privatekube.resources import html  # noqa: PLC0415 - it describes what is defined here

        return html.block(self)
