"""A team on a node: blocks declared by its data owner, its buckets, and its runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from privatekube.runs import run_arguments
from tests.e2e import leaks
from tests.e2e.conftest import QUICK, latest
from tests.node import images, pods
from tests.node.compiled import Compiled
from tests.node.node import Json, Node
from tests.node.object_store import ARTIFACTS, DATA, RESULTS, ObjectStore
from tests.node.workflow import Ending, Run

DAYS = 2
BLOCKS = ("create", "--days", str(DAYS), "--accounting", "epsdel", "--namespace", pods.NAMESPACE)
SETTINGS = (*QUICK, "timeout_seconds=60", f"namespace={pods.NAMESPACE}")


@dataclass(frozen=True)
class Team:
    """A team that runs its pipeline on a node, with data, artifacts and results in buckets.

    Args:
        node: the node.
        compiled: the team's pipeline.
        store: the buckets.
        dataset: name of its data.
        workspaces: folder for the workspaces of its runs.
        marks: what tells the rows of its data, see `leaks`.
    """

    node: Node
    compiled: Compiled
    store: ObjectStore
    dataset: str
    workspaces: Path
    marks: Sequence[bytes]

    def run(
        self,
        run_id: str,
        *settings: str,
        memory: Mapping[str, str] | None = None,
        faults: Mapping[str, Callable[[str], None]] | None = None,
    ) -> list[Ending]:
        """Run the pipeline to its end with quick arguments, overridden by `settings`; see `workflow.Run`."""
        return self.prepare(run_id, *settings, memory=memory, faults=faults).run()

    def prepare(
        self,
        run_id: str,
        *settings: str,
        memory: Mapping[str, str] | None = None,
        faults: Mapping[str, Callable[[str], None]] | None = None,
    ) -> Run:
        """Return a run that has not begun."""
        prefix = f"prefix={self.store.uri(RESULTS)}"
        overrides = latest(*SETTINGS, prefix, f"dataset={self.dataset}", *settings)
        parameters = run_arguments.load(images.ROOT / "arguments.yaml", overrides).model_dump()
        workspace = self.workspaces / run_id
        return Run(self.node, self.compiled, run_id, self.store, workspace, parameters, memory or {}, faults or {})

    def fetch(self, run_id: str, folder: Path) -> Path:
        """Copy what a run published into a folder, and return it."""
        folder.mkdir()
        for key, content in self.store.objects(RESULTS, f"{run_id}/").items():
            (folder / Path(key).name).write_bytes(content)
        return folder

    def require_nothing_of_the_data(self, run_id: str = "") -> None:
        """Check that no object of the artifact store, and no result, has rows of the data: of one run, or of any."""
        assert self.marks
        for bucket, prefix in ((ARTIFACTS, f"dp-lstm/{run_id}"), (RESULTS, run_id)):
            objects = self.store.objects(bucket, prefix)
            assert [key for key, content in objects.items() if leaks.is_any_in(content, self.marks)] == []

    def blocks(self) -> dict[str, Json]:
        """Return the team's blocks by id, in wire form."""
        documents = json.loads(self.node.privatekube("get", "blocks", "--namespace", pods.NAMESPACE, "-o", "json"))
        blocks = [block for block in documents["items"] if block["spec"]["dataset"] == self.dataset]
        return {f"{pods.NAMESPACE}/{block['metadata']['name']}": block for block in blocks}

    def committed(self, run_id: str) -> dict[str, Json]:
        """Return the budget that a run consumed, by block, as in the custom resources of the blocks."""
        claim = f"{pods.NAMESPACE}/run-{run_id}"
        held = {name: block["status"].get("committedBudgetMap", {}) for name, block in self.blocks().items()}
        return {name: budgets[claim] for name, budgets in held.items() if claim in budgets}

    def acquired(self) -> list[str]:
        """Return the claims that hold acquired budget of a block."""
        return [claim for block in self.blocks().values() for claim in block["status"].get("acquiredBudgetMap", {})]


def set_up(owner: Node, compiled: Compiled, store: ObjectStore, dataset: str, workspaces: Path) -> Team:
    """Have the data owner write blocks of days of their own into a bucket, and register them."""
    start = DAYS * ["gs", "s3"].index(store.scheme)
    place = ("--dataset", dataset, "--start-day", str(start), "--data-dir", store.uri(DATA, "blocks"))
    replace(owner, variables=store.environment).script("demo_blocks.py", *BLOCKS, *place)
    workspaces.mkdir(exist_ok=True)
    marks: list[bytes] = []
    for content in store.objects(DATA).values():
        block = workspaces / "block.h5"
        block.write_bytes(content)
        marks += leaks.marks(block)
    block.unlink()
    return Team(store.node, compiled, store, dataset, workspaces, marks)
