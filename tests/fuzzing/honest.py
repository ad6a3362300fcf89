"""Twenty honest claims on two blocks: what each gets must not depend on what others write.

Together the grantable ones ask exactly what the blocks have, so nothing that another takes goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources.block import PrivateDataBlock
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import (
    AllocateRequest,
    BudgetDemand,
    ConsumeRequest,
    RegisterRequest,
    ReleaseRequest,
)
from privatekube.resources.wire import claims as wire
from privatekube.resources.wire.common import Json
from tests import builders
from tests.reconcile.harness import Action, Plane

ORDERS = (1.5, 3.0, 8.0)
"""The orders of the Renyi block."""
DATASETS = ("d", "r")
BLOCKS = ("honest-d", "honest-r")
DIGEST = f"sha256:{'d' * 64}"
"""The digest of the data of the first block."""
PATIENCE_MS = 300
"""How long those claims wait that cannot be granted."""
_WHOLE: tuple[PrivacyBudget, ...] = (EpsilonDelta(1.0, 1e-7), RenyiCurve(ORDERS, (1.0, 1.9, 9.2)))


def blocks() -> list[PrivateDataBlock]:
    """Return the blocks of the honest claims; they are not stored."""
    return [
        builders.block(BLOCKS[0], _WHOLE[0], dataset=DATASETS[0], digest=DIGEST),
        builders.block(BLOCKS[1], _WHOLE[1], dataset=DATASETS[1]),
    ]


def claims() -> list[PrivacyBudgetClaim]:
    """Return the honest claims in order of arrival; they are not stored."""
    (epsdel, renyi), (block, other) = _WHOLE, (f"ns/{name}" for name in BLOCKS)
    tenth, fifth = EpsilonDelta(0.1, 1e-8), renyi * 0.2
    step = RegisterRequest("step", (f"sha256:{'1' * 64}",))
    kinds: list[Sequence[Action]] = [
        [_ask(0, tenth)],
        [_ask(0, tenth), ConsumeRequest({block: tenth})],
        [_ask(1, fifth), ConsumeRequest({other: renyi * 0.1}), ReleaseRequest({other: renyi * 0.1})],
        [_ask(0, epsdel * 2.0)],
    ] * 2
    kinds += [
        [_ask(1, renyi * 3.0)],
        [_ask(0, fifth)],
        [_ask(1, RenyiCurve((3,), (0.1,)))],
        [_ask(0, tenth), ReleaseRequest({block: tenth})],
        [_ask(0, tenth), step, ConsumeRequest({block: EpsilonDelta(0.05, 1e-8)}, "allOrNothing=true")],
    ]
    kinds += [[_ask(0, tenth)] for _ in range(4)] + [[_ask(1, fifth)] for _ in range(3)]
    return [Plane.claim_of(f"honest-{number}", *actions) for number, actions in enumerate(kinds)]


def outcome(claims: Iterable[PrivacyBudgetClaim]) -> dict[str, object]:
    """Return the status of each honest claim among `claims`, by name, without its random key."""
    honest = (claim for claim in claims if claim.meta.name.startswith("honest-"))
    return {claim.meta.name: without_key(wire.to_wire(claim)["status"]) for claim in honest}


def without_key(status: Json) -> Json:
    """Return a claim's status without the key that its outputs are sealed to, which is random."""
    return {key: value for key, value in status.items() if key != "sealing"}


def without_times(value: object) -> object:
    """Return an outcome without the times in it."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if not key.endswith("Time")}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def _ask(block: int, amount: PrivacyBudget) -> AllocateRequest:
    demand = BudgetDemand(by_block={f"ns/{BLOCKS[block]}": amount})
    return AllocateRequest(DATASETS[block], demand, timeout_ms=PATIENCE_MS)
