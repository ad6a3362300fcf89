"""Each step by its function: it may be repeated, none pays or releases twice, and overspending is refused."""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.allocate.__main__ import allocate
from components.consume.__main__ import consume
from components.download.__main__ import download
from components.dp_evaluate.__main__ import dp_evaluate
from components.dp_preprocess.__main__ import dp_preprocess
from components.dp_train.__main__ import dp_train
from components.release.__main__ import release
from components.upload.__main__ import upload
from pipelines import dp_lstm
from privatekube import errors
from privatekube.client import connect, plan_file
from privatekube.client.client import BudgetClient
from privatekube.data import block_file, columns, stored_block, word_vectors
from privatekube.data.metadata import content_digest
from privatekube.engine import sealing_keys
from privatekube.privacy import events, solving
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.plan import Plan
from privatekube.privacy.sensitivity import Per
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import transitions
from privatekube.resources.block import BlockSpec, Dimension, PrivateDataBlock
from privatekube.resources.meta import CONTENT_DIGEST, ObjectMeta
from privatekube.runs import hook
from privatekube.steps import arguments, clear_inputs, documents, dp_step, sealing
from privatekube.training import checkpoint, run_check
from tests import builders, shipped_plan
from tests.steps.builders import DECLARED, SETTINGS


def synthetic_block(
    path: Path,
    day: int,
    *,
    unit: PrivacyUnit = PrivacyUnit.EVENT,
    bound: int = 1,
    n: int = 200,
    words: str = "sha256:words",
) -> str:
    chance = np.random.default_rng(day)
    length = 5
    made = columns.Reviews(
        user=np.arange(n) + 1000 * day,
        product=chance.integers(0, 50, n),
        time=np.full(n, columns.FIRST_DAY_SECONDS + day * columns.SECONDS_PER_DAY),
        category=chance.integers(0, 3, n).astype(np.int16),
        stars=chance.integers(1, 6, n).astype(np.int8),
        summary_length=np.zeros(n, np.int32),
        tokens=chance.integers(4, 60, n * length).astype(np.int32),
        offsets=np.arange(n + 1) * length,
    )
    return block_file.write(
        path,
        made,
        block_file.Metadata("d", day, day, 0, 1, "key", words, 100, "words", unit, bound, ("a", "b", "c")),
    )


def declared_block(folder: Path, day: int, **of_data: Any) -> PrivateDataBlock:
    """Write the data of a day to a file in `folder` and return its block."""
    path = folder / f"{day}.h5"
    meta = ObjectMeta(f"b{day}", "ns", annotations={CONTENT_DIGEST: synthetic_block(path, day, **of_data)})
    dimensions = (
        Dimension("startTime", numeric_value=str(day)),
        Dimension("unit", string_value="event"),
        Dimension("vocabularySize", numeric_value="100"),
    )
    return PrivateDataBlock(meta, BlockSpec(EpsilonDelta(3, 1e-7), "d", f"file://{path}", dimensions))


ALL_SETTINGS = SETTINGS | {"statistics_fraction": 0.05, "test_fraction": 0.3, "n_epochs": 1, "sampling_rate": 0.5}


