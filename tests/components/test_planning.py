"""What a run claims, and what is refused before it claims anything."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from privatekube import errors
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from privatekube.steps import documents
from tests import shipped_plan
from tests.components.run_steps import ALL_SETTINGS, OTHER_STEPS, Run, synthetic_block


def _sensitivity(granted: documents.Grant) -> int:
    return documents.CountNoise.planned(
        granted.plan.step("dp_evaluate"), max_contribution=granted.max_contribution
    ).sensitivity


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("demand: {epsDel: {epsilon: 1, delta: 1e-9}}", "plan: demands a budget without steps"),
        ("demand: {epsDel: {epsilon: 0, delta: 1e-9}}", "demand: .* promises epsilon 0, .*; demand an epsilon above 0"),
        (OTHER_STEPS, "plan: steps: 'size, mean-stars' are not those that this pipeline runs, dp_train, dp_preprocess"),
        (
            shipped_plan.TEXT.replace("sensitivity: 1", "sensitivity: 1\n    queries: 2"),
            "not one query with discrete L",
        ),
        ("steps: [{name: a, mechanism: magic}]", "plan: step a: mechanism: 'magic' is unknown"),
        ("steps: [{name: a, mechanism: dp_sgd, epochs: $epochs}]", r"plan: \$epochs: is not an argument of the run"),
        ("steps: [{name: a, mechanism: gaussian, sensitivity: 1, part: b}]", "plan: part: 'b' of step a is not decl"),
    ],
)
def test_a_plan_that_is_wrong_is_refused_before_the_claim(run: Run, plan: str, message: str) -> None:
    with pytest.raises(errors.InvalidInput, match=message):
        run.allocate(plan=plan)
    assert run.client.list_claims() == []


def test_the_grant_says_which_blocks_keep_exact_copies_and_what_they_call_a_record(run: Run) -> None:
    declared = {"unit": "event", "exactCopies": "kept", "recordName": "visit"}
    dimensions = tuple(Dimension(attribute, string_value=value) for attribute, value in declared.items())
    spec = BlockSpec(EpsilonDelta(3, 1e-7), "d", f"file://{run.folder}/copies.h5", dimensions)
    run.client.create_blocks([PrivateDataBlock(ObjectMeta("copies", "ns"), spec)])
    stated = {block.id: (block.copies_kept, block.record_name) for block in run.allocate().blocks}
    assert stated == {"ns/b0": (False, "record"), "ns/b1": (False, "record"), "ns/copies": (True, "visit")}


def test_blocks_of_different_units_are_not_claimed_together(run: Run) -> None:
    digest = synthetic_block(run.folder / "u.h5", 9, unit=PrivacyUnit.USER_DAY, bound=2)
    dimensions = (
        Dimension("startTime", numeric_value="9"),
        Dimension("unit", string_value="user-day"),
        Dimension("maxContribution", numeric_value="2"),
    )
    meta = ObjectMeta("u", "ns", annotations={CONTENT_DIGEST: digest})
    spec = BlockSpec(EpsilonDelta(3, 1e-7), "d", f"file://{run.folder}/u.h5", dimensions)
    run.client.create_blocks([PrivateDataBlock(meta, spec)])
    with pytest.raises(errors.InvalidInput, match=r"different units: event \(at most 1\), user-day \(at most 2\)"):
        run.allocate()
    condition = {"attribute": "unit", "operation": "is", "stringValue": "user-day"}
    granted = run.allocate(conditions=[condition])
    assert (granted.unit, granted.max_contribution, _sensitivity(granted)) == ("user-day", 2, 2)


def test_users_over_all_days_are_planned_with_their_bound_and_claimed_over_one_range(run: Run) -> None:
    for name, first, last in (("early", 20, 29), ("later", 30, 49)):
        digest = synthetic_block(run.folder / f"{name}.h5", first, unit=PrivacyUnit.USER, bound=5)
        dimensions = (
            Dimension("startTime", numeric_value=str(first)),
            Dimension("endTime", numeric_value=str(last)),
            Dimension("unit", string_value="user"),
            Dimension("maxContribution", numeric_value="5"),
        )
        meta = ObjectMeta(name, "ns", annotations={CONTENT_DIGEST: digest})
        spec = BlockSpec(EpsilonDelta(3, 1e-7), "d", f"file://{run.folder}/{name}.h5", dimensions)
        run.client.create_blocks([PrivateDataBlock(meta, spec)])
    unit = {"attribute": "unit", "operation": "is", "stringValue": "user"}
    with pytest.raises(errors.InvalidInput, match="have 2 ranges of days, so a user may be in several"):
        run.allocate(conditions=[unit])
    later = {"attribute": "startTime", "operation": ">=", "numericValue": "30"}
    granted = run.allocate(conditions=[unit, later])
    assert (granted.unit, granted.max_contribution, _sensitivity(granted)) == ("user", 5, 5)


def test_conditions_choose_blocks(run: Run) -> None:
    granted = run.allocate(conditions=[{"attribute": "startTime", "operation": ">=", "numericValue": "1"}])
    assert [block.id for block in granted.blocks] == ["ns/b1"]


def test_a_results_prefix_that_cannot_be_written_is_found_before_the_claim(run: Run) -> None:
    (run.folder / "file").write_text("in the way")
    with pytest.raises(errors.InvalidInput):
        run.allocate(prefix=str(run.folder / "file" / "out"))
    assert run.client.list_claims() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": "lstm", "hidden_dim": 200_000}, "model: 'lstm' with .* and there is 8.0 GiB"),
        ({"learning_rate": 1e38}, "learning_rate: 1e\\+38 may move weights"),
        ({"vocab_size": 105}, "vocab_size: 105 is above the 104 token ids of the blocks; lower it"),
        ({"statistics_fraction": 1e-13}, "plan: step dp_preprocess: share: 1e-13 must be a number from 1e-09 to 1"),
        ({"n_epochs": 600_000}, "n_epochs: 600000 takes 1,200,000 steps"),
        ({"test_fraction": 1}, "settings: test_fraction: 1 must be less than 1"),
        ({"n_epoch": 3}, "settings: n_epoch: unknown; remove it or correct its name"),
    ],
)
def test_a_setting_that_would_let_a_later_step_fail_is_refused_before_the_claim(
    run: Run, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=expected):
        run.allocate(settings=ALL_SETTINGS | changes)
    assert run.client.list_claims() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"step_memory": 1 << 20}, "model: 'bow' .* and there is 0.0 GiB"),
        ({"prefix": "caf\udce9"}, "is not UTF-8 text"),
        ({"check": "privatekube.absent"}, "check: 'privatekube.absent' cannot be imported"),
        ({"check": "../x"}, "check: '../x' is not the name of a module"),
    ],
)
def test_what_would_let_a_later_step_fail_is_refused_before_the_claim(
    run: Run, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(errors.InvalidInput, match=expected):
        run.allocate(**changes)
    assert run.client.list_claims() == []


def test_a_disk_that_is_too_full_for_the_model_is_found_before_the_claim(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(run.folder)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(errors.InvalidInput, match=r"folder: .* has 0 MiB free, and the run may write 1 MiB; free some"):
        run.allocate()
    assert run.client.list_claims() == []
