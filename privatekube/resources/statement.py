"""What the control plane states, and signs, about a claim whose run publishes a privacy card.

A run can write anything into its card. So the control plane adds what it knows itself: what the claim committed, on
which blocks, what is left of them, where the ledger has it, and what was released under it. It signs this together
with the card's digest.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from privatekube.resources.signature import Signature

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChargedBlock:
    """One block that a claim was charged on; budgets are in the wire's JSON.

    Args:
        block: id of the block, `namespace/name`.
        committed: what the claim committed there.
        ledger_sequence: position of the ledger's entry of that.
        ledger_digest: of that entry, and so of all before it.
        lifetime: the block's budget for its whole life; None if the block was deleted meanwhile.
        left: what no claim had been granted when the statement was made; None likewise.
    """

    block: str
    committed: Json
    ledger_sequence: int
    ledger_digest: str
    lifetime: Json | None
    left: Json | None


@dataclass(frozen=True, slots=True)
class StatedRelease:
    """What one step released under a claim, as it was registered before it left the step.

    Args:
        step: its name.
        outputs: the digest of each released file.
        event: the DpEvent that ran, as JSON text; None if no noise was drawn.
    """

    step: str
    outputs: tuple[str, ...]
    event: str | None


@dataclass(frozen=True, slots=True)
class Statement:
    """What the control plane knows about a claim.

    Args:
        claim: id of the claim, `namespace/name`.
        card: digest of the card that the run asked to have signed.
        time_ms: when it was made, unix milliseconds.
        blocks: all blocks that the claim was charged on.
        releases: all that the claim paid for, in the order in which they were registered.
        requested_by: the user who requested the budget; None if the store does not know.
        team: whom the budget is for; None if the claim states none.
        purpose: what the results are for; likewise.
    """

    claim: str
    card: str
    time_ms: int
    blocks: tuple[ChargedBlock, ...]
    releases: tuple[StatedRelease, ...]
    requested_by: str | None = None
    team: str | None = None
    purpose: str | None = None

    def to_text(self) -> str:
        """Return the text that is signed: JSON with sorted keys, without spaces, and without what is not stated."""
        stated = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(stated, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A statement as text, byte for byte as it was signed.

    Args:
        card: digest of the card that it is about.
        text: what `Statement.to_text` returned.
        signature: of the text.
    """

    card: str
    text: str
    signature: Signature