@dataclass
class Run:
    """The artifacts of a run, and its steps with fitting arguments."""

    folder: Path
    client: BudgetClient

    def path(self, name: str) -> Path:
        return self.folder / "run" / name

    def allocate(self, **changes: Any) -> documents.Grant:
        arguments: dict[str, Any] = {
            "run_id": "r1",
            "namespace": "ns",
            "dataset": "d",
            "n_blocks": "all",
            "conditions": [],
            "epsilon": 1.0,
            "delta": 1e-9,
            "timeout_seconds": 5,
            "settle_after_seconds": 60,
            "plan": shipped_plan.TEXT,
            "check": run_check.__name__,
            "settings": ALL_SETTINGS,
            "prefix": str(self.folder / "out"),
            "step_memory": 8 << 30,
            "grant": self.path("grant"),
        }
        allocate(**arguments | DECLARED | changes)
        return documents.read(documents.Grant, self.path("grant"))

    @property
    def workspace(self) -> Path:
        folder = self.path("workspace")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clear(self, name: str) -> Path:
        """Return the file in clear of what a step has released: the artifact is sealed."""
        return clear_inputs.find(self.workspace, self.path(name))

    def download(self) -> None:
        download(grant=self.path("grant"), workspace=self.workspace, blocks=self.path("blocks"))

    def preprocess(self) -> None:
        names = ("blocks", "dataset", "statistics")
        paths = {name: self.path(name) for name in names}
        dp_preprocess(grant=self.path("grant"), workspace=self.workspace, **paths, spend=self.path("s1"))

    def train(self) -> None:
        dp_train(
            grant=self.path("grant"),
            workspace=self.workspace,
            dataset=self.path("dataset"),
            statistics=self.clear("statistics"),
            device="cpu",
            checkpoint=self.path("checkpoint"),
            spend=self.path("s2"),
        )

    def evaluate(self) -> None:
        paths = {name: self.path(name) for name in ("grant", "dataset", "metrics")}
        dp_evaluate(
            **paths, checkpoint=self.clear("checkpoint"), workspace=self.workspace, device="cpu", spend=self.path("s3")
        )

    def consume(self) -> documents.Receipt:
        spends = [self.path(name) for name in ("s1", "s2", "s3")]
        consume(grant=self.path("grant"), spend=spends, receipt=self.path("receipt"))
        return documents.read(documents.Receipt, self.path("receipt"))

    def upload(self, *names: str) -> Path:
        files = {name: self.path(name) for name in ("grant", "receipt", "location")}
        released = [self.path(name) for name in dp_lstm.PUBLISHED]
        prefix = str(self.folder / "out")
        upload(
            released=released, names=list(names) or list(dp_lstm.PUBLISHED.values()), images={}, prefix=prefix, **files
        )
        return Path(self.path("location").read_text())

    def to_the_end(self) -> None:
        self.allocate()
        for step in (self.download, self.preprocess, self.train, self.evaluate):
            step()


@pytest.fixture(scope="session")
def solve() -> Callable[..., solving.SolvedPlan]:
    """`solving.solve`, which is slow, computing each plan once; the plan of most tests before they start."""
    cached = functools.cache(solving.solve)
    plan = plan_file.parse(shipped_plan.TEXT, {"statistics_fraction": 0.05, "sampling_rate": 0.5, "n_epochs": 1})
    assert isinstance(plan, Plan)
    cached(plan, epsilon=1.0, delta=1e-9, max_contribution=1)
    return cached


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solve: Callable[..., solving.SolvedPlan]) -> Iterator[Run]:
    monkeypatch.setattr(solving, "solve", solve)
    uri = f"sqlite:///{tmp_path}/state.db"
    monkeypatch.setenv(connect.STORE, uri)
    with connect.connect(uri) as client:
        client.create_blocks([declared_block(tmp_path, day) for day in range(2)])
        yield Run(tmp_path, client)


def _sensitivity(granted: documents.Grant) -> int:
    return documents.CountNoise.planned(
        granted.plan.step("dp_evaluate"), max_contribution=granted.max_contribution
    ).sensitivity


def committed(client: BudgetClient) -> list[float]:
    return [
        sum(amount.values[0] for amount in transitions.status_of(block).committed.values())
        for block in client.list_blocks()
    ]


def test_every_step_may_be_repeated_and_nothing_is_paid_or_released_twice(run: Run) -> None:
    steps: list[Callable[[], Any]] = [run.allocate, run.download, run.preprocess, run.train, run.evaluate, run.consume]
    for step in [*steps, run.upload]:
        step()
        before = {path: path.read_bytes() for path in run.path("").rglob("*") if path.is_file()}
        step()
        assert {path: path.read_bytes() for path in run.path("").rglob("*") if path.is_file()} == before
    assert committed(run.client) == [1.0, 1.0]
    assert len(run.client.list_claims()) == 1


