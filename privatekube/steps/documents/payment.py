"""Spend and Receipt: what a step used and released, and what the run committed for that."""

from __future__ import annotations

import pydantic

from privatekube import html_table, validation
from privatekube.privacy import event_text
from privatekube.steps.documents.document import Digest, Document, Json


class Spend(Document):
    """What one step used and released, as it is registered with the claim.

    Args:
        part: the units it ran on.
        event: the DpEvent that ran, as `events.to_json` writes it.
        inputs: the digest of the Grant, then of each noisy file that the step read; never of private data, for the
            Spend is published. The Grant has the data's digests.
        outputs: the digest of each released file.

    >>> from privatekube.steps.documents import digest
    >>> event = {"type": "discrete_laplace", "noise_parameter": 0.5, "sensitivity": 1}
    >>> files = {"inputs": (digest(b"grant"),), "outputs": (digest(b"noisy counts"),)}
    >>> Spend(step="histogram", claim="team/run-1", part="all", event=event, **files).step
    'histogram'
    """

    step: validation.Line
    claim: str
    part: validation.Line
    event: Json
    inputs: tuple[Digest, ...] = pydantic.Field(min_length=1)
    outputs: tuple[Digest, ...] = pydantic.Field(min_length=1)


class Receipt(Document):
    """What a run committed, and for which releases; publishing needs it.

    Args:
        grant: digest of the Grant.
        committed: budget by block id, in the wire's JSON.
        epsilon: what the mechanisms of the run cost together, at `delta`: of a plan, the whole of it.
        spends: what each step used and released, as the claim has it: nothing else was paid for.

    >>> from privatekube.steps.documents import digest
    >>> paid = {"team/monday": {"epsDel": {"epsilon": 1.0}}}
    >>> terms = {"run_id": "1", "claim": "team/run-1", "grant": digest(b"grant"), "delta": 1e-9}
    >>> Receipt(**terms, committed=paid, epsilon=0.5, spends=()).epsilon
    0.5
    """

    run_id: validation.RunId
    claim: str
    grant: Digest
    committed: dict[str, Json]
    epsilon: float
    delta: validation.ClaimedDelta
    spends: tuple[Spend, ...]

    def _repr_html_(self) -> str:
        cost = f"epsilon {self.epsilon:.4g} at delta {self.delta:.3g}"
        facts = [("claim", self.claim), ("releases cost", cost), ("paid on", ", ".join(self.committed))]
        rows = [(spend.step, spend.part, event_text.describe(spend.event)) for spend in self.spends]
        return html_table.facts(facts) + html_table.table(("release", "part", "mechanism"), rows)
