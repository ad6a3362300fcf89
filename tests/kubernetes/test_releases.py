"""In a cluster, too, a claim pays for one release of each step, with the rights of a claimant, whoever is killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client import connect
from privatekube.store.kubernetes.store import KubernetesStore
from tests import builders, waiting
from tests.components.run_steps import Run, declared_block
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter

pytestmark = pytest.mark.kubernetes


def act_as(apiserver: ApiServer, patch: pytest.MonkeyPatch, user: str) -> None:
    patch.setenv("KUBECONFIG", str(apiserver.kubeconfig(user)))
    patch.setenv(connect.STORE, "kubernetes")


@pytest.fixture
def run(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """A run on one block, whose steps have the rights of a claimant."""
    start()
    act_as(apiserver, monkeypatch, "data-owner")
    with connect.connect() as owner:
        owner.create_blocks([declared_block(tmp_path, 0)])
    act_as(apiserver, monkeypatch, "claimant")
    with connect.connect() as client:
        yield Run(tmp_path, client)


def copy_of(run: Run) -> Run:
    copied = Run(run.folder / "copy", run.client)
    shutil.copytree(run.path(""), copied.path(""))
    return copied


@pytest.mark.slow
def test_of_two_runs_from_one_grant_the_second_is_refused_at_its_first_step(run: Run) -> None:
    run.allocate()
    run.download()
    copied = copy_of(run)
    run.preprocess()
    with pytest.raises(errors.BudgetExceeded, match=r"dp_preprocess has released already.*: start a new run"):
        copied.preprocess()
    assert not copied.path("statistics").exists()
    for step in (run.train, run.evaluate, run.consume, run.upload):
        step()


@pytest.mark.slow
def test_of_two_runs_that_release_at_the_same_time_one_is_refused(run: Run) -> None:
    run.allocate()
    run.download()
    runs = [run, copy_of(run)]

    def release(either: Run) -> bool:
        try:
            either.preprocess()
        except errors.BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor() as threads:
        released = list(threads.map(release, runs))
    assert sorted(released) == [False, True]
    assert [either.path("statistics").exists() for either in runs] == released


@pytest.mark.parametrize("attempt", range(3))
def test_one_release_is_registered_though_the_controller_is_killed(
    apiserver: ApiServer, store: KubernetesStore, start: Starter, monkeypatch: pytest.MonkeyPatch, attempt: int
) -> None:
    controller = start("a")
    act_as(apiserver, monkeypatch, "data-owner")
    with connect.connect() as owner:
        owner.create_blocks([builders.block()])
    act_as(apiserver, monkeypatch, "claimant")
    with connect.connect() as client:
        client.allocate("ns", "c", builders.allocate(), timeout_seconds=waiting.PATIENCE_SECONDS)
        client.mark_opened("ns/c")

    def register(output: str) -> bool:
        with connect.connect() as client:
            try:
                client.register_release("ns/c", builders.release(output=output))
            except errors.BudgetExceeded:
                return False
            return True

    with ThreadPoolExecutor() as threads:
        accepted = [threads.submit(register, output) for output in "123"]
        for _ in range(attempt):
            store.list_blocks()
        controller.kill()
        start("b")
        outcomes = [future.result() for future in accepted]
    claim = store.get_claim("ns/c")
    assert claim is not None
    assert sorted(outcomes) == [False, False, True]
    assert claim.releases == {"dp_train": builders.release(output="123"[outcomes.index(True)])}
