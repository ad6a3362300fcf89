"""The life of a run within one Python program: claimed, opened, released from, paid or given back."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

from privatekube import errors
from privatekube.client import connect
from privatekube.client.client import BudgetClient
from privatekube.data import block_file
from privatekube.data.tables.block_file import TableBlock
from privatekube.forecast import forecast
from privatekube.forecast.forecast import Forecast
from privatekube.interactive import claiming
from privatekube.interactive.approval import Approval
from privatekube.interactive.claiming import Obtained
from privatekube.interactive.terms import Terms
from privatekube.privacy import adaptive, events
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.events import DpEvent
from privatekube.privacy.mechanisms import Released
from privatekube.resources import bounds
from privatekube.steps import documents, paid_releases

Value = TypeVar("Value")
_ALL_UNITS = "all"
_LONGEST_STEP = 63
"""Characters of the name of a release: its description in the ledger has little room."""


class Lifecycle:
    """What every run goes through, whichever mechanisms it has; `run.Run` adds those.

    Args:
        client: of the store with the claim.
        terms: what to claim.
    """

    def __init__(self, client: BudgetClient, terms: Terms) -> None:
        self._client, self._terms = client, terms
        self._run_id = secrets.token_hex(6)
        self._obtained: Obtained | None = None
        self._is_opened = self._has_ended = False
        self._spends: dict[str, documents.Spend] = {}
        self._costs: list[EpsilonDelta] = []
        self._receipt: documents.Receipt | None = None

    def __enter__(self) -> Self:
        if self._obtained is not None or self._has_ended:
            raise errors.InvalidInput(f"run {self._run_id}: was entered before; claim budget for a new run")
        try:
            self._obtained = claiming.obtain(self._client, self._terms, self._run_id)
        except BaseException:
            self._settle()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._has_ended:
            return
        if kind is None and self._is_opened:
            self.consume()
        else:
            self._settle()

    @property
    def claim(self) -> str:
        """Id `namespace/name` of the claim."""
        return self._approval.claim

    @property
    def receipt(self) -> documents.Receipt | None:
        """What was committed, and for which releases; None before the run has paid, and if it gave its budget back."""
        return self._receipt

    def forecast(self) -> Forecast:
        """Return what would happen if the run claimed its budget now; nothing is written.

        Raises:
            InvalidInput: the blocks that match have different units or accountings, or are too few.
        """
        request = claiming.demand_of(self._client, self._terms).request
        return forecast.forecast_request(self._client, self._terms.namespace, request)

    def open(self) -> block_file.Block:
        """Return the records of all blocks; from here on the budget cannot come back.

        Every block is fetched and its digest checked before the data is marked as opened: a block that is missing or
        was altered costs nothing.

        Returns:
            The blocks merged into one, with `reviews` and `metadata`.

        Raises:
            InvalidInput: the run has opened its data before, has ended, or its blocks are not of one kind.
            CorruptData: a block is missing, was altered, or has a unit with more records than it declares.
            BudgetUnavailable: the claim does not hold what it was granted.
        """
        self._require_unopened()
        contents = claiming.checked_blocks(self._approval)
        self._mark_opened()
        return claiming.merged(self._approval, contents)

    def open_table(self) -> TableBlock:
        """Return the records of all blocks of a table that was declared by a schema; otherwise as `open`.

        Returns:
            The blocks merged into one, with `table` and `cut`.

        Raises:
            InvalidInput: as `open`; the blocks may differ in their columns as well.
            CorruptData: as `open`; or a block is not one of a table.
            BudgetUnavailable: as `open`.
        """
        self._require_unopened()
        contents = claiming.checked_tables(self._approval)
        self._mark_opened()
        return claiming.merged_tables(self._approval, contents)

    def spend(self, step: str, event: DpEvent, outputs: Sequence[bytes], *, delta: float = 0.0) -> documents.Spend:
        """Register what a mechanism of your own released, before it leaves this program.

        Args:
            step: name of the release, once per run.
            event: the DpEvent that ran.
            outputs: the content of each file or value that is released.
            delta: at which the event costs its epsilon; 0 for a pure mechanism.

        Returns:
            The Spend that is registered with the claim.

        Raises:
            InvalidInput: the data is not opened, the run has ended, or an argument does not fit.
            BudgetExceeded: the step has released before, or the run has not that much left; the outputs must not leave.
        """
        cost = self._require_payable(step, event, delta)
        return self._register(step, event, [documents.digest(content) for content in outputs], cost)

    def consume(self) -> documents.Receipt:
        """Pay for what was released, and end the run; leaving the `with` statement does it.

        Returns:
            The Receipt.

        Raises:
            InvalidInput: the run has ended, or its data was not opened.
            BudgetExceeded: something else was registered under the claim.
        """
        self._require_opened()
        epsilon = sum(self._costs, start=EpsilonDelta(0.0)).epsilon
        spends = tuple(self._spends.values())
        try:
            self._receipt = claiming.pay(self._client, self._approval, spends, epsilon=epsilon)
        except errors.Permanent:
            self._settle()
            raise
        self._has_ended = True
        return self._receipt

    def _release(
        self,
        step: str,
        event: DpEvent,
        *,
        delta: float,
        draw: Callable[[], Released[Value]],
        encode: Callable[[Value], bytes],
    ) -> Value:
        """Check that the run can pay for `event`, draw the noisy value, register it, and only then return it."""
        cost = self._require_payable(step, event, delta)
        released = draw()
        self._register(step, released.event, [documents.digest(encode(released.value))], cost)
        return released.value

    def _require_payable(self, step: str, event: DpEvent, delta: float) -> EpsilonDelta:
        """Return what a release costs, after checking that the run has that much left and may release under `step`."""
        self._require_opened()
        _require_step(step)
        if len(self._spends) >= bounds.MECHANISMS:
            bound = f"must be at most {bounds.MECHANISMS} in a run"
            raise errors.invalid("releases", len(self._spends) + 1, bound, "release several values in one step")
        cost = adaptive.cost(event, delta=delta)
        claiming.require_payable(self._client, self._approval, step)
        self._begun.allowance.require_room(step, [*self._costs, cost])
        return cost

    def _register(self, step: str, event: DpEvent, outputs: Sequence[str], cost: EpsilonDelta) -> documents.Spend:
        spend = documents.Spend(
            step=step,
            claim=self.claim,
            part=_ALL_UNITS,
            event=events.to_json(event),
            inputs=(self._approval.digest,),
            outputs=tuple(outputs),
        )
        self._client.register_release(self.claim, paid_releases.registration(spend))
        self._spends[step] = spend
        self._costs.append(cost)
        return spend

    def _settle(self) -> None:
        self._has_ended = True
        self._client.settle(f"{self._terms.namespace}/{connect.claim_name(self._run_id)}")

    @property
    def _begun(self) -> Obtained:
        if self._obtained is None:
            raise errors.InvalidInput(f"run {self._run_id}: has no budget yet; use it in a with statement")
        return self._obtained

    @property
    def _approval(self) -> Approval:
        return self._begun.approval

    def _require_going_on(self) -> None:
        if self._begun and self._has_ended:
            raise errors.InvalidInput(f"run {self._run_id}: has ended; claim budget for a new run")

    def _require_unopened(self) -> None:
        self._require_going_on()
        if self._is_opened:
            raise errors.InvalidInput(f"run {self._run_id}: has opened its data before; keep what open() returned")

    def _mark_opened(self) -> None:
        self._client.mark_opened(self.claim)
        self._is_opened = True

    def _require_opened(self) -> None:
        self._require_going_on()
        if not self._is_opened:
            raise errors.InvalidInput(f"run {self._run_id}: its data is not opened; call open() first")


def _require_step(step: str) -> None:
    """Check the name of a release."""
    if not isinstance(step, str) or not step.isprintable() or not 1 <= len(step) <= _LONGEST_STEP:
        raise errors.invalid("step", step, f"must be text of 1 to {_LONGEST_STEP} printable characters", "rename it")
    if step == paid_releases.APPROVAL:
        raise errors.invalid("step", step, "is the name of the approval of the run", "rename it")
