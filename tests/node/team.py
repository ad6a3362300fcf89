"""A team on a node: blocks declared by its data owner, a volume, an account for runs, and the runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from privatekube.runs import run_arguments
from tests.e2e.conftest import QUICK, latest
from tests.node import accounts, images, pods, volume
from tests.node.compiled import Compiled
from tests.node.node import Json, Node
from tests.node.workflow import Ending, Run

BLOCKS = ("create", "--days", "2", "--accounting", "epsdel", "--namespace", pods.NAMESPACE)
SETTINGS = (*QUICK, "timeout_seconds=60", f"namespace={pods.NAMESPACE}")


@dataclass(frozen=True)
class Team:
    """A team that runs its pipeline on a node.

    Args:
        node: the node.
        compiled: the team's pipeline.
        shared: folder of the volume.
    """

    node: Node
    compiled: Compiled
    shared: Path

    @property
    def published(self) -> Path:
        """The folder that holds a folder of results for each run."""
        return self.shared / "out"

    def run(
        self,
        run_id: str,
        *settings: str,
        memory: Mapping[str, str] | None = None,
        faults: Mapping[str, Callable[[str], None]] | None = None,
    ) -> list[Ending]:
        """Run the pipeline to its end with quick arguments, overridden by `settings`; see `workflow.Run`."""
        overrides = latest(*SETTINGS, f"prefix={self.published}", *settings)
        parameters = run_arguments.load(images.ROOT / "arguments.yaml", overrides).model_dump()
        return Run(self.node, self.compiled, run_id, self.shared, parameters, memory or {}, faults or {}).run()

    def blocks(self) -> dict[str, Json]:
        """Return the team's blocks by id, in wire form."""
        documents = json.loads(self.node.privatekube("get", "blocks", "--namespace", pods.NAMESPACE, "-o", "json"))
        blocks = [block for block in documents["items"] if block["spec"]["dataset"] == "amazon"]
        return {f"{pods.NAMESPACE}/{block['metadata']['name']}": block for block in blocks}

    def committed(self, run_id: str) -> dict[str, Json]:
        """Return the budget that a run consumed, by block, as in the custom resources of the blocks."""
        claim = f"{pods.NAMESPACE}/run-{run_id}"
        held = {name: block["status"].get("committedBudgetMap", {}) for name, block in self.blocks().items()}
        return {name: budgets[claim] for name, budgets in held.items() if claim in budgets}

    def acquired(self) -> list[str]:
        """Return the claims that hold acquired budget of a block."""
        return [claim for block in self.blocks().values() for claim in block["status"].get("acquiredBudgetMap", {})]


def set_up(node: Node, compiled: Compiled, shared: Path, private: Path) -> Team:
    """Set up a team: all pods may read `shared`, only the data owner may read `private`."""
    node.apply(pods.namespace())
    accounts.bind_claimant(node)
    shared.chmod(0o755)
    volume.create_folder(shared / "out")
    node.apply(*volume.manifests(shared))
    owner = accounts.data_owner(node, private)
    owner.script("demo_blocks.py", *BLOCKS, "--local-files", "--data-dir", str(shared / "data"))
    volume.give(shared / "data")
    return Team(node, compiled, shared)
