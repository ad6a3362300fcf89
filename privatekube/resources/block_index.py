"""Narrow down which blocks a request may match: of many requests, each looks at few blocks and not at all of them."""

from __future__ import annotations

import bisect
import functools
import operator
from collections.abc import Callable, Iterable
from decimal import Decimal

from privatekube.resources import matching
from privatekube.resources.block import DECIMAL, PrivateDataBlock
from privatekube.resources.requests import AllocateRequest, BlockCondition


class BlockIndex:
    """Blocks by id, by dataset, and by the numbers that they declare; each index is made when it is first used.

    Args:
        blocks: what requests may match; what they declare does not change.
    """

    def __init__(self, blocks: Iterable[PrivateDataBlock]) -> None:
        self._blocks = list(blocks)
        self._by_number: dict[tuple[str, str, str], tuple[list[Decimal], list[int]]] = {}

    def near(self, request: AllocateRequest, namespace: str) -> list[str]:
        """Return the ids of blocks among which are all that a request matches, in the order of the blocks."""
        named, whole = request.expected_budget.by_block, (namespace, request.dataset)
        if named is not None:
            positions = [self._positions[block_id] for block_id in named if block_id in self._positions]
        else:
            within = [self._within(item, whole) for item in request.conditions if _is_numeric(item)]
            positions = min(within, key=len, default=self._of_dataset.get(whole, []))
        return [self._blocks[position].id for position in sorted(positions)]

    def _within(self, condition: BlockCondition, whole: tuple[str, str]) -> list[int]:
        """Return the positions of the blocks of a namespace and dataset that meet a numeric condition."""
        values, positions = self._numbers(condition.attribute, whole)
        wanted = Decimal(condition.numeric_value or "")
        first, end = bisect.bisect_left(values, wanted), bisect.bisect_right(values, wanted)
        parts: dict[Callable[[Decimal, Decimal], bool], slice] = {
            operator.gt: slice(end, None),
            operator.ge: slice(first, None),
            operator.eq: slice(first, end),
            operator.lt: slice(first),
            operator.le: slice(end),
        }
        return positions[parts[matching.NUMERIC[condition.operation]]]

    def _numbers(self, attribute: str, whole: tuple[str, str]) -> tuple[list[Decimal], list[int]]:
        """Return the values of an attribute, ascending, and the position of the block of each."""
        key = (*whole, attribute)
        if key not in self._by_number:
            declared = ((self._blocks[place].dimension(attribute), place) for place in self._of_dataset.get(whole, ()))
            pairs = sorted(
                (matching.number(item.numeric_value), place) for item, place in declared if item and item.numeric_value
            )
            self._by_number[key] = [value for value, _ in pairs], [place for _, place in pairs]
        return self._by_number[key]

    @functools.cached_property
    def _positions(self) -> dict[str, int]:
        return {block.id: position for position, block in enumerate(self._blocks)}

    @functools.cached_property
    def _of_dataset(self) -> dict[tuple[str, str], list[int]]:
        positions: dict[tuple[str, str], list[int]] = {}
        for position, block in enumerate(self._blocks):
            positions.setdefault((block.meta.namespace, block.spec.dataset), []).append(position)
        return positions


def _is_numeric(condition: BlockCondition) -> bool:
    """Return whether a condition is a comparison with a number; one that is not sound is left to `matching`."""
    number = condition.numeric_value
    return condition.operation in matching.NUMERIC and number is not None and bool(DECIMAL.fullmatch(number))
