"""Scenario files: what is read, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy.budget import RenyiCurve
from privatekube.scheduling import ordering, unlocking
from privatekube.scheduling.policy import Policy
from privatekube.simulation import scenario
from privatekube.simulation.replay import Replay, replay

FIELDS = ["id", "arrival_s", "first_block", "num_blocks", "epsilon"]


def content(**changes: Any) -> dict[str, Any]:
    return {
        "block_capacity": [1.0],
        "blocks": [{"id": 0, "arrival": 0.0}, {"id": 1, "arrival": 5.0}],
        "timeout_s": 10,
        "claim_fields": FIELDS,
        "claims": [["a", 1.0, 0, 1, 0.7], ["b", 2.0, 0, 1, 0.7], ["c", 6.0, 0, 2, 0.3], ["d", 7, 1, 1, 0.6]],
    } | changes


def play(unlock: str = "all", order: str = "fcfs", **changes: Any) -> Replay:
    parsed = scenario.parse(content(**changes))
    return replay(parsed, Policy(unlocking.parse(unlock), ordering.parse(order)))


def test_claims_are_granted_as_they_arrive() -> None:
    played = play()
    assert played.granted == ("a", "c", "d")
    assert played.grant_seconds == (1.0, 6.0, 7.0)
    assert [used.values for used in played.used] == [pytest.approx((1.0, 0)), pytest.approx((0.9, 0))]


def test_a_claim_times_out_at_its_timeout_and_not_before() -> None:
    claims = [["a", 0.0, 0, 1, 0.5], ["b", 5.0, 0, 1, 0.0]]
    assert play("t=1s,10s", claims=claims, timeout_s=4).granted == ("b",)
    assert play("t=1s,10s", claims=claims, timeout_s=6).granted == ("a", "b")


def test_a_claim_on_a_block_that_arrives_later_is_never_granted() -> None:
    assert play(claims=[["a", 1.0, 1, 1, 0.1], ["b", 5.0, 1, 1, 0.1]]).granted == ("b",)


def test_offline_all_blocks_and_claims_are_there_at_once() -> None:
    claims = [["a", 1.0, 0, 1, 0.7], ["b", 2.0, 0, 2, 0.3]]
    assert play(kind="offline", order="dpf", claims=claims).granted == ("b", "a")
    assert play("n=4", kind="offline", order="dpf", claims=claims).granted == ()
    with pytest.raises(errors.InvalidInput, match="one moment"):
        play("t=1s,2s", kind="offline")


def test_curves_and_the_gaussian_rule_are_read() -> None:
    claims = [["a", 1.0, 0, 1, 0]]
    fields = [*FIELDS[:-1], "curve"]
    parsed = scenario.parse(
        content(accounting="renyi", alphas=[2, 4], block_capacity=[1, 2], curves=[[0.1, 0.2]], claim_fields=fields)
        | {"claims": claims}
    )
    assert parsed.claims[0].demand == RenyiCurve((2, 4), (0.1, 0.2))
    rule = "claim epsilon e -> Gaussian sigma=sqrt(2 ln(1.25/1e-9))/e; demand at alpha = alpha/(2 sigma^2)"
    parsed = scenario.parse(content(accounting="renyi", alphas=[2, 4], block_capacity=1, demand_rule=rule))
    sigma_squared = 2 * 20.946418 / 0.7**2
    assert parsed.claims[0].demand.values == pytest.approx((1 / sigma_squared, 2 / sigma_squared))


@pytest.mark.parametrize("pack", [lambda text: text.encode(), lambda text: gzip.compress(text.encode())])
def test_a_file_may_be_gzipped(tmp_path: Path, pack: Any) -> None:
    file = tmp_path / "small.json.gz"
    file.write_bytes(pack(json.dumps(content())))
    assert scenario.read(file).name == "small"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claims": [["a", 1.0, 0, 1]]}, "claims\\[0\\]: has 4 fields"),
        ({"claims": [["a", 1.0, 1, 2, 0.1]]}, "asks for blocks 1 to 2 of 2"),
        ({"claims": [["a", 1.0, 0, 1, -0.1]]}, "epsilon: -0.1"),
        ({"claims": [["a", 1.0, 0, 1, float("nan")]]}, "epsilon: nan"),
        ({"claims": [["a", 1.0, 0, 0, 0.1]]}, "num_blocks: 0"),
        ({"claims": [["a", 1.0, 0, 1, 0.1], ["a", 2.0, 0, 1, 0.1]]}, "given twice"),
        ({"claims": []}, "claims"),
        ({"blocks": [{"id": 0}]}, "no arrival"),
        ({"blocks": [{"id": 0, "arrival": 2}, {"id": 1, "arrival": 1}]}, "order of their arrival"),
        ({"block_capacity": "much"}, "capacity"),
        ({"block_capacity": [-1]}, "negative"),
        ({"accounting": "gdp"}, "accounting: 'gdp'"),
        ({"accounting": "renyi", "alphas": [2, 4], "block_capacity": [1]}, "demand_rule"),
        ({"accounting": "renyi", "alphas": [2, 4], "block_capacity": [1, 2, 3]}, "one epsilon per order"),
        ({"accounting": "renyi", "alphas": [0.5], "block_capacity": [1]}, "above 1"),
        ({"timeout_s": -1}, "timeout_s"),
    ],
)
def test_a_faulty_scenario_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        scenario.parse(content(**changes))


def test_a_missing_file_and_a_file_that_is_not_json_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json.gz"
    broken.write_bytes(gzip.compress(b"{}")[:10])
    for path in (tmp_path / "none.json", broken):
        with pytest.raises(errors.InvalidInput, match="scenario"):
            scenario.read(path)


def test_policies_that_cannot_be_combined_are_refused_by_name() -> None:
    with pytest.raises(errors.InvalidInput, match="'rr' with unlock 'all'"):
        play("all", "rr")
