"""The blocks' side of a decision: what each block has, and whether an amount fits, for many at a time.

The rules are those of `EpsilonDelta.admits` and `RenyiCurve.admits`: a demand fits where enough of its components fit,
both of epsilon and delta, or any one Renyi order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.rounding import ROUNDING
from privatekube.scheduling.components import Bools, Columns, Floats, Ints
from privatekube.scheduling.snapshot import BlockView
from privatekube.scheduling.unlocking import Portion

SHARE_DIGITS = 12
"""Shares closer than the rounding of budgets are one share: float noise must not decide between equals."""


class Balances:
    """What is locked and what is free on each block; changes as the decision proceeds.

    Args:
        blocks: the blocks; the number of a block below is its place here.

    Attributes:
        capacity, pending, available: [blocks, columns]; `available` is at most 0 where there is no capacity.
        needed: how many components of a demand must fit, [blocks].
    """

    def __init__(self, blocks: Sequence[BlockView]) -> None:
        self.ids = [block.id for block in blocks]
        self.number = {block_id: number for number, block_id in enumerate(self.ids)}
        self.columns = Columns.of(block.capacity for block in blocks)
        self.capacity = self.columns.rows([block.capacity for block in blocks])
        self.pending = self.columns.rows([block.pending for block in blocks])
        self.available = self.columns.rows([block.available for block in blocks])
        self.needed = np.array([2 if isinstance(block.capacity, EpsilonDelta) else 1 for block in blocks], np.intp)
        self.slack = ROUNDING * np.abs(self.capacity)
        without = self.capacity <= 0
        self._divisor = np.where(without, np.nan, self.capacity)
        self._ceiling = np.where(without, 0.0, np.inf)
        self.available = np.minimum(self.available, self._ceiling)

    def fits(self, blocks: Ints, amounts: Floats) -> Bools:
        """Whether each of `amounts` [n, columns] fits what is available on its block of `blocks` [n]."""
        fitting = amounts <= self.available[blocks] + self.slack[blocks]
        result: Bools = np.add.reduce(fitting, axis=1, dtype=np.intp) >= self.needed[blocks]
        return result

    def shares(self, blocks: Ints, amounts: Floats) -> Floats:
        """The largest fraction of its block's capacity that each of `amounts` is, over components with capacity."""
        fractions = amounts / self._divisor[blocks]
        largest = np.fmax.reduce(fractions, axis=1, initial=0.0)
        return np.round(largest, SHARE_DIGITS)

    def take(self, blocks: Ints, amounts: Floats) -> None:
        """Take `amounts` from what is available on `blocks`, each block once."""
        self.available[blocks] -= amounts

    def unlock(self, blocks: Ints, portion: Portion) -> Ints:
        """Move a portion of each block's pending budget to its available one.

        Returns:
            Those of `blocks` on which anything moved.
        """
        pending = self.pending[blocks]
        amount = portion.of_arrays(self.capacity[blocks], pending)
        moved = np.fmax.reduce(amount, axis=1, initial=0.0) > 0
        if not moved.any():
            return blocks[:0]
        self.pending[blocks] = pending - amount
        self.available[blocks] = np.minimum(self.available[blocks] + amount, self._ceiling[blocks])
        return blocks[moved]
