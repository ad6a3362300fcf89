"""A client whose runs claim budget, open data, release and pay in one `with` statement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from privatekube import errors, plain_text
from privatekube.client.client import BudgetClient
from privatekube.resources import html
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim

if TYPE_CHECKING:
    from privatekube.interactive.run import Run
    from privatekube.privacy.plan import Plan

ALL = "all"


class BlockList(list[PrivateDataBlock]):
    """Blocks, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return html.block_list(self)


class ClaimList(list[PrivacyBudgetClaim]):
    """Claims, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return html.claim_list(self)


class RunClient(BudgetClient):
    """A `BudgetClient` whose `claim` begins a run; `privatekube.connect` returns one.

    Example:
        >>> import tempfile
        >>> import privatekube
        >>> with tempfile.TemporaryDirectory() as folder, privatekube.connect(f"sqlite:///{folder}/state.db") as client:
        ...     client.claim("reviews", epsilon=0, delta=1e-9)
        Traceback (most recent call last):
        privatekube.errors.InvalidInput: epsilon: 0 must be greater than 0; change it
    """

    def list_blocks(self, namespace: str | None = None) -> BlockList:
        """Return the blocks of `namespace`, or all, in order of creation; a notebook shows them as a table."""
        return BlockList(super().list_blocks(namespace))

    def list_claims(self, namespace: str | None = None) -> ClaimList:
        """Return the claims of `namespace`, or all, in order of creation; a notebook shows them as a table."""
        return ClaimList(super().list_claims(namespace))

    def claim(
        self,
        dataset: str,
        *,
        epsilon: float,
        delta: float,
        blocks: int | str = ALL,
        plan: Plan | str | Path | None = None,
        namespace: str = "privacy-example",
        conditions: Sequence[dict[str, str]] = (),
        timeout_seconds: int = 300,
        settle_after_seconds: int = 86_400,
        team: str = plain_text.NOT_STATED,
        purpose: str = plain_text.NOT_STATED,
        deadline: str = plain_text.NOT_STATED,
    ) -> Run:
        """Return a run, to be used in a `with` statement, which claims the budget when it is entered.

        Args:
            dataset: of the blocks.
            epsilon: what the run may cost.
            delta: likewise; 0 where only pure mechanisms run, and without a plan.
            blocks: how many blocks, or `all` that match.
            plan: the mechanisms of the run, or the path of the YAML file that names them; see docs/plans.md. None: each
                mechanism states its epsilon when it is called.
            namespace: of the blocks.
            conditions: further conditions on the dimensions of the blocks, each as in an allocate request.
            timeout_seconds: how long to wait for the budget.
            settle_after_seconds: how long after the last progress of the run the control plane settles its claim, if
                this program cannot.
            team: whom the budget is for; with the claim, in the ledger and on the card.
            purpose: what the results are for; likewise.
            deadline: when they become useless, an RFC 3339 time: no budget is granted from then on.

        Raises:
            InvalidInput: an argument has another type or is out of bounds, or the file is not a plan; on entering,
                fewer blocks match than requested, they are of several kinds, or no noise meets the target of the plan.
            MissingExtra: a package is not installed.
            BudgetUnavailable: on entering, waiting could not help; nothing is claimed.
            DeadlineExceeded: on entering, the budget was not granted in time.
        """
        with errors.naming_extra():
            from privatekube.interactive import run, terms  # noqa: PLC0415 - they need packages that a client does not
        claimed = terms.Terms.of(
            dataset=dataset,
            epsilon=epsilon,
            delta=delta,
            blocks=blocks,
            namespace=namespace,
            conditions=list(conditions) if isinstance(conditions, Sequence) else conditions,
            timeout_seconds=timeout_seconds,
            settle_after_seconds=settle_after_seconds,
            team=team,
            purpose=purpose,
            deadline=deadline,
        )
        return run.Run(self, claimed, terms.plan_of(plan))
