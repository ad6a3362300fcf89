"""A team on a node: blocks that its data owner declared, a volume, an account for runs, and the runs themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from privatekube import config
from tests.e2e.conftest import QUICK
from tests.node import accounts, images, pods, volume
from tests.node.compiled import Compiled
from tests.node.node import Json, Node
from tests.node.workflow import Ending, Run

BLOCKS = ("create", "--days", "2", "--namespace", pods.NAMESPACE)
SETTINGS = (*QUICK, "timeout_seconds=60", f"namespace={pods.NAMESPACE}")


@dataclass(frozen=True)
class Team:
    """See the module.

    Args:
        node: where it works.
        compiled: its pipeline.
        shared: the volume's folder.
    """

    node: Node
    compiled: Compiled
    shared: Path

    @property
    def published(self) -> Path:
        """What runs publish to: a folder for each."""
        return self.shared / "out"

    def run(
        self,
        run_id: str,
        *settings: str,
        memory: Mapping[str, str] | None = None,
        meddling: Mapping[str, Callable[[str], None]] | None = None,
    ) -> list[Ending]:
        """Run the pipeline with quick arguments, overridden by `settings`, to its end; see `workflow.Run`."""
        overrides = (*SETTINGS, f"prefix={self.published}", *settings)
        parameters = config.load_arguments(images.ROOT / "arguments.yaml", overrides).model_dump()
        return Run(self.node, self.compiled, run_id, self.shared, parameters, memory or {}, meddling or {}).to_its_end()

    def blocks(self) -> dict[str, Json]:
        """Its blocks, by id, in wire form."""
        listed = json.loads(self.node.privatekube("get", "blocks", "--namespace", pods.NAMESPACE, "-o", "json"))
        found = [each for each in listed["items"] if each["spec"]["dataset"] == "amazon"]
        return {f"{pods.NAMESPACE}/{each['metadata']['name']}": each for each in found}

    def committed(self, run_id: str) -> dict[str, Json]:
        """What the custom resources of the blocks say that a run paid, by block."""
        claim = f"{pods.NAMESPACE}/run-{run_id}"
        held = {name: each["status"].get("committedBudgetMap", {}) for name, each in self.blocks().items()}
        return {name: budgets[claim] for name, budgets in held.items() if claim in budgets}

    def acquired(self) -> list[str]:
        """The claims that hold budget of a block which is neither paid nor returned."""
        return [claim for each in self.blocks().values() for claim in each["status"].get("acquiredBudgetMap", {})]


def found(node: Node, compiled: Compiled, shared: Path, private: Path) -> Team:
    """Set a team up: `shared` is for all pods to read, `private` for the data owner alone."""
    node.apply(pods.namespace())
    accounts.bind_claimant(node)
    shared.chmod(0o755)
    volume.writable(shared / "out")
    node.apply(*volume.declare(shared))
    owner = accounts.data_owner(node, private)
    owner.script("demo_blocks.py", *BLOCKS, "--data-dir", str(shared / "data"))
    return Team(node, compiled, shared)
