"""The life of a run within one Python program: claimed, opened, released from, paid or given back."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from privatekube import errors
from privatekube.client import connect
from privatekube.client.client import BudgetClient
from privatekube.data.any_block import AnyBlock
from privatekube.forecast import forecast
from privatekube.forecast.forecast import Forecast
from privatekube.interactive import claiming, publishing
from privatekube.interactive.approval import Approval
from privatekube.interactive.claiming import Obtained
from privatekube.interactive.payment import Charge, Planned, Query
from privatekube.interactive.terms import Terms
from privatekube.privacy import events
from privatekube.privacy.events import DpEvent
from privatekube.privacy.mechanisms import Released
from privatekube.privacy.plan import Plan
from privatekube.privacy.solving import SolvedPlan
from privatekube.resources import bounds
from privatekube.steps import documents, opened_blocks, paid_releases, privacy_card
from privatekube.steps.privacy_card import PrivacyCard
from privatekube.storage import uris

Value = TypeVar("Value")
_LONGEST_STEP = 63
"""Characters of the name of a release: its description in the ledger has little room."""


class Lifecycle:
    """What every run goes through, whichever mechanisms it has; `run.Run` adds those.

    Args:
        client: of the store with the claim.
        terms: what to claim.
        plan: the mechanisms of the run; None if each states its epsilon when it is called.
    """

    def __init__(self, client: BudgetClient, terms: Terms, plan: Plan | None = None) -> None:
        self._client, self._terms, self._plan = client, terms, plan
        self._run_id = secrets.token_hex(6)
        self._obtained: Obtained | None = None
        self._is_opened = self._has_ended = False
        self._number_of_records = 0
        self._spends: list[documents.Spend] = []
        self._charges: list[Charge] = []
        self._released: dict[str, bytes] = {}
        self._receipt: documents.Receipt | None = None
        self._release_lock = threading.Lock()

    def __enter__(self) -> Self:
        if self._obtained is not None or self._has_ended:
            raise errors.InvalidInput(f"run {self._run_id}: was entered before; claim budget for a new run")
        try:
            self._obtained = claiming.obtain(self._client, self._terms, self._plan, run_id=self._run_id)
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

    @property
    def plan(self) -> SolvedPlan | None:
        """The plan of the run with the noise of each step; None without one."""
        payment = self._begun.payment
        return payment.plan if isinstance(payment, Planned) else None

    def forecast(self) -> Forecast:
        """Return what would happen if the run claimed its budget now; nothing is written.

        Raises:
            InvalidInput: the blocks that match have different units or accountings, or are too few.
        """
        request = claiming.demand_of(self._client, self._terms, self._plan).request
        terms = self._terms
        return forecast.forecast_request(
            self._client, terms.namespace, request, terms.requester, deadline_ms=terms.deadline_ms
        )

    def open(self) -> AnyBlock:
        """Return the records of all blocks; from here on the budget cannot come back.

        Every block is fetched and its digest checked before the data is marked as opened: a block that is missing or
        was altered costs nothing.

        Returns:
            What the blocks hold, merged into one: of reviews with `reviews` and `metadata`, or of a table that a schema
            declares with `table` and `cut`.

        Raises:
            InvalidInput: the run has opened its data before, has ended, or its blocks are not of one kind.
            CorruptData: a block is missing, was altered, or has a unit with more records than it declares.
            BudgetUnavailable: the claim does not hold what it was granted.
        """
        self._require_unopened()
        contents = claiming.checked_blocks(self._approval)
        self._client.mark_opened(self.claim)
        self._is_opened = True
        bound = self._approval.max_contribution
        block = opened_blocks.merged(contents, unit=self._approval.unit, max_contribution=bound)
        self._number_of_records = len(block.records.time)
        return block

    def spend(self, step: str, event: DpEvent, outputs: Sequence[bytes], *, delta: float = 0.0) -> documents.Spend:
        """Register what a mechanism of your own released, before it leaves this program.

        Args:
            step: name of the release, once per run.
            event: the DpEvent that ran.
            outputs: the content of each file or value that is released.
            delta: at which the event costs its epsilon; 0 for a pure mechanism. A run with a plan does not use it.

        Returns:
            The Spend that is registered with the claim.

        Raises:
            InvalidInput: the data is not opened, the run has ended, an argument does not fit, or the plan has no such
                step, or another event for it.
            BudgetExceeded: the step has released before, or the run has not that much left; the outputs must not leave.
        """
        with self._one_at_a_time():
            _require_step(step)
            charge = self._begun.payment.charge(step, event, delta)
            self._require_payable(charge)
            return self._register(charge, [documents.digest(content) for content in outputs])

    def consume(self) -> documents.Receipt:
        """Pay for what was released, and end the run; leaving the `with` statement does it.

        Returns:
            The Receipt.

        Raises:
            InvalidInput: the run has ended, or its data was not opened.
            BudgetExceeded: something else was registered under the claim.
            StoreBusy: the control plane did not answer; call it again, or the control plane settles the claim later.
        """
        with self._one_at_a_time():
            epsilon = self._begun.payment.epsilon(self._charges)
            spends = tuple(self._spends)
            try:
                self._receipt = claiming.pay(self._client, self._approval, spends, epsilon=epsilon)
            except errors.Permanent:
                self._settle()
                raise
            self._has_ended = True
            return self._receipt

    def publish(
        self,
        folder: str | Path,
        files: Mapping[str, bytes] | None = None,
        *,
        organisation: str = privacy_card.NOT_STATED,
        hyperparameters_chosen: str = privacy_card.NOT_STATED,
    ) -> PrivacyCard:
        """Publish what a run that has paid released, with its Receipt and a privacy card that the control plane signs.

        Each value that a mechanism of this run returned is in a file with the name of its step, such as `stars.json`.
        `privatekube verify-card` checks the folder.

        Args:
            folder: a folder, or a gs:// or s3:// prefix, of this run alone.
            files: content by file name of what was released by `spend`, as it was registered.
            organisation: who is responsible for the run, for the card.
            hyperparameters_chosen: how the run's settings were chosen, for the card.

        Returns:
            The card.

        Raises:
            InvalidInput: the run has not paid, or a name is not that of a file.
            BudgetExceeded: a file is not what a step registered.
            AlreadyExists: the folder has other content under one of the names.
        """
        if self._receipt is None:
            raise errors.InvalidInput(f"run {self._run_id}: has not paid; publish after the with statement")
        return publishing.publish(
            self._client,
            self._approval,
            self._receipt,
            files={**{f"{step}.json": content for step, content in self._released.items()}, **(files or {})},
            folder=uris.absolute(str(folder)),
            declared=documents.Declarations(
                organisation=organisation,
                team=self._terms.team,
                purpose=self._terms.purpose,
                hyperparameters_chosen=hyperparameters_chosen,
            ),
        )

    def _release(
        self, query: Query, draw: Callable[[float], Released[Value]], *, encode: Callable[[Value], bytes]
    ) -> Value:
        """Check that the run can pay for a query, draw its noise, register the release, and only then return it.

        Args:
            query: what is asked.
            draw: returns the noisy value at a scale of the noise.
            encode: returns the bytes of the value whose digest is registered.
        """
        with self._one_at_a_time():
            _require_step(query.step)
            scale, charge = self._begun.payment.noise(query)
            self._require_payable(charge)
            released = draw(scale)
            if not events.is_close(released.event, charge.event):
                raise errors.BudgetExceeded(
                    f"{query.step}: ran another mechanism than it pays for; nothing is released"
                )
            content = encode(released.value)
            self._register(charge, [documents.digest(content)])
            self._released[query.step] = content
            return released.value

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Refuse what would start between the check that a release can be paid and its registration.

        Two releases in two threads, or one within a column that the other reads, would both find the same room.
        """
        if not self._release_lock.acquire(blocking=False):
            raise errors.InvalidInput(f"run {self._run_id}: is releasing something; make one release after the other")
        try:
            self._require_opened()
            yield
        finally:
            self._release_lock.release()

    def _require_payable(self, charge: Charge) -> None:
        """Check that the run has that much left, and may release under the name of the step."""
        if len(self._spends) >= bounds.MECHANISMS:
            bound = f"must be at most {bounds.MECHANISMS} in a run"
            raise errors.invalid("releases", len(self._spends) + 1, bound, "release several values in one step")
        claiming.require_payable(self._client, self._approval, charge.step)
        self._begun.payment.require_room(charge, self._charges)

    def _register(self, charge: Charge, outputs: Sequence[str]) -> documents.Spend:
        spend = documents.Spend(
            step=charge.step,
            claim=self.claim,
            part=charge.part,
            event=events.to_json(charge.event),
            inputs=(self._approval.digest,),
            outputs=tuple(outputs),
        )
        self._client.register_release(self.claim, paid_releases.registration(spend))
        self._spends.append(spend)
        self._charges.append(charge)
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