def _release_as_planned(run: Run, granted: documents.Grant, name: str) -> None:
    event = events.from_json(granted.plan.step(name).event)
    dp_step.run(
        name,
        lambda _granted: dp_step.Release(event, (b"noisy",)),
        grant=run.path("grant"),
        workspace=run.workspace,
        outputs=(run.path(name),),
        spend=run.path(f"{name}-spend"),
    )


OTHER_STEPS = """
steps:
  - {name: size, mechanism: discrete_laplace, sensitivity: 1, per: record, share: 0.5}
  - {name: mean-stars, mechanism: gaussian, sensitivity: 5, part: some, share: free}
disjoint: [some]
"""


def test_a_run_of_other_steps_is_planned_and_paid_by_the_same_components(run: Run) -> None:
    granted = run.allocate(plan=OTHER_STEPS, check=hook.NO_CHECK, settings={"rounds": 3})
    assert granted.settings == {"rounds": 3}
    assert granted.plan.names == ("size", "mean-stars")
    assert granted.plan.step("size").parameters == {"scale": 2.0, "sensitivity": 1, "queries": 1}
    run.download()
    for name in granted.plan.names:
        _release_as_planned(run, granted, name)
    with pytest.raises(errors.InvalidInput, match="step: 'dp_train' is not in the plan, which has size, mean-stars"):
        dp_step.run(
            "dp_train",
            lambda _granted: dp_step.Release(events.composition(), ()),
            grant=run.path("grant"),
            workspace=run.workspace,
            outputs=(),
            spend=run.path("s"),
        )
    spends = [run.path(f"{name}-spend") for name in reversed(granted.plan.names)]
    with pytest.raises(errors.BudgetExceeded, match="spends: are of size, not of size, mean-stars"):
        consume(grant=run.path("grant"), spend=spends[1:], receipt=run.path("receipt"))
    consume(grant=run.path("grant"), spend=spends, receipt=run.path("receipt"))
    paid = documents.read(documents.Receipt, run.path("receipt"))
    assert [(spend.step, spend.part) for spend in paid.spends] == [("size", "all"), ("mean-stars", "some")]
    assert 0.99 < paid.epsilon <= 1.0
    assert committed(run.client) == [1.0, 1.0]


def test_noise_for_less_than_the_stated_sensitivity_is_not_paid_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def forged(plan: solving.SolvedPlan) -> documents.GrantedPlan:
        granted = of(plan)
        stated = documents.StatedSensitivity(value=2, per=Per.RECORD)
        first, *others = granted.steps
        return granted.model_copy(update={"steps": (first.model_copy(update={"sensitivity": stated}), *others)})

    of = documents.GrantedPlan.of
    monkeypatch.setattr(documents.GrantedPlan, "of", forged)
    granted = run.allocate(plan=OTHER_STEPS, check=hook.NO_CHECK, settings={})
    run.download()
    for name in granted.plan.names:
        _release_as_planned(run, granted, name)
    spends = [run.path(f"{name}-spend") for name in granted.plan.names]
    with pytest.raises(errors.BudgetExceeded, match="sensitivity of size: the run states 1, and 2"):
        consume(grant=run.path("grant"), spend=spends, receipt=run.path("receipt"))
    assert committed(run.client) == [0, 0]


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


def _release(run: Run, name: str, event: events.DpEvent) -> None:
    dp_step.run(
        name,
        lambda _granted: dp_step.Release(event, (name.encode(),)),
        grant=run.path("grant"),
        workspace=run.workspace,
        outputs=(run.path(name),),
        spend=run.path(f"{name}-spend"),
    )


def _consume_demand(run: Run, ran: dict[str, events.DpEvent]) -> documents.Receipt:
    run.allocate(plan="demand: {epsDel: {epsilon: 1, delta: 1e-8}}", check=hook.NO_CHECK, settings={}, epsilon=0.1)
    run.download()
    for name, event in ran.items():
        _release(run, name, event)
    consume(grant=run.path("grant"), spend=[run.path(f"{name}-spend") for name in ran], receipt=run.path("receipt"))
    return documents.read(documents.Receipt, run.path("receipt"))


