"""Metrics say what is left of each dataset; alerts ask for metrics that exist."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from privatekube.controller.dataset_metrics import MOST_DATASETS
from privatekube.controller.metrics import Metrics
from privatekube.privacy import renyi_filter
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import conditions, thresholds
from privatekube.resources.block import BlockStatus, PrivateDataBlock
from tests import builders

MONITORING = Path(__file__).resolve().parents[2] / "manifests" / "monitoring"


def used(name: str, share: float, *, whole: PrivacyBudget | None = None, dataset: str = "d") -> PrivateDataBlock:
    """Return a block of which this share is committed."""
    budget = whole or EpsilonDelta(10.0, 1e-6)
    status = BlockStatus(budget * 0.0, budget * (1 - share), committed={"ns/c": budget * share} if share else {})
    block = replace(builders.block(name, budget, dataset=dataset), status=status)
    return conditions.update_block(block, now_ms=0, thresholds=thresholds.DEFAULT)


def gauges(blocks: Sequence[PrivateDataBlock]) -> dict[str, float]:
    """Return the gauges of datasets by their name without the prefix, with their labels."""
    text = Metrics(lambda: blocks, list).text().decode()
    found = re.findall(r"^privatekube_dataset_(\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_a_dataset_says_what_is_left_in_epsilon_and_delta_and_how_many_blocks_are_scarce() -> None:
    found = gauges([used("a", 0.0), used("b", 0.85), used("c", 1.0)])
    labels = '{dataset="d",namespace="ns"}'
    assert {name.removesuffix(labels): round(value, 12) for name, value in found.items()} == {
        "blocks": 3,
        "nearly_exhausted_blocks": 2,
        "exhausted_blocks": 1,
        "delta": 1e-6,
        "epsilon_left": round(11.5 / 3, 12),
        "least_epsilon_left": 0,
        "delta_left": round(1.15e-6 / 3, 12),
        "committed_ratio": round(1.85 / 3, 12),
        "most_committed_ratio": 1,
    }


def test_a_renyi_budget_is_stated_in_epsilon_at_a_delta_and_has_no_delta_that_is_left() -> None:
    found = gauges([used("a", 0.25, whole=renyi_filter.capacity(EpsilonDelta(10.0, 1e-7)))])
    labels = '{dataset="d",namespace="ns"}'
    assert found["epsilon_left" + labels] == pytest.approx(7.5)
    assert found["delta" + labels] == 1e-7
    assert "delta_left" + labels not in found
    assert gauges([used("a", 0.0, whole=RenyiCurve((2,), (0.0,)))])["epsilon_left" + labels] == 0


def test_very_many_blocks_and_datasets_have_few_metrics_and_unchanged_blocks_are_not_computed_again() -> None:
    blocks = [used(f"b{number}", 0.1, dataset=f"d{number % (MOST_DATASETS + 50):03}") for number in range(1000)]
    found = gauges(blocks)
    assert len(found) == 9 * (MOST_DATASETS + 1)
    assert sum(value for name, value in found.items() if name.startswith("blocks")) == 1000
    assert found['blocks{dataset="",namespace=""}'] == 200


def test_each_metric_in_an_alert_exists_and_each_label_that_its_text_names_is_kept() -> None:
    text = Metrics(lambda: [used("a", 0.1)], list).text().decode()
    known = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    labels_of = {
        name: set(re.findall(r'(\w+)="', labels)) for name, labels in re.findall(r"^(\w+)\{(.*)\}", text, re.M)
    }
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["spec"]["groups"]
    alerts = [alert for group in rules for alert in group["rules"]]
    assert len({alert["alert"] for alert in alerts}) == len(alerts) >= 6
    for alert in alerts:
        names = set(re.findall(r"privatekube_\w+", alert["expr"]))
        assert names, alert["alert"]
        assert names <= known, f"{alert['alert']}: {names - known} are not exported"
        by = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", alert["expr"]))))
        said = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
        assert said <= by, f"{alert['alert']}: names labels that its expression drops"
        for name in names & labels_of.keys():
            assert by <= labels_of[name], f"{alert['alert']}: {name} has no labels {by - labels_of[name]}"
        assert alert["labels"]["severity"] in {"warning", "critical"}
