"""How many runs with the arguments of arguments.yaml fit on one block, in either accounting.

python benchmarks/runs_per_block.py                      a block of epsilon 10, delta 1e-7
python benchmarks/runs_per_block.py --set epsilon=0.5    after changes to the arguments, as in run_pipeline.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from privatekube import errors
from privatekube.client import plan_file
from privatekube.data import declare
from privatekube.forecast import repetitions
from privatekube.privacy import budget, solving
from privatekube.privacy.plan import Plan
from privatekube.resources.block import BlockSpec, PrivateDataBlock
from privatekube.resources.meta import ObjectMeta
from privatekube.runs import run_arguments
from privatekube.runs.run_arguments import RunArguments

ARGUMENTS = Path("arguments.yaml")


def plan_of(run: RunArguments) -> solving.SolvedPlan:
    """Return the plan of a run on blocks whose unit is one review."""
    plan = plan_file.parse(run.plan or "", run.named)
    assert isinstance(plan, Plan)  # noqa: S101 - the shipped one has steps
    return solving.solve(plan, epsilon=run.epsilon, delta=run.delta)


def fitting(run: RunArguments, plan: solving.SolvedPlan, *, lifetime: budget.EpsilonDelta, accounting: str) -> int:
    """Return how many equal runs a new block grants, by the test that the scheduler applies to each."""
    initial = declare.initial_budget(lifetime.epsilon, lifetime.delta, accounting)
    block = PrivateDataBlock(ObjectMeta("block", "ns"), BlockSpec(initial, "data", "file:///block.h5", ()))
    price = budget.EpsilonDelta(run.epsilon, run.delta)
    return repetitions.of_block(block, plan.composition.renyi() if accounting == "renyi" else price)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilon", type=float, default=10.0, help="of the block")
    parser.add_argument("--delta", type=float, default=1e-7, help="of the block")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an argument of the run")
    options = parser.parse_args()
    try:
        run = run_arguments.load(ARGUMENTS, options.set)
        lifetime, plan = budget.EpsilonDelta(options.epsilon, options.delta), plan_of(run)
        counts = {name: fitting(run, plan, lifetime=lifetime, accounting=name) for name in declare.ACCOUNTINGS}
    except errors.PrivateKubeError as error:
        parser.error(str(error))
    print(f"block of {lifetime}; runs of epsilon {run.epsilon:g}, delta {run.delta:g}")
    for name, count in counts.items():
        print(f"{name:7} {count}")


if __name__ == "__main__":
    main()