def test_a_budget_that_is_demanded_without_a_plan_pays_for_steps_that_cost_at_most_that(run: Run) -> None:
    ran = {"sizes": events.discrete_laplace(2.5, 1), "means": events.gaussian(16.0)}
    paid = _consume_demand(run, ran)
    granted = documents.read(documents.Grant, run.path("grant"))
    assert (granted.epsilon, granted.delta, granted.plan.steps) == (1.0, 1e-8, ())
    assert [(spend.step, spend.part) for spend in paid.spends] == [("means", "all"), ("sizes", "all")]
    assert (paid.epsilon, paid.delta) == (1.0, 1e-8)
    assert committed(run.client) == [1.0, 1.0]


@pytest.mark.parametrize("event", [events.discrete_laplace(1.5, 1), events.gaussian(4.0)])
def test_a_budget_that_is_demanded_without_a_plan_pays_for_nothing_more(run: Run, event: events.DpEvent) -> None:
    with pytest.raises(errors.BudgetExceeded, match=r"spends: would take the run to .*above its epsilon 1, delta"):
        _consume_demand(run, {"sizes": events.discrete_laplace(2.5, 1), "more": event})
    assert committed(run.client) == [0, 0]


def test_of_a_budget_without_a_plan_every_step_that_released_must_be_paid(run: Run) -> None:
    ran = {"sizes": events.discrete_laplace(2.5, 1)}
    run.allocate(plan="demand: {epsDel: {epsilon: 1, delta: 1e-8}}", check=hook.NO_CHECK, settings={})
    run.download()
    for name in ("sizes", "hidden"):
        _release(run, name, ran["sizes"])
    with pytest.raises(errors.BudgetExceeded, match="spends: are of sizes, not of hidden, sizes; pass the spend of ea"):
        consume(grant=run.path("grant"), spend=[run.path("sizes-spend")], receipt=run.path("receipt"))
    assert committed(run.client) == [0, 0]


def test_a_step_over_other_inputs_does_not_release_a_second_time(run: Run) -> None:
    run.allocate()
    run.download()
    run.preprocess()
    granted = documents.read(documents.Grant, run.path("grant"))
    documents.write(granted.model_copy(update={"blocks": granted.blocks[:1]}), run.path("grant"))
    with pytest.raises(errors.BudgetExceeded, match="second release"):
        run.preprocess()
    run.path("s1").unlink()
    with pytest.raises(errors.BudgetExceeded, match="dp_preprocess has released already"):
        run.preprocess()


def test_a_step_reads_the_granted_blocks_and_no_others(run: Run) -> None:
    run.allocate(run_id="r0", conditions=[{"attribute": "startTime", "operation": ">=", "numericValue": "1"}])
    run.download()
    run.allocate()
    with pytest.raises(errors.CorruptData, match="is of other blocks"):
        run.preprocess()
    run.download()
    column = run.path("blocks") / "000.npy"
    column.write_bytes(column.read_bytes()[:-1] + b"7")
    with pytest.raises(errors.CorruptData, match="altered"):
        run.preprocess()


def test_the_reviews_are_handed_on_without_a_copy_and_stay_when_those_of_download_are_removed(run: Run) -> None:
    run.allocate()
    for step in (run.download, run.preprocess):
        step()
    handed_on = {path.name: path.stat().st_ino for path in run.path("dataset").iterdir()}
    assert handed_on == {path.name: path.stat().st_ino for path in run.path("blocks").iterdir()}
    shutil.rmtree(run.path("blocks"))
    run.train()


def test_a_block_that_fails_leaves_nothing_of_the_others_in_the_workspace(run: Run) -> None:
    run.allocate()
    (run.folder / "1.h5").unlink()
    with pytest.raises(errors.NotFound):
        run.download()
    assert list(run.workspace.iterdir()) == []


