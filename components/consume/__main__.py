"""Pay: check that what the steps used fits the Grant, commit it on every block, and write the Receipt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from privatekube import errors
from privatekube.client import connect
from privatekube.privacy import accounting, budget, events, rounding
from privatekube.resources.wire import common
from privatekube.steps import arguments, documents, public_log

PARTS = {"dp_preprocess": "all", "dp_train": "train", "dp_evaluate": "test"}


def consume(
    *, grant: Path, spend_statistics: Path, spend_training: Path, spend_evaluation: Path, receipt: Path
) -> None:
    """Commit the Grant's budget on each of its blocks, or fail and leave the claim to the exit task.

    The spends compose as they ran: statistics on all units, training and evaluation on disjoint parts. Together they
    must fit the Grant in the accounting of the blocks. The whole Grant is committed: it was planned to be used in full.
    """
    granted = documents.read(documents.Grant, grant)
    spends = tuple(
        documents.read(documents.Spend, path) for path in (spend_statistics, spend_training, spend_evaluation)
    )
    epsilon = _check(granted, spends)
    with connect.connect() as plane:
        committed = plane.consume(granted.claim, mechanisms=[_mechanism(spend) for spend in spends])
    _require_all(granted, committed)
    document = documents.Receipt(
        run_id=granted.run_id,
        claim=granted.claim,
        committed={block_id: common.budget_to_wire(each) for block_id, each in sorted(committed.items())},
        epsilon=epsilon,
        delta=granted.delta,
        spends=spends,
    )
    documents.write(document, receipt)
    public_log.say("committed", budget=next(iter(committed.values())), blocks=len(committed))


def _mechanism(spend: documents.Spend) -> str:
    """What a step ran, for the ledger."""
    return f"{spend.step} on {spend.part}: {json.dumps(spend.event, separators=(',', ':'))}"


def _check(granted: documents.Grant, spends: tuple[documents.Spend, ...]) -> float:
    """The epsilon of all `spends` together.

    Raises:
        BudgetExceeded: one is missing, of another claim, or ran on other units than planned; or they cost too much.
    """
    if [spend.step for spend in spends] != list(PARTS):
        raise errors.BudgetExceeded(
            f"spends: are of {', '.join(spend.step for spend in spends)}, not of {', '.join(PARTS)}; "
            "hand on what each step wrote"
        )
    for spend in spends:
        if spend.claim != granted.claim or PARTS[spend.step] != spend.part:
            raise errors.BudgetExceeded(
                f"spend of {spend.step}: ran on {spend.part!r} for claim {spend.claim}, the grant is for "
                f"{granted.claim}; hand on what the steps of this run wrote"
            )
    by_part = {part: [events.from_json(s.event) for s in spends if s.part == part] for part in PARTS.values()}
    used = accounting.Composition(tuple(by_part["all"]), (tuple(by_part["train"]), tuple(by_part["test"])))
    epsilon = used.epsilon(granted.delta)
    for each in granted.blocks:
        held = common.budget_from_wire(each.budget)
        if held is None or epsilon > granted.epsilon * (1 + rounding.ROUNDING) or not _fits(used, epsilon, held):
            raise errors.BudgetExceeded(
                f"spend: epsilon {epsilon:.6g} at delta {granted.delta:.3g} is more than {each.id} grants ({held}); "
                "nothing is published; the claim is settled by the exit task"
            )
    return epsilon


def _fits(used: accounting.Composition, epsilon: float, held: budget.PrivacyBudget) -> bool:
    if isinstance(held, budget.EpsilonDelta):
        return epsilon <= held.epsilon * (1 + rounding.ROUNDING)
    cost = used.renyi(held.orders)
    return all(own <= bound * (1 + rounding.ROUNDING) for own, bound in zip(cost.values, held.values, strict=True))


def _require_all(granted: documents.Grant, committed: Mapping[str, budget.PrivacyBudget]) -> None:
    for each in granted.blocks:
        asked, done = common.budget_from_wire(each.budget), committed.get(each.id)
        if asked is None or done is None or not budget.is_close(asked, done):
            raise errors.BudgetExceeded(f"block {each.id}: committed {done}, asked {asked}; nothing is published")


if __name__ == "__main__":
    arguments.component(consume)
