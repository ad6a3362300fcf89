"""Starting and stopping a node: it is isolated, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import waiting
from tests.node import node as nodes
from tests.node.node import Node

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]
needs_own_node = pytest.mark.skipif(nodes.KUBECONFIG in os.environ, reason="an existing cluster is used")


def leftovers(name: str, folder: Path) -> list[str]:
    """Return the namespaces, cgroups and mounts of a node, and the processes that run in its folder."""
    namespaces = [path for path in Path("/run/netns").glob("*") if path.name == name]
    cgroups = [path for depth in ("", "*/") for path in Path("/sys/fs/cgroup").glob(f"{depth}{name}")]
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if f"{folder}/" in line]
    processes = []
    for directory in Path("/proc").glob("[0-9]*/cwd"):
        try:
            processes += [directory.parent.name] if directory.resolve().is_relative_to(folder) else []
        except OSError:  # it ended meanwhile
            continue
    return [*map(str, namespaces), *map(str, cgroups), *mounts, *processes]


@needs_own_node
def test_a_second_node_runs_beside_the_first_and_leaves_nothing(node: Node, tmp_path: Path) -> None:
    with nodes.start(tmp_path / "second") as second:
        assert second.network != node.network
        assert second.network is not None
        name = second.network.name
        assert len(leftovers(name, tmp_path)) > 10
        second.kubectl("create", "namespace", "only-here")
        assert "only-here" not in node.kubectl("get", "namespaces")
    assert leftovers(name, tmp_path) == []
    assert {path.name for path in (tmp_path / "second").iterdir()} == {"logs", "podlogs"}


@needs_own_node
def test_a_folder_without_a_node_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    process = subprocess.run([nodes.TOOLS / "down.sh", tmp_path], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (2, f"error: {tmp_path}: no node is up there\n")
    assert (tmp_path / "kept").exists()


@needs_own_node
def test_a_node_goes_down_by_itself_when_its_time_is_over(tmp_path: Path) -> None:
    folder = tmp_path / "forgotten"
    up: list[str | Path] = [nodes.TOOLS / "up.sh", folder, "600"]
    name = subprocess.run(up, stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout.strip()
    limit = (folder / "run" / "processes" / "limit").read_text().split()[0]
    (waits,) = Path(f"/proc/{limit}/task/{limit}/children").read_text().split()
    os.kill(int(waits), signal.SIGTERM)  # the rest of the ten minutes
    waiting.until(lambda: not folder.exists(), lambda: leftovers(name, folder), seconds=60)
    assert leftovers(name, folder) == []