def test_the_grant_says_which_blocks_keep_exact_copies_and_what_they_call_a_record(run: Run) -> None:
    declared = {"unit": "event", "exactCopies": "kept", "recordName": "visit"}
    dimensions = tuple(Dimension(attribute, string_value=value) for attribute, value in declared.items())
    spec = BlockSpec(EpsilonDelta(3, 1e-7), "d", f"file://{run.folder}/copies.h5", dimensions)
    run.client.create_blocks([PrivateDataBlock(ObjectMeta("copies", "ns"), spec)])
    stated = {block.id: (block.copies_kept, block.record_name) for block in run.allocate().blocks}
    assert stated == {"ns/b0": (False, "record"), "ns/b1": (False, "record"), "ns/copies": (True, "visit")}


def test_downloaded_blocks_can_be_read_by_their_owner_alone(run: Run) -> None:
    run.allocate()
    before = os.umask(0o022)
    try:
        run.download()
    finally:
        os.umask(before)
    paths = [run.path("blocks"), *run.path("blocks").iterdir()]
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o700, *[0o600] * (len(paths) - 1)]


def test_nothing_published_is_a_digest_of_the_merged_data(run: Run) -> None:
    run.to_the_end()
    run.consume()
    merged = stored_block.read_reviews(run.path("dataset"))
    plain = content_digest(merged.reviews, merged.metadata)
    digests = [digest.rpartition(":")[2].encode() for digest in (merged.digest, plain)]
    for path in run.upload().iterdir():
        assert not any(digest in path.read_bytes() for digest in digests)


def test_two_runs_draw_different_noise(run: Run) -> None:
    released = set()
    for attempt in range(3):
        run.path("s1").unlink(missing_ok=True)
        run.allocate(run_id=f"r{attempt}")
        run.download()
        run.preprocess()
        released.add(run.clear("statistics").read_text())
        assert len(released) == attempt + 1


MADE_UP: dict[str, Callable[[documents.Json], documents.Json]] = {
    "nothing": lambda _event: {"type": "composed", "events": []},
    "more noise": lambda event: event | {"event": gaussian(0.5, 100.0)},
    "less noise": lambda event: event | {"event": gaussian(0.5, 1.0)},
    "another rate": lambda event: event | {"event": event["event"] | {"sampling_probability": 0.25}},
    "fewer steps": lambda event: event | {"count": 1},
    "another mechanism": lambda _event: events.to_json(events.discrete_laplace(1e6, 1)),
}


def gaussian(rate: float, noise: float) -> documents.Json:
    return documents.Json(events.to_json(events.poisson_gaussian(rate, noise, 1))["event"])


@pytest.mark.parametrize("change", list(MADE_UP.values()), ids=list(MADE_UP))
def test_training_that_ran_another_event_than_planned_is_not_paid_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, change: Callable[[documents.Json], documents.Json]
) -> None:
    for step in (run.allocate, run.download, run.preprocess):
        step()
    with monkeypatch.context() as patch:
        patch.setattr(dp_step, "events", SimpleNamespace(to_json=lambda event: change(events.to_json(event))))
        run.train()
    run.evaluate()
    with pytest.raises(errors.BudgetExceeded, match="event of dp_train: the run states"):
        run.consume()
    assert committed(run.client) == [0, 0]
    assert not run.path("receipt").exists()


@pytest.mark.parametrize("change", list(MADE_UP.values()), ids=list(MADE_UP))
def test_a_spend_that_states_something_else_than_was_registered_is_refused(
    run: Run, change: Callable[[documents.Json], documents.Json]
) -> None:
    run.to_the_end()
    spend = documents.read(documents.Spend, run.path("s2"))
    documents.write(spend.model_copy(update={"event": change(spend.event)}), run.path("s2"))
    with pytest.raises(errors.BudgetExceeded, match="spend of dp_train: is not what the step registered"):
        run.consume()
    assert committed(run.client) == [0, 0]


def test_a_run_that_registered_something_beside_its_plan_is_not_paid_for(run: Run) -> None:
    run.to_the_end()
    run.client.register_release("ns/run-r1", builders.release("dp_more"))
    with pytest.raises(errors.BudgetExceeded, match=r"registered steps: .*dp_more"):
        run.consume()
    assert committed(run.client) == [0, 0]


