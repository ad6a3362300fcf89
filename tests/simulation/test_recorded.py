"""Replays of recorded scenarios grant what the original schedulers granted.

Sources of the records: dpsched (columbia/PrivateKube) for the online files, privacypacking (columbia/dpack) for the
offline ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from privatekube.scheduling import ordering, unlocking
from privatekube.scheduling.policy import Policy
from privatekube.simulation import scenario
from privatekube.simulation.replay import Replay, replay

SCENARIOS = Path(__file__).resolve().parent.parent / "samples" / "scenarios"


def run(name: str, unlock: str, order: str, record: str) -> tuple[Replay, dict[str, Any], scenario.Scenario]:
    document = scenario.document(SCENARIOS / f"{name}.json.gz")
    parsed = scenario.parse(document)
    played = replay(parsed, Policy(unlocking.parse(unlock), ordering.parse(order)))
    recorded: dict[str, Any] = document["results"][record]
    return played, recorded, parsed


@pytest.mark.parametrize("name", ["offline-rdp-1k", "offline-rdp-10k"])
@pytest.mark.parametrize("order", ["fcfs", "dpf"])
def test_an_offline_pass_grants_the_recorded_claims_in_the_recorded_order(name: str, order: str) -> None:
    played, recorded, _ = run(name, "all", order, order)
    assert list(played.granted) == recorded["grant_order"]


@pytest.mark.parametrize(
    ("name", "unlock", "order", "record"),
    [
        ("online-eps-1block-236", "all", "fcfs", "fcfs"),
        ("online-eps-1block-236", "n=100", "dpf", "dpf_n100_sorted"),
        ("online-eps-stream-80s", "all", "fcfs", "fcfs"),
        ("online-eps-stream-80s", "n=100", "dpf", "dpf_n100_sorted"),
        ("online-eps-stream-800s", "all", "fcfs", "fcfs"),
        ("online-eps-stream-800s", "n=100", "dpf", "dpf_n100_sorted"),
        ("online-rdp-1block-1000", "all", "fcfs", "fcfs"),
        ("online-rdp-1block-1000", "n=450", "dpf", "dpf_n450_sorted"),
    ],
)
def test_online_the_recorded_claims_are_granted_at_the_recorded_times(
    name: str, unlock: str, order: str, record: str
) -> None:
    played, recorded, _ = run(name, unlock, order, record)
    assert sorted(played.granted, key=int) == recorded["granted"]
    times = dict(zip(played.granted, played.grant_seconds, strict=True))
    expected = dict(zip(recorded["granted"], recorded["grant_time"], strict=True))
    assert times == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "record"),
    [("offline-rdp-1k", "dpack_p100"), ("offline-rdp-1k", "dpack_p10"), ("offline-rdp-10k", "dpack_p1000")],
)
def test_dpack_grants_at_least_as_many_as_recorded(name: str, record: str) -> None:
    played, recorded, _ = run(name, "all", "dpack", record)
    assert len(played.granted) >= recorded["granted_count"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "record", "unlock"),
    [
        ("online-eps-1block-236", "dpf_t100", "t=1s,100s"),
        ("online-eps-stream-80s", "dpf_t", "t=40ms,30s"),
        ("online-eps-stream-800s", "dpf_t", "t=40ms,30s"),
    ],
)
def test_time_unlocks_for_as_many_as_recorded(name: str, record: str, unlock: str) -> None:
    """The record ends with the last arrival; a replay also grants later, while claims still wait."""
    played, recorded, parsed = run(name, unlock, "dpf", record)
    end = parsed.claims[-1].arrival_seconds
    until_the_end = sum(seconds <= end for seconds in played.grant_seconds)
    assert until_the_end == pytest.approx(recorded["granted_count"], rel=0.01)
    assert len(played.granted) >= recorded["granted_count"]


@pytest.mark.parametrize("name", ["online-eps-1block-236", "online-eps-stream-80s"])
def test_round_robin_grants_at_least_as_many_as_recorded(name: str) -> None:
    """The original grants shares in part and loses those of claims that time out; here such shares stay available."""
    played, recorded, _ = run(name, "n=100", "rr", "rr_n100")
    assert len(played.granted) >= recorded["granted_count"]


@pytest.mark.parametrize("order", sorted(ordering.ORDERINGS))
@pytest.mark.parametrize("name", ["online-eps-stream-80s", "online-rdp-1block-1000"])
def test_a_replay_spends_at_most_what_is_unlocked_and_unlocks_at_most_the_capacity(name: str, order: str) -> None:
    played, _, _ = run(name, "n=100", order, "fcfs")
    assert all(used <= unlocked + 1e-9 for used, unlocked in zip(played.used_share, played.unlocked_share, strict=True))
    assert all(0 <= unlocked <= 1 + 1e-9 for unlocked in played.unlocked_share)
