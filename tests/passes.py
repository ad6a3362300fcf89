"""Passes of the control plane, run on behalf of a test."""

from __future__ import annotations

from privatekube.client.client import BudgetClient
from privatekube.client.embedded import Embedded


def run_pass(client: BudgetClient) -> None:
    """Run one pass over a client's store, at the time of its clock."""
    Embedded(client.store, client.clock).run()