def test_of_two_runs_from_one_grant_the_second_is_refused_at_its_first_step(run: Run) -> None:
    run.allocate()
    run.download()
    copied = Run(run.folder / "copy", run.client)
    shutil.copytree(run.path(""), copied.path(""))
    run.preprocess()
    with pytest.raises(errors.BudgetExceeded, match=r"dp_preprocess has released already.*: start a new run"):
        copied.preprocess()
    assert not copied.path("statistics").exists()
    for step in (run.train, run.evaluate, run.consume, run.upload):
        step()
    assert committed(run.client) == [1.0, 1.0]


def test_a_run_that_was_copied_with_its_releases_publishes_the_same_release(run: Run) -> None:
    run.to_the_end()
    copied = Run(run.folder / "copy", run.client)
    shutil.copytree(run.path(""), copied.path(""))
    assert run.consume() == copied.consume()
    assert committed(run.client) == [1.0, 1.0]
    first, second = ({file.name: file.read_bytes() for file in each.upload().iterdir()} for each in (run, copied))
    assert first == second


@pytest.mark.parametrize("name", ["grant", "statistics", "checkpoint", "metrics"])
def test_what_the_receipt_did_not_pay_for_is_not_published(run: Run, name: str) -> None:
    run.to_the_end()
    run.consume()
    run.path(name).write_bytes(run.path(name).read_bytes() + b" ")
    fault = "is not what the receipt paid for" if name == "grant" else "is damaged: it is not as it was sealed"
    with pytest.raises((errors.BudgetExceeded, errors.CorruptData), match=f"{name} {fault}"):
        run.upload()
    assert not list((run.folder / "out").iterdir())


@pytest.mark.parametrize(("field", "value"), [("claim", "ns/run-other"), ("part", "all")])
def test_a_spend_of_another_claim_or_on_other_units_is_refused(run: Run, field: str, value: str) -> None:
    run.to_the_end()
    spend = json.loads(run.path("s3").read_text()) | {field: value}
    run.path("s3").write_text(json.dumps(spend))
    with pytest.raises(errors.BudgetExceeded, match="pass the spends of this run"):
        run.consume()
    assert committed(run.client) == [0, 0]


def test_the_same_spend_cannot_stand_for_two_steps(run: Run) -> None:
    run.to_the_end()
    run.path("s2").write_bytes(run.path("s1").read_bytes())
    with pytest.raises(errors.BudgetExceeded, match="spends: are of dp_preprocess, dp_preprocess, dp_evaluate"):
        run.consume()
    assert committed(run.client) == [0, 0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["model.pt"], "names: 1 must be 3"),
        (["a.json", "a.json", "b.json"], "names: 'a.json' is the name of another published file"),
        (["a.json", "b.json", "receipt.json"], "names: 'receipt.json' is the name of another published file"),
    ],
)
def test_released_files_are_published_under_names_of_their_own(run: Run, names: list[str], message: str) -> None:
    run.to_the_end()
    run.consume()
    with pytest.raises(errors.InvalidInput, match=message):
        run.upload(*names)
    assert not list((run.folder / "out").iterdir())
    words = {"--grant": "g", "--receipt": "r", "--released": "a", "--names": '["../a"]', "--images": "{}"}
    pairs = {**words, "--prefix": "out", "--location": "l"}.items()
    with pytest.raises(errors.InvalidInput, match=r"names.0: '../a' must match pattern"):
        arguments.parse(upload, [word for pair in pairs for word in pair])


def test_what_an_earlier_version_released_in_clear_is_published(run: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing_keys, "of_grant", lambda _draft, _claim: None)  # the claim is granted without a key
        run.to_the_end()
    assert not any(sealing.is_sealed(run.path(name)) for name in dp_lstm.PUBLISHED)
    run.consume()
    folder = run.upload()
    for name, published in dp_lstm.PUBLISHED.items():
        assert (folder / published).read_bytes() == run.path(name).read_bytes()


