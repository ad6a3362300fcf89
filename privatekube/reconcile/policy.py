"""How a store shares budget: its settings by name, and ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from privatekube.reconcile import reconcile
from privatekube.scheduling import ordering, unlocking
from privatekube.scheduling.ordering import OrderingPolicy
from privatekube.scheduling.unlocking import UnlockingPolicy
from privatekube.store.base import ResourceStore

UNLOCK, ORDER, TIMEOUT = "unlock", "order", "default_timeout_ms"
DEFAULTS = {UNLOCK: "all", ORDER: "dpf", TIMEOUT: str(reconcile.DEFAULT_TIMEOUT_MS)}
PARSERS: Mapping[str, Callable[[str], object]] = {UNLOCK: unlocking.parse, ORDER: ordering.parse, TIMEOUT: int}
"""What checks a setting; raises InvalidInput."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a store shares budget."""

    unlocking: UnlockingPolicy
    ordering: OrderingPolicy
    default_timeout_ms: int

    @classmethod
    def parse(cls, settings: Mapping[str, str]) -> Policy:
        """The policy that these settings name.

        Raises:
            InvalidInput: there is no such policy, or both make no sense together.
        """
        named = {**DEFAULTS, **settings}
        unlocks, orders = unlocking.parse(named[UNLOCK]), ordering.parse(named[ORDER])
        ordering.require_sensible(unlocks, orders)
        return cls(unlocks, orders, int(named[TIMEOUT]))

    def run_pass(self, store: ResourceStore, *, now_ms: int, completely: bool = True) -> bool:
        """One pass of the control plane over `store` at that time; see `loop.reconcile`."""
        return reconcile.reconcile(
            store,
            now_ms=now_ms,
            unlocking=self.unlocking,
            ordering=self.ordering,
            default_timeout_ms=self.default_timeout_ms,
            completely=completely,
        )
