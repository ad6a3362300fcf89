"""The whole pipeline with its budget in custom resources: steps on this machine, the controller as a process."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from privatekube.store.kubernetes.store import KubernetesStore
from tests import waiting
from tests.e2e.conftest import Laptop, committed
from tests.e2e.test_run import FILES, latest, receipt
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]


@dataclass(frozen=True)
class InCluster(Laptop):
    """A laptop whose budget is in a cluster, with a user's kubeconfig."""

    kubeconfig: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a user of the cluster."""
        return {**super().environment, "PRIVATEKUBE_STORE": "kubernetes", "KUBECONFIG": str(self.kubeconfig)}


def user(apiserver: ApiServer, folder: Path, name: str) -> InCluster:
    return InCluster(folder, apiserver.kubeconfig(name))


def test_a_run_pays_in_custom_resources_and_publishes_the_same(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, tmp_path: Path
) -> None:
    start("a", "--unlock", "all")
    owner, runner = user(apiserver, tmp_path, "data-owner"), user(apiserver, tmp_path, "claimant")
    owner.run("demo_blocks.py", "create", "--local-files", "--days", "2", "--accounting", "epsdel")
    shown = runner.pipeline()
    assert {path.name for path in latest(runner).iterdir()} == FILES
    paid = receipt(runner)
    blocks: dict[str, Any] = {}

    def has_completed() -> bool:  # the answer is the decision, and the controller may complete its locks a little later
        listed = json.loads(apiserver.kubectl("get", "pb", "-n", "privacy-example", "-o", "json", user="viewer"))
        blocks.update({f"privacy-example/{block['metadata']['name']}": block for block in listed["items"]})
        return not any("lockedBudgetMap" in block["status"] for block in blocks.values())

    waiting.until(has_completed)
    assert set(paid["committed"]) == set(blocks)
    for block_id, budget in paid["committed"].items():
        held = blocks[block_id]["status"]["committedBudgetMap"][paid["claim"]]
        assert held["epsDel"] == pytest.approx(budget["epsDel"], abs=1e-9)
        assert committed(blocks[block_id]) == pytest.approx(1.0)
    assert paid["claim"] in shown.replace("\n", "")
    assert "entries" in owner.run("privatekube", "ledger", "--verify")
    card = str(latest(runner) / "privacy-card.json")
    checks = user(apiserver, tmp_path, "viewer").run("privatekube", "verify-card", card)
    assert "signature: valid" in checks
    assert "ledger: has the entries of claim" in checks
    on_this_machine = Laptop(tmp_path / "elsewhere")
    os.mkdir(on_this_machine.folder)
    on_this_machine.run("demo_blocks.py", "create", "--days", "2")
    on_this_machine.pipeline()
    assert receipt(on_this_machine)["epsilon"] == pytest.approx(paid["epsilon"])


def test_a_run_that_finds_no_budget_ends_as_on_a_laptop(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, tmp_path: Path
) -> None:
    start("a", "--unlock", "all")
    owner, runner = user(apiserver, tmp_path, "data-owner"), user(apiserver, tmp_path, "claimant")
    owner.run("demo_blocks.py", "create", "--local-files", "--days", "1", "--epsilon", "0.5")
    refusal = runner.pipeline(status=3)
    line = next(line for line in refusal.splitlines() if line.startswith("error:"))
    assert "asked" in line
    assert store.list_claims() == []


def test_the_command_line_shows_the_same(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, tmp_path: Path
) -> None:
    start("a", "--unlock", "n=10")
    owner, runner = user(apiserver, tmp_path, "data-owner"), user(apiserver, tmp_path, "claimant")
    owner.run("demo_blocks.py", "create", "--local-files", "--days", "1")
    assert "amazon-2013-01-01-0" in runner.run("demo_blocks.py", "list")
    assert "unlock: n=10" in runner.run("privatekube", "policy")
    plan = ("privatekube", "plan", "--arguments", str(Path(__file__).parents[2] / "arguments.yaml"))
    assert "would be granted now, on 1 block" in runner.run(*plan)
    assert "policy: is set at the controller" in runner.run("privatekube", "policy", "--unlock", "all", status=2)
    owner.run("demo_blocks.py", "delete", "--all")
    assert store.list_blocks() == []
    refused = runner.run("demo_blocks.py", "create", "--local-files", "--days", "1", "--dataset", "other", status=2)
    assert "refused by the API server" in refused