def test_what_is_published_is_the_release_in_clear_and_nothing_can_be_published_without_the_key(run: Run) -> None:
    run.to_the_end()
    with pytest.raises(errors.BudgetUnavailable, match="stays sealed; consume it first"):
        run.client.opening_key("ns/run-r1")
    run.consume()
    claim = run.client.get_claim("ns/run-r1")
    assert claim.status.sealing is not None
    assert claim.status.sealing.private is None  # a payment alone opens nothing: it may be of a run that was refused
    clear = {name: run.clear(name).read_bytes() for name in dp_lstm.PUBLISHED}
    folder = run.upload()
    assert {name: (folder / published).read_bytes() for name, published in dp_lstm.PUBLISHED.items()} == clear
    run.client.store.delete(run.client.get_claim("ns/run-r1"))
    with pytest.raises(errors.NotFound, match="claim ns/run-r1"):
        run.upload()


@pytest.mark.parametrize("name", ["statistics", "metrics"])
def test_a_sealed_file_of_another_run_is_not_published(run: Run, name: str) -> None:
    run.to_the_end()
    run.consume()
    sealed, other = run.path(name), sealing.Origin("ns/run-r1", "r2", "dp_preprocess")
    sealing.seal(run.clear(name), sealed, key=sealing.read_header(sealed).key, origin=other)
    with pytest.raises(
        errors.InvalidInput, match=r"was sealed by dp_preprocess of run r2 .*, not by dp_preprocess of run r1"
    ):
        run.upload()


def test_the_outputs_of_a_run_that_fails_stay_sealed_though_its_budget_is_consumed(run: Run) -> None:
    run.to_the_end()
    release(run_id="r1", namespace="ns", workspace=run.workspace, status={"state": "FAILED"})
    claim = run.client.get_claim("ns/run-r1")
    assert claim.status.committed
    assert claim.status.sealing is not None
    assert claim.status.sealing.private is None
    assert not list(run.workspace.iterdir())
    run.consume()  # as `privatekube publish` does: it compares what was released with what was approved
    assert run.upload()


def test_publishing_needs_this_runs_receipt(run: Run) -> None:
    run.to_the_end()
    receipt = run.consume().model_copy(update={"run_id": "r2"})
    documents.write(receipt, run.path("receipt"))
    with pytest.raises(errors.InvalidInput, match="pass the receipt of this run"):
        run.upload()


def test_another_runs_results_are_never_overwritten(run: Run) -> None:
    run.to_the_end()
    run.consume()
    folder = run.upload()
    (folder / "metrics.json").write_text("{}")
    with pytest.raises(errors.AlreadyExists, match="has another result"):
        run.upload()


def test_a_tampered_block_is_found_and_named(run: Run) -> None:
    run.allocate()
    synthetic_block(run.folder / "0.h5", 7)
    with pytest.raises(errors.CorruptData, match=r"/0\.h5 .*altered"):
        run.download()


def test_a_missing_block_file_is_named_with_its_block_and_who_can_bring_it_back(run: Run) -> None:
    run.allocate()
    (run.folder / "1.h5").unlink()
    said = r"^block ns/\S+: \S+/1\.h5 does not exist; ask the owner of the data for it$"
    with pytest.raises(errors.NotFound, match=said):
        run.download()


def test_the_exit_task_returns_unopened_budget_and_consumes_opened_budget(run: Run) -> None:
    run.allocate()
    release(run_id="r1", namespace="ns", workspace=run.workspace, status={"state": "FAILED"})
    assert committed(run.client) == [0, 0]
    run.allocate(run_id="r2")
    run.download()
    release(run_id="r2", namespace="ns", workspace=run.workspace, status={"state": "FAILED"})
    release(run_id="r2", namespace="ns", workspace=run.workspace, status={"state": "FAILED"})
    assert committed(run.client) == [1.0, 1.0]


