"""Runs are kept until they are published, live ones are left alone, and private data goes when no step needs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client import connect
from privatekube.client.client import BudgetClient
from privatekube.kubeflow import kept_runs
from privatekube.kubeflow.kept_runs import RunState
from privatekube.kubeflow.run_folder import STEPS, RunFolder, RunRecord
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.block import BlockSpec, PrivateDataBlock
from privatekube.resources.meta import ObjectMeta
from privatekube.resources.requests import AllocateRequest, BudgetDemand
from privatekube.storage import file_locks

ROOT = Path(__file__).resolve().parents[2]
STORE = "sqlite:///state.db"
COMPUTING = ("allocate", "download", "train")
NAMESPACED = [
    *(["unshare", "--pid", "--fork", "--mount-proc"] if os.geteuid() == 0 and shutil.which("unshare") else [])
]
"""How to run a command that sees no process of the tests, where that is allowed."""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(connect.STORE, raising=False)


@pytest.fixture
def client() -> Iterator[BudgetClient]:
    with connect.connect(STORE) as client:
        spec = BlockSpec(dataset="reviews", data_source="reviews.h5", initial_budget=EpsilonDelta(10.0, 1e-6))
        client.create_blocks([PrivateDataBlock(ObjectMeta("monday", "ns"), spec)])
        yield client


def record(run_id: str) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        claim=f"ns/{connect.claim_name(run_id)}",
        store=STORE,
        arguments={},
        project=ROOT,
        folders={},
        in_containers=False,
        steps=(*COMPUTING, "pay", "publish"),
        paying="pay",
        kept=("train/model",),
        last_readers={"download/reviews": "train"},
    )


def claim(client: BudgetClient, run_id: str) -> None:
    request = AllocateRequest(dataset="reviews", expected_budget=BudgetDemand(EpsilonDelta(1.0, 1e-9)))
    client.allocate("ns", connect.claim_name(run_id), request, timeout_seconds=5, settle_after_seconds=1000)


def artifact(folder: RunFolder, name: str) -> Path:
    path = folder.work / STEPS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name)
    return path


def killed_run(run_id: str, *ended: str) -> RunFolder:
    """Return the folder of a run whose process was killed after it had written all and these steps had ended."""
    with kept_runs.created(record(run_id)) as folder:
        for name in ("download/reviews", "train/model", "train/state"):
            artifact(folder, name)
        for step in ended:
            folder.record_end(step, 0)
    return folder


def states() -> dict[str, RunState]:
    return {run.folder.record.run_id: run.state for run in kept_runs.kept()}


def start_another_run() -> None:
    with kept_runs.created(record("another")) as folder:
        pass
    folder.remove()


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("ended", [COMPUTING, (*COMPUTING, "pay")])
def test_what_was_computed_is_kept_when_another_run_starts_and_private_data_is_not(ended: tuple[str, ...]) -> None:
    folder = killed_run("first", *ended)
    artifact(folder, "download/reviews")
    start_another_run()
    assert states() == {"first": RunState.UNPUBLISHED}
    assert [path.name for path in folder.work.rglob("*") if path.is_file()] == ["model"]


def test_a_killed_run_whose_claim_holds_its_budget_can_go_on(client: BudgetClient) -> None:
    folder = killed_run("first", "allocate", "download")
    claim(client, "first")
    start_another_run()
    assert states() == {"first": RunState.INTERRUPTED}
    with kept_runs.opened("first") as again:
        assert again.ended_steps == {"allocate", "download"}
        assert (again.work / STEPS / "download/reviews").exists()
    assert folder.path.exists()


def test_a_run_whose_claim_was_settled_is_removed_and_cannot_go_on(client: BudgetClient) -> None:
    folder = killed_run("first", "allocate", "download")
    claim(client, "first")
    client.settle("ns/run-first")
    assert states() == {"first": RunState.ENDED}
    with pytest.raises(errors.BudgetUnavailable, match="holds no budget any more"), kept_runs.opened("first"):
        pass
    assert not folder.path.exists()


def test_a_run_that_claimed_nothing_is_removed_when_another_starts() -> None:
    folder = killed_run("first")
    start_another_run()
    assert not folder.path.exists()


@pytest.mark.parametrize("prefix", [[], NAMESPACED], ids=["same processes", "another process namespace"])
def test_the_folder_of_a_live_run_is_left_alone(prefix: list[str], tmp_path: Path) -> None:
    program = "from tests.kubeflow import test_kept_runs as t; t.start_another_run(); print(t.states())"
    with kept_runs.created(record("alive")) as folder:
        private = artifact(folder, "download/reviews")
        done = subprocess.run(
            [*prefix, sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        assert private.exists()
        assert "'alive': <RunState.RUNNING" in done.stdout
        with pytest.raises(errors.InvalidInput, match="run alive: is running"), kept_runs.opened("alive"):
            pass


def test_the_lock_is_free_when_its_process_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, signal; from tests.kubeflow import test_kept_runs as t\n"
        "with t.kept_runs.created(t.record('first')): os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=False, timeout=200)
    with file_locks.locked(kept_runs.RUNS / "first" / "lock") as is_ours:
        assert is_ours


def test_only_its_owner_may_enter_the_folder_of_a_run() -> None:
    with kept_runs.created(record("first")) as folder:
        assert folder.path.stat().st_mode & 0o777 == 0o700


def test_data_is_removed_when_its_last_reader_ends() -> None:
    with kept_runs.created(record("first")) as folder:
        private, model = artifact(folder, "download/reviews"), artifact(folder, "train/model")
        folder.record_end("download", 0)
        assert private.exists()
        folder.record_end("train", 0)
        assert not private.exists()
        assert model.exists()


def test_data_is_removed_when_a_step_fails() -> None:
    with kept_runs.created(record("first")) as folder:
        private, model = artifact(folder, "download/reviews"), artifact(folder, "train/model")
        scratch = artifact(folder, "train/scratch/reviews")
        folder.record_end("download", 1)
        assert (private.exists(), scratch.parent.exists(), model.exists()) == (False, False, True)
        assert folder.ended_steps == frozenset()


def test_an_unknown_run_is_refused_with_those_that_are_kept() -> None:
    killed_run("first", *COMPUTING)
    with pytest.raises(errors.NotFound, match=r"run other: does not exist in .*; kept are first"):
        kept_runs.discard("other")


def test_what_is_kept_can_be_discarded_and_its_claim_is_settled(client: BudgetClient) -> None:
    folder = killed_run("first", "allocate")
    claim(client, "first")
    assert kept_runs.discard("first") == "released"
    assert not folder.path.exists()
    assert client.get_claim("ns/run-first").status.acquired == {}


def test_where_a_run_was_published_is_remembered() -> None:
    with kept_runs.created(record("first")) as folder:
        kept_runs.PUBLISHED.write_text('{"run": "torn\n')
        kept_runs.record_published(folder, "gs://bucket/first")
    assert kept_runs.published() == {"first": "gs://bucket/first"}
    assert states() == {}


def test_a_store_that_does_not_answer_loses_no_run(client: BudgetClient, tmp_path: Path) -> None:
    killed_run("first", "allocate")
    claim(client, "first")
    (tmp_path / "state.db").rename(tmp_path / "elsewhere.db")
    (tmp_path / "state.db").mkdir()
    start_another_run()
    assert states() == {"first": RunState.UNKNOWN}
