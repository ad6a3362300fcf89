"""The scenarios of PrivateKube's macrobenchmark, small: what was published of the workload, and what policies grant."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from privatekube.scheduling.policy import Policy
from privatekube.simulation import scenario
from privatekube.simulation.replay import Replay, replay
from tests.simulation import programs

SMALL = {"days": 2, "claims_per_day": 200}


@pytest.fixture(scope="module")
def macrobenchmark() -> ModuleType:
    return programs.load("macrobenchmark")


def played(document: dict[str, Any], unlock: str, order: str) -> Replay:
    return replay(scenario.parse(document), Policy.parse({"unlock": unlock, "order": order}))


def test_under_event_dp_24_models_and_18_statistics_take_the_published_days(macrobenchmark: ModuleType) -> None:
    unit = macrobenchmark.UNITS["event"]
    assert sum(pipeline.days for pipeline in macrobenchmark.models(unit)) == 97
    assert len(macrobenchmark.models(unit)) == 24
    assert [pipeline.days for pipeline in macrobenchmark.statistics(unit)] == [1] * 18


def test_the_curve_of_a_training_is_the_published_one(macrobenchmark: ModuleType) -> None:
    """product-lstm at epsilon 0.5 under event DP."""
    curve = macrobenchmark.training_curve(165_215, 15, 0.5)
    assert (curve.at(2), curve.at(8), curve.at(64)) == pytest.approx((0.0051728, 0.0207362, 0.1693527), rel=0.02)


def test_a_larger_unit_takes_no_fewer_days(macrobenchmark: ModuleType) -> None:
    for made in (macrobenchmark.models, macrobenchmark.statistics):
        of_event = {pipeline.name: pipeline.days for pipeline in made(macrobenchmark.UNITS["event"])}
        for unit in ("user-time", "user"):
            of_unit = made(macrobenchmark.UNITS[unit])
            assert of_unit
            assert all(pipeline.days >= of_event[pipeline.name] for pipeline in of_unit)


@pytest.mark.parametrize("unit", ["event", "user-time", "user"])
def test_dominant_private_block_fairness_grants_more_than_first_come_first_served(
    macrobenchmark: ModuleType, unit: str
) -> None:
    document = macrobenchmark.document(unit, **SMALL)
    assert len(played(document, "n=300", "dpf").granted) > len(played(document, "all", "fcfs").granted)


def test_renyi_blocks_grant_more_than_blocks_of_pairs(macrobenchmark: ModuleType) -> None:
    renyi, pairs = (macrobenchmark.document("event", accounting_name=name, **SMALL) for name in ("renyi", "epsilon"))
    assert len(played(renyi, "n=300", "dpf").granted) > len(played(pairs, "n=300", "dpf").granted)


def test_the_same_claims_are_granted_where_a_day_is_cut_into_buckets_of_users(macrobenchmark: ModuleType) -> None:
    whole, cut = (macrobenchmark.document("event", buckets=buckets, **SMALL) for buckets in (1, 10))
    assert len(cut["blocks"]) == 10 * len(whole["blocks"])
    assert played(cut, "n=300", "dpf").granted == played(whole, "n=300", "dpf").granted