def test_a_retry_of_a_run_that_failed_is_refused_in_one_line_before_it_reads_data_or_draws_noise(run: Run) -> None:
    """Kubeflow's page runs the failed step again, after the exit task has settled the claim."""
    run.allocate()
    run.download()
    release(run_id="r1", namespace="ns", workspace=run.workspace, status={"state": "FAILED"})
    paid = committed(run.client)
    for block in run.folder.glob("*.h5"):
        block.unlink()
    for step in (run.download, run.preprocess):
        with pytest.raises(errors.BudgetUnavailable, match=r"^claim ns/run-r1: holds no budget.*; start a new run$"):
            step()
    assert not run.path("statistics").exists()
    assert committed(run.client) == paid == [1.0, 1.0]


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


def test_the_model_is_trained_as_the_grant_says(run: Run) -> None:
    run.allocate(settings=ALL_SETTINGS | {"task": "sentiment", "model": "feedforward", "hidden_dim": 7})
    for step in (run.download, run.preprocess, run.train):
        step()
    trained = checkpoint.load(run.clear("checkpoint"))
    assert (trained.task, trained.config.n_classes) == ("sentiment", 2)
    assert (trained.config.architecture, trained.config.hidden_dim) == ("feedforward", 7)


def test_vectors_of_other_words_than_those_of_the_blocks_are_found_before_the_data_is_opened(run: Run) -> None:
    run.allocate(settings=ALL_SETTINGS | {"model": "linear"} | _vectors(run.folder / "vectors.txt"))
    with pytest.raises(errors.InvalidInput, match="need the shipped list of words, and the data has another; set none"):
        run.download()


def test_a_model_is_trained_on_the_vectors_that_were_fetched_with_the_blocks(run: Run) -> None:
    run.client.create_blocks([declared_block(run.folder, 7, words=word_vectors.WORDS_DIGEST)])
    source = run.folder / "vectors.txt"
    stated = ALL_SETTINGS | {"model": "lstm"} | _vectors(source)
    run.allocate(settings=stated, conditions=[{"attribute": "startTime", "operation": ">=", "numericValue": "7"}])
    run.download()
    source.unlink()
    run.preprocess()
    run.train()
    trained = checkpoint.load(run.clear("checkpoint"))
    assert trained.config.embeddings == stated["embeddings_digest"]
    assert trained.module.get_buffer("vectors.weight").any()


def _vectors(path: Path) -> dict[str, str]:
    path.write_text("the 1 2 3 4\nof 5 6 7 8\n")
    return {"embeddings": str(path), "embeddings_digest": word_vectors.digest(str(path))}


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


def test_blocks_that_cannot_be_merged_are_found_before_their_data_counts_as_opened(run: Run) -> None:
    path = run.folder / "other.h5"
    content = block_file.read(run.folder / "0.h5")
    block_file.write(path, content.reviews, replace(content.metadata, categories=("a", "b", "c", "d")))
    dimensions = (Dimension("startTime", numeric_value="9"), Dimension("unit", string_value="event"))
    spec = BlockSpec(EpsilonDelta(3, 1e-7), "d", f"file://{path}", dimensions)
    run.client.create_blocks([PrivateDataBlock(ObjectMeta("other", "ns"), spec)])
    run.allocate()
    with pytest.raises(errors.InvalidInput, match="categories differs"):
        run.download()
    assert not run.client.get_claim("ns/run-r1").spec.data_opened


def test_a_task_without_two_classes_is_found_before_the_data_counts_as_opened(run: Run) -> None:
    path = run.folder / "0.h5"
    content = block_file.read(path)
    one = content.reviews.select(content.reviews.category == 0)
    block_file.write(run.folder / "one.h5", one, replace(content.metadata, dataset="one", categories=("a",)))
    dimensions = (Dimension("unit", string_value="event"),)
    spec = BlockSpec(EpsilonDelta(3, 1e-7), "one", f"file://{run.folder}/one.h5", dimensions)
    run.client.create_blocks([PrivateDataBlock(ObjectMeta("one", "ns"), spec)])
    run.allocate(dataset="one")
    with pytest.raises(errors.InvalidInput, match="task: 'product' needs blocks of two categories or more"):
        run.download()
    assert not run.client.get_claim("ns/run-r1").spec.data_opened
