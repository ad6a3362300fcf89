"""Two neighbouring data sets, the same noise, a budget in custom resources: what a viewer can read is the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from privatekube.store.kubernetes.store import KubernetesStore
from tests import waiting
from tests.e2e import neighbours
from tests.kubernetes import stores
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter
from tests.kubernetes.controllers import ControllerProcess
from tests.kubernetes.test_pipeline import InCluster

KINDS = ("privatedatablocks", "privacybudgetclaims", "privacyledgerentries", "retiredprivatedata")
COUNTED = re.compile(r"^privatekube_(dataset|claims|grants|refusals|leader)(?!\S*_created)\S* .*", re.MULTILINE)
"""The metrics that count blocks and claims; the others count time, writes and what happened to other processes."""


class QuietInCluster(InCluster):
    """A user of the cluster whose runs draw the same noise each."""

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of the commands."""
        return neighbours.with_same_noise(super().environment)


def resources(apiserver: ApiServer, kind: str) -> str:
    """Return all resources of a kind as a viewer gets them, without the versions that the server counts."""
    listed = json.loads(apiserver.kubectl("get", kind, "-A", "-o", "json", user="viewer"))
    for item in listed["items"]:
        del item["metadata"]["resourceVersion"]
    return json.dumps(listed, indent=1)


def events(apiserver: ApiServer) -> str:
    """Return the Events of all namespaces, in the order of their text."""
    listed = json.loads(apiserver.kubectl("get", "events", "-A", "-o", "json"))["items"]
    told = {(e["involvedObject"]["kind"], e["involvedObject"]["name"], e["reason"], e["message"]) for e in listed}
    return "\n".join(map(str, sorted(told)))


def log(controller: ControllerProcess) -> str:
    """Return what the controller logged, without times and repetitions."""
    timed = ("time", "address", "identity")
    entries = ({k: v for k, v in entry.items() if k not in timed} for entry in controller.log_entries())
    return "\n".join(sorted({json.dumps(entry, sort_keys=True) for entry in entries}))


def wait_until_complete(apiserver: ApiServer, controller: ControllerProcess) -> None:
    """Wait for what the controller writes, counts and tells after its last answer."""
    waiting.until(lambda: "lockedBudgetMap" not in resources(apiserver, KINDS[0]), controller.log)
    passes = "privatekube_decision_seconds_count"
    last = controller.metric(passes) + 2
    waiting.until(lambda: controller.metric(passes) >= last, controller.log)
    logged = {str(entry["message"]) for entry in controller.log_entries() if "reason" in entry}
    waiting.until(lambda: all(repr(message) in events(apiserver) for message in logged), controller.log)


def everything_seen(apiserver: ApiServer, start: Starter, folder: Path, lines: Mapping[str, Any]) -> dict[str, str]:
    """Run the whole pipeline over a source, and return what others can read in the cluster afterwards."""
    stores.clear(apiserver)
    apiserver.kubectl("delete", "events", "--all", "-A")
    controller = start("a", "--unlock", "all", "--period", "1s")
    folder.mkdir()
    owner, runner = (QuietInCluster(folder, apiserver.kubeconfig(user)) for user in ("data-owner", "claimant"))
    neighbours.create(owner, dict(lines))
    runner.pipeline(*neighbours.SETTINGS)
    wait_until_complete(apiserver, controller)
    texts = {kind: resources(apiserver, kind) for kind in KINDS}
    texts["events"] = events(apiserver)
    texts["metrics"] = "\n".join(match.group() for match in COUNTED.finditer(controller.get("/metrics")[1]))
    texts |= neighbours.published(runner)
    controller.stop()
    texts["log"] = log(controller)
    digests = neighbours.public_digests(runner, owner)
    return {name: neighbours.comparable(text, runner, digests) for name, text in texts.items()}


@pytest.mark.kubernetes
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_neighbouring_datasets_leave_the_same_resources_events_metrics_and_log(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, tmp_path: Path
) -> None:
    seen = [everything_seen(apiserver, start, tmp_path / name, lines) for name, lines in neighbours.data_sets().items()]
    assert seen[0].keys() == seen[1].keys()
    for name, text in seen[0].items():
        assert seen[1][name] == text, f"{name} depends on one review"
    assert "privatekube_dataset_committed_ratio" in seen[0]["metrics"]
