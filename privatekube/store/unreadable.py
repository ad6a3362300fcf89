"""Stored objects that cannot be read, and the facts about them that a pass needs nevertheless."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from privatekube import errors
from privatekube.resources import declared_data
from privatekube.resources.block import DECIMAL, PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.declared_data import END, START, DeclaredData
from privatekube.resources.wire.common import Json

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored object that cannot be read.

    Args:
        name: of the object.
        text: as it is stored.
        error: why it cannot be read.
    """

    name: errors.ResourceName
    text: str
    error: errors.InvalidInput

    @property
    def document(self) -> Json | None:
        """The object's JSON; None if it is not a JSON object."""
        try:
            document = json.loads(self.text)
        except (ValueError, RecursionError):
            return None
        return document if isinstance(document, dict) else None

    @property
    def namespace(self) -> str:
        """The namespace of the object."""
        return self.name.id.partition("/")[0]


@dataclass(frozen=True, slots=True)
class UnreadableBlock:
    """The facts that can be read of a block that as a whole cannot be read.

    Args:
        id: `namespace/name`.
        namespace: of the block.
        dataset: as it declares it; None if that cannot be read.
        is_admitted: whether it has a status, and so a budget.
        days: the first and the last day that it declares; None if it declares none, or they cannot be read.
    """

    id: str
    namespace: str
    dataset: str | None
    is_admitted: bool
    days: tuple[Decimal, Decimal] | None = None

    @classmethod
    def from_stored(cls, stored: Unreadable) -> UnreadableBlock:
        """Return the facts in a block; of one without a spec nothing is known, so it may have had a budget."""
        document = stored.document or {}
        spec = document.get("spec")
        if not isinstance(spec, dict):
            return cls(stored.name.id, stored.namespace, None, is_admitted=True)
        dataset = spec.get("dataset")
        is_admitted, days = bool(document.get("status")), _days(spec)
        return cls(stored.name.id, stored.namespace, dataset if isinstance(dataset, str) else None, is_admitted, days)

    @classmethod
    def of(cls, block: PrivateDataBlock) -> UnreadableBlock:
        """Return the facts of a block that can be read, but is quarantined."""
        days = DeclaredData.of(block).days
        return cls(block.id, block.meta.namespace, block.spec.dataset, block.status is not None, days)

    def may_have_data_of(self, block: PrivateDataBlock) -> bool:
        """Return whether the two may have a record in common, judged by dataset and days."""
        has_other_days = declared_data.are_disjoint(self.days, DeclaredData.of(block).days)
        return block.spec.dataset == self.dataset or not has_other_days

    def may_concern(self, claim: PrivacyBudgetClaim) -> bool:
        """Return whether a claim may depend on the block, judged by its known facts; see `matching.depends_on`.

        A block of an unknown dataset concerns the claims that have budget on it: it must not stop all others.
        """
        if claim.has_budget_on(self.id):
            return True
        datasets = {request.dataset for request in claim.open_allocate_requests}
        return self.is_admitted and claim.meta.namespace == self.namespace and self.dataset in datasets


@dataclass(frozen=True, slots=True)
class UnreadableClaim:
    """The facts that can be read of a claim that as a whole cannot be read.

    Args:
        namespace: of the claim, and of all blocks that it may hold budget on.
        status: as JSON text; None if it cannot be read, so that the claim may hold budget on any block.
    """

    namespace: str
    status: str | None

    @classmethod
    def from_stored(cls, stored: Unreadable) -> UnreadableClaim:
        """Return the facts in a claim."""
        document = stored.document
        return cls(stored.namespace, None if document is None else json.dumps(document.get("status", {})))

    def may_have_budget_on(self, block_id: str) -> bool:
        """Return whether the claim may hold or have reserved budget on a block."""
        if self.status is None:
            return block_id.partition("/")[0] == self.namespace
        return f'"{block_id}"' in self.status


@dataclass
class Reports:
    """What was logged about objects that cannot be read: each is logged once, and again when its fault changes."""

    _logged: set[tuple[errors.ResourceName, str]] = field(default_factory=set)

    def readable(self, items: Iterable[T | Unreadable]) -> list[T]:
        """Return what could be read, objects or their rows; log why the others cannot be read."""
        readable: list[T] = []
        for item in items:
            if not isinstance(item, Unreadable):
                readable.append(item)
            elif (item.name, str(item.error)) not in self._logged:
                self._logged.add((item.name, str(item.error)))
                _log.warning("%s is left out: %s", item.name, item.error, extra={item.name.kind: item.name.id})
        return readable


def _days(spec: Json) -> tuple[Decimal, Decimal] | None:
    """Return the days in a block's spec, whatever else is wrong with it."""
    listed = spec.get("dimensions")
    pairs = [
        (item.get("attribute"), item.get("numericValue"))
        for item in (listed if isinstance(listed, list) else [])
        if isinstance(item, dict)
    ]
    numbers = [
        [Decimal(text) for name, text in pairs if name == wanted and isinstance(text, str) and DECIMAL.fullmatch(text)]
        for wanted in (START, END)
    ]
    return (numbers[0][0], numbers[1][0]) if all(numbers) else None
