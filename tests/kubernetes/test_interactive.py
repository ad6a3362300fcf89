"""A run within one program is the same on an API server, with a controller and the token of a claimant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.interactive import connect
from privatekube.interactive.client import RunClient
from privatekube.interactive.run import Run
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget
from privatekube.privacy.plan import Plan, PlannedStep
from privatekube.privacy.planned_queries import DiscreteLaplace
from privatekube.privacy.sensitivity import Per
from privatekube.resources import transitions
from tests import waiting
from tests.interactive import builders
from tests.kubernetes.apiserver import ApiServer
from tests.kubernetes.conftest import Starter

pytestmark = pytest.mark.kubernetes


@pytest.fixture
def by(apiserver: ApiServer, store: object, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], RunClient]:
    """Return a function that connects as a user."""

    def connecting(user: str) -> RunClient:
        monkeypatch.setenv("KUBECONFIG", str(apiserver.kubeconfig(user)))
        return connect.connect("kubernetes")

    return connecting


class FailureError(Exception):
    """What a user's program may raise."""


def fail_in(run: Run) -> None:
    with run:
        run.open()
        raise FailureError


def test_a_run_is_paid_or_settled_by_whether_it_was_opened(
    by: Callable[[str], RunClient],
    start: Starter,
    tmp_path: Path,
) -> None:
    start()
    with by("data-owner") as owner:
        owner.create_blocks([builders.block(tmp_path)])
    with by("claimant") as client:
        one = EpsilonDelta(1.0, 1e-9)

        def committed() -> list[PrivacyBudget]:
            waiting.until(lambda: not transitions.status_of(client.get_block("ns/day-0")).locks)
            status = transitions.status_of(client.get_block("ns/day-0"))
            assert not status.acquired
            return list(status.committed.values())

        with pytest.raises(FailureError), client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns"):
            raise FailureError
        assert committed() == []
        with client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns") as run:
            data = builders.opened(run)
            counts = run.count("statistics", data.reviews.stars, keys=range(1, 6), epsilon=0.5)
            with pytest.raises(errors.BudgetExceeded, match="statistics has released already"):
                run.count("statistics", data.reviews.stars, keys=range(1, 6), epsilon=0.5)
        assert list(counts) == [1, 2, 3, 4, 5]
        assert run.receipt is not None
        assert run.receipt.committed == {"ns/day-0": {"epsDel": {"epsilon": 1.0, "delta": 1e-9}}}
        assert committed() == [one]
        plan = Plan((PlannedStep("statistics", DiscreteLaplace(sensitivity=1, per=Per.RECORD)),))
        with client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns", plan=plan) as planned:
            planned.count("statistics", builders.opened(planned).reviews.stars, keys=range(1, 6))
        assert planned.receipt is not None
        assert committed() == [one, one]
        failing = client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns")
        with pytest.raises(FailureError):
            fail_in(failing)
        assert committed() == [one, one, one]
