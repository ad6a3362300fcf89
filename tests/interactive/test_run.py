"""A run within one program: opened once, paid once, its budget back where nothing was read."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from dp_accounting import dp_event

from privatekube import errors
from privatekube.cli import verify_card
from privatekube.client import connect as stores
from privatekube.interactive import connect
from privatekube.interactive.client import RunClient
from privatekube.interactive.payment import LAPLACE, Query
from privatekube.interactive.run import Run
from privatekube.privacy import accounting, arithmetic, events, orders, renyi_filter
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.privacy.mechanisms import Released
from privatekube.privacy.plan import Plan, PlannedStep
from privatekube.privacy.planned_queries import Exponential
from privatekube.privacy.sensitivity import Per
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources import ledger, transitions
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import RegisterRequest
from privatekube.store.base import R
from privatekube.store.memory import MemoryStore
from tests.interactive import builders

ONE = EpsilonDelta(1.0, 1e-9)
KEYS = range(1, 6)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[RunClient]:
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        client.create_blocks([builders.block(tmp_path, day) for day in range(2)])
        yield client


def claimed(client: RunClient, **changes: object) -> Run:
    terms: dict[str, object] = {"epsilon": 1.0, "delta": 1e-9, "namespace": "ns"}
    return client.claim("d", **(terms | changes))  # type: ignore[arg-type]  # some tests pass what does not fit


def release_again(run: Run) -> object:
    return run.count("inner", [1], keys=KEYS, epsilon=1.0)


def spend_again(run: Run) -> object:
    return run.spend("inner", events.laplace(1.0), [b"noisy"])


def committed(client: RunClient) -> list[PrivacyBudget]:
    """Return what is committed on the blocks, in order; everything else is free."""
    spent: list[PrivacyBudget] = []
    for block in client.list_blocks():
        status = transitions.status_of(block)
        assert not status.acquired
        assert not status.reserved
        spent.append(arithmetic.total(status.committed.values(), start=EpsilonDelta(0.0)))
    return spent


NOTHING: list[PrivacyBudget] = [EpsilonDelta(0.0)] * 2
EVERYTHING: list[PrivacyBudget] = [ONE] * 2


def test_a_run_that_ends_normally_pays_for_what_it_released(client: RunClient) -> None:
    with claimed(client) as run:
        data = builders.opened(run)
        assert sorted(data.reviews.stars.tolist()) == sorted(builders.STARS * 2)
        counts = run.count("statistics", data.reviews.stars, keys=KEYS, epsilon=0.75)
        run.spend("model", events.discrete_laplace(4.0, 1), [b"noisy weights"])
        assert run.receipt is None
    assert list(counts) == list(KEYS)
    receipt = run.receipt
    assert receipt is not None
    assert [spend.step for spend in receipt.spends] == ["statistics", "model"]
    assert receipt.epsilon == 1.0
    assert set(receipt.committed) == {"ns/day-0", "ns/day-1"}
    assert committed(client) == EVERYTHING
    assert [entry.claim for entry in client.ledger()] == [run.claim] * 2
    claim = client.get_claim(run.claim)
    assert {step: release.outputs for step, release in claim.releases.items()} == {"allocate": (receipt.grant,)} | {
        spend.step: spend.outputs for spend in receipt.spends
    }


class FailureError(Exception):
    """What a user's program may raise."""


def fail_in(run: Run, *, opened: bool) -> None:
    with run:
        if opened:
            run.open()
        raise FailureError


@pytest.mark.parametrize(("opened", "spent"), [(False, NOTHING), (True, EVERYTHING)])
def test_an_exception_returns_the_budget_before_open_and_spends_it_after(
    client: RunClient, opened: bool, spent: list[PrivacyBudget]
) -> None:
    run = claimed(client)
    with pytest.raises(FailureError):
        fail_in(run, opened=opened)
    assert committed(client) == spent
    assert run.receipt is None
    with pytest.raises(errors.InvalidInput, match="has ended"):
        run.open()


def test_an_interrupt_by_the_user_settles_as_an_exception_does(client: RunClient) -> None:
    with pytest.raises(KeyboardInterrupt), claimed(client):
        raise KeyboardInterrupt
    assert committed(client) == NOTHING


def test_a_run_that_never_opened_its_data_gives_the_budget_back(client: RunClient) -> None:
    with claimed(client) as run:
        pass
    assert run.receipt is None
    assert committed(client) == NOTHING


def test_a_block_that_was_altered_costs_nothing(client: RunClient, tmp_path: Path) -> None:
    (tmp_path / "day-1.h5").unlink()
    builders.block(tmp_path, 1, stars=(1, 1))
    with pytest.raises(errors.CorruptData, match="does not have the digest"), claimed(client) as run:
        run.open()
    assert committed(client) == NOTHING


def test_a_second_open_is_refused_and_charges_nothing_more(client: RunClient) -> None:
    with claimed(client) as run:
        run.open()
        with pytest.raises(errors.InvalidInput, match="has opened its data before"):
            run.open()
    assert committed(client) == EVERYTHING


def test_a_second_payment_is_refused_and_charges_nothing_more(client: RunClient) -> None:
    with claimed(client) as run:
        run.open()
        receipt = run.consume()
        assert committed(client) == EVERYTHING
        with pytest.raises(errors.InvalidInput, match="has ended"):
            run.consume()
    assert run.receipt is receipt
    assert committed(client) == EVERYTHING


def test_a_step_releases_once(client: RunClient) -> None:
    with claimed(client) as run:
        data = builders.opened(run)
        run.count("statistics", data.reviews.stars, keys=KEYS, epsilon=0.25)
        with pytest.raises(errors.BudgetExceeded, match="statistics has released already"):
            run.count("statistics", data.reviews.stars, keys=KEYS, epsilon=0.25)
        run.count("the rest", data.reviews.stars, keys=KEYS, epsilon=0.75)
    assert run.receipt is not None
    assert run.receipt.epsilon == 1.0


def test_releases_beyond_the_claim_are_refused_before_noise_is_drawn(client: RunClient) -> None:
    with claimed(client) as run:
        data = builders.opened(run)
        run.count("first", data.reviews.stars, keys=KEYS, epsilon=0.75)
        with pytest.raises(
            errors.BudgetExceeded, match=r"second: would take the run to epsilon 1.25.* above its epsilon 1"
        ):
            run.count("second", data.reviews.stars, keys=KEYS, epsilon=0.5)
        with pytest.raises(errors.BudgetExceeded, match="delta 2e-09, above its epsilon 1, delta 1e-09"):
            run.spend("third", events.poisson_gaussian(0.01, 50.0, 1), [b""], delta=2e-9)
    assert run.receipt is not None
    assert [spend.step for spend in run.receipt.spends] == ["first"]
    assert set(client.get_claim(run.claim).releases) == {"allocate", "first"}


def test_a_mechanism_that_is_not_pure_needs_a_delta(client: RunClient) -> None:
    with claimed(client) as run:
        run.open()
        noisy = events.poisson_gaussian(0.01, 50.0, 1)
        with pytest.raises(errors.InvalidInput, match="delta: 0 is only for pure mechanisms"):
            run.spend("model", noisy, [b"weights"])
        run.spend("model", noisy, [b"weights"], delta=1e-9)
    assert run.receipt is not None
    assert run.receipt.epsilon == pytest.approx(accounting.epsilon(noisy, 1e-9))


def test_what_another_program_registers_under_the_claim_is_not_paid_as_this_run(client: RunClient) -> None:
    with claimed(client) as run:
        run.count("stars", builders.opened(run).reviews.stars, keys=KEYS, epsilon=0.5)
        client.register_release(run.claim, RegisterRequest("other", (f"sha256:{1:064x}",), event="noise"))
        with pytest.raises(errors.BudgetExceeded, match="other was registered under it by another program"):
            run.consume()
    assert run.receipt is None
    assert committed(client) == EVERYTHING
    assert [entry.mechanisms for entry in ledger.amounts(client.ledger())] == [
        (),
        (),
    ]  # spent, and not as a payment of this run


@pytest.mark.parametrize("planned", [True, False])
def test_a_choice_is_paid_by_the_plan_or_by_the_epsilon_that_it_states(client: RunClient, planned: bool) -> None:
    plan = Plan((PlannedStep("best", Exponential(sensitivity=2.0, per=Per.UNIT)),)) if planned else None
    with client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns", plan=plan) as run:
        run.open()
        epsilon = None if planned else 1.0
        with pytest.raises(errors.InvalidInput, match="scores: a list is not a mapping"):
            run.choose("best", [1.0], sensitivity=2.0, epsilon=epsilon)  # type: ignore[arg-type]  # as a user may
        assert run.choose("best", {"bad": 0.0, "good": 1e6}, sensitivity=2.0, epsilon=epsilon) == "good"
    assert run.receipt is not None
    assert run.receipt.epsilon == pytest.approx(1.0, rel=1e-3)
    assert run.receipt.spends[0].event["type"] == "discrete_laplace"


@pytest.mark.parametrize(
    "act",
    [
        lambda run: run.count("statistics", [1], keys=KEYS, epsilon=0.5),
        lambda run: run.spend("model", events.discrete_laplace(4.0, 1), [b"weights"]),
        lambda run: run.consume(),
    ],
)
def test_nothing_is_released_or_paid_before_the_data_is_opened(client: RunClient, act: Callable[[Run], object]) -> None:
    with (
        claimed(client) as run,
        pytest.raises(errors.InvalidInput, match=r"its data is not opened; call open\(\) first"),
    ):
        act(run)
    assert committed(client) == NOTHING


def test_a_run_is_entered_once(client: RunClient) -> None:
    run = claimed(client)
    with pytest.raises(errors.InvalidInput, match="use it in a with statement"):
        run.open()
    with run, pytest.raises(errors.InvalidInput, match="was entered before"):
        run.__enter__()
    with pytest.raises(errors.InvalidInput, match="was entered before"), run:
        pass
    assert committed(client) == NOTHING
    assert len(client.list_claims()) == 1


def test_budget_that_is_not_there_leaves_no_claim_behind(client: RunClient) -> None:
    with pytest.raises(errors.BudgetUnavailable, match="lacks budget"), claimed(client, epsilon=11.0):
        pytest.fail("was granted")
    with pytest.raises(errors.InvalidInput, match="blocks: 2 match"), claimed(client, blocks=3):
        pytest.fail("was granted")
    assert client.list_claims() == []


def test_a_number_of_blocks_is_claimed_as_asked(client: RunClient) -> None:
    with claimed(client, blocks=1) as run:
        assert len(builders.opened(run).reviews) == len(builders.STARS)
    assert committed(client) == [ONE, EpsilonDelta(0.0)]


WRONG: list[tuple[dict[str, object], str]] = [
    ({"epsilon": "x"}, "epsilon: 'x' must be a valid number"),
    ({"epsilon": True}, "epsilon: True must be a valid number"),
    ({"epsilon": math.inf}, "epsilon: inf must be"),
    ({"delta": None}, "delta: has no value; give it one"),
    ({"delta": -1}, "delta: -1 must be greater than or equal to 0"),
    ({"delta": 1}, "delta: 1 must be less than 1"),
    ({"blocks": 0}, "blocks: 0 must be 'all' or a whole number"),
    ({"blocks": "some"}, "blocks: 'some' must be"),
    ({"namespace": 3}, "namespace: 3 must be a valid string"),
    ({"conditions": 5}, "conditions: 5 must be a list"),
    ({"conditions": [5]}, "conditions.0: 5 must be a mapping"),
    ({"timeout_seconds": "long"}, "timeout_seconds: 'long' must be a valid integer"),
    ({"settle_after_seconds": 200}, "settle_after_seconds: 200 must be above timeout_seconds, which is 300"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=lambda value: str(value)[:30])
def test_terms_that_do_not_fit_are_refused_in_one_line(
    client: RunClient, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(errors.InvalidInput) as refusal:
        claimed(client, **changes)
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)
    assert client.list_claims() == []


def test_a_dataset_that_is_not_a_name_is_refused(client: RunClient) -> None:
    with pytest.raises(errors.InvalidInput, match="dataset: 5 must be a valid string"):
        client.claim(5, epsilon=1.0, delta=1e-9)  # type: ignore[arg-type]  # it is of the wrong type on purpose


WRONG_COUNTS: list[tuple[dict[str, object], str]] = [
    ({"epsilon": None}, "epsilon: None must be a finite number above 0"),
    ({"epsilon": "x"}, "epsilon: 'x' must be a finite number above 0"),
    ({"epsilon": 0}, "epsilon: 0 must be"),
    ({"epsilon": math.nan}, "epsilon: nan must be"),
    ({"step": 3}, "step: 3 must be text"),
    ({"step": ""}, "step: '' must be text"),
    ({"step": "a\nb"}, r"step: 'a\nb' must be text"),
    ({"step": "x" * 64}, "step: "),
    ({"step": "allocate"}, "step: 'allocate' is the name of the approval"),
    ({"labels": 5}, "column: a int is not one"),
    ({"labels": "aab"}, "column: a str is not one"),
    ({"labels": [[1], [2]]}, "column: holds values that cannot be counted"),
    ({"keys": 5}, "keys: 5 must be"),
    ({"keys": [1, 1]}, "keys: a key is given twice"),
    ({"keys": []}, "keys: "),
    ({"keys": range(10**12)}, "keys: are more than 1,000,000; release fewer counts"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG_COUNTS, ids=lambda value: str(value)[:30])
def test_a_count_that_does_not_fit_is_refused_in_one_line_and_costs_nothing(
    client: RunClient, changes: dict[str, object], message: str
) -> None:
    with claimed(client) as run:
        run.open()
        given = {"step": "statistics", "labels": [1, 2], "keys": KEYS, "epsilon": 0.5} | changes
        with pytest.raises(errors.InvalidInput) as refusal:
            run.count(**given)  # type: ignore[arg-type]  # it is of the wrong type on purpose
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)
    assert run.receipt is not None
    assert run.receipt.epsilon == 0


def test_counts_are_of_the_public_keys_alone_whatever_the_data_has(client: RunClient) -> None:
    with claimed(client, epsilon=8.0) as run:
        run.open()
        counts = run.count("statistics", ["a"] * 10 + ["unheard of"] * 6, keys=["b", "a"], epsilon=8.0)
    assert list(counts) == ["b", "a"]
    assert abs(counts["a"] - 10) < 5  # forty times the scale is left with a probability below exp(-39)
    assert abs(counts["b"]) < 5


@pytest.mark.parametrize("values", [[1] * 17, itertools.repeat(1)], ids=["one too many", "without end"])
@pytest.mark.parametrize(
    "release",
    [
        lambda run, values: run.count("a", values, keys=KEYS, epsilon=0.5),
        lambda run, values: run.sum("a", values, lower=0, upper=5, epsilon=0.5),
        lambda run, values: run.mean("a", values, lower=0, upper=5, epsilon=0.5),
    ],
    ids=["count", "sum", "mean"],
)
def test_more_values_than_records_are_refused_without_their_number(
    client: RunClient, release: Callable[[Run, Iterable[int]], object], values: Iterable[int]
) -> None:
    with claimed(client) as run:
        assert len(builders.opened(run).reviews.stars) == 16
        with pytest.raises(errors.InvalidInput, match="column: has more values than there are records; ") as refusal:
            release(run, values)
    assert not any(character.isdigit() for character in str(refusal.value))
    assert run.receipt is not None
    assert run.receipt.epsilon == 0


def test_the_noise_of_counts_is_that_of_the_contribution_bound_over_epsilon(tmp_path: Path) -> None:
    unit, n = PrivacyUnit.USER_DAY, 4000
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        client.create_blocks([builders.block(tmp_path, unit=unit, max_contribution=3)])
        with claimed(client) as run:
            run.open()
            noise = list(run.count("statistics", [], keys=range(n), epsilon=0.5).values())
    scale = 3 / 0.5
    deviation = sum(map(abs, noise)) / n
    expected = 1 / math.sinh(1 / scale)
    assert deviation == pytest.approx(expected, abs=6 * scale / math.sqrt(n))
    assert abs(deviation - 1 / math.sinh(1 / 2)) > 20 * scale / math.sqrt(n)  # not that of one record


def test_pure_mechanisms_are_paid_on_renyi_blocks_at_every_order(tmp_path: Path) -> None:
    capacity = renyi_filter.capacity(builders.BUDGET)
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        client.create_blocks([builders.block(tmp_path, budget=capacity)])
        with claimed(client) as run:
            data = builders.opened(run)
            run.count("first", data.reviews.stars, keys=KEYS, epsilon=0.5)
            run.count("second", data.reviews.stars, keys=KEYS, epsilon=0.5)
            with pytest.raises(errors.BudgetExceeded, match=r"third: would take the run to epsilon 1\.01"):
                run.count("third", data.reviews.stars, keys=KEYS, epsilon=0.01)
            with pytest.raises(errors.BudgetExceeded, match="delta 1e-09, above its epsilon 1, delta 0"):
                run.spend("fourth", events.poisson_gaussian(0.01, 500.0, 1), [b""], delta=1e-9)
        (block,) = client.list_blocks()
    (paid,) = transitions.status_of(block).committed.values()
    ran = accounting.renyi_cost(events.composition(*[events.discrete_laplace(2.0, 1)] * 2), capacity.orders)
    assert isinstance(paid, RenyiCurve)
    assert all(cost <= amount for cost, amount in zip(ran.values, paid.values, strict=True))
    assert paid.at(orders.INFINITE_ORDER) == 1.0


def test_a_run_releases_as_often_as_the_ledger_has_room_for(client: RunClient) -> None:
    with claimed(client) as run:
        run.open()
        for number in range(64):
            run.spend(f"{number}", events.discrete_laplace(1000.0, 1), [b"x"])
        with pytest.raises(errors.InvalidInput, match="releases: 65 must be at most 64"):
            run.spend("65", events.discrete_laplace(1000.0, 1), [b"x"])
    assert run.receipt is not None
    assert len(run.receipt.spends) == 64


def test_a_long_description_of_what_ran_does_not_hinder_the_payment(client: RunClient) -> None:
    with claimed(client) as run:
        run.open()
        run.spend(
            "x" * 63, events.composition(*(events.discrete_laplace(100.0 + extra, 1) for extra in range(9))), [b"x"]
        )
    assert committed(client) == EVERYTHING
    first, _ = ledger.amounts(client.ledger())
    assert first.mechanisms == (f"{'x' * 63} on all",)


def test_sums_means_and_numbers_cost_what_they_state(client: RunClient) -> None:
    with claimed(client) as run:
        stars = builders.opened(run).reviews.stars
        total = run.sum("total", stars, lower=0, upper=5, epsilon=0.25)
        mean = run.mean("mean", stars, lower=1, upper=5, epsilon=0.25)
        (noisy,) = run.laplace("laplace", [1.0], sensitivity=1, epsilon=0.125)
        (gaussian,) = run.gaussian("gaussian", [1.0], sensitivity=1, epsilon=0.125, delta=1e-9)
        with pytest.raises(errors.InvalidInput, match="delta: None must be a finite number above 0"):
            run.gaussian("more", [1.0], sensitivity=1, epsilon=0.25)
        with pytest.raises(errors.BudgetExceeded, match="above its epsilon 1, delta 1e-09"):
            run.gaussian("more", [1.0], sensitivity=1, epsilon=0.125, delta=1e-9)
    assert all(isinstance(value, float) for value in (total, mean, noisy, gaussian))
    assert 1 <= mean <= 5
    assert run.receipt is not None
    assert run.receipt.epsilon == pytest.approx(0.75, rel=2e-3)
    assert run.receipt.epsilon <= 0.75
    assert run.plan is None


def test_noise_on_sums_is_that_of_the_larger_bound_for_each_record_of_a_unit(tmp_path: Path) -> None:
    n, epsilon = 300, 0.01
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        client.create_blocks([builders.block(tmp_path, unit=PrivacyUnit.USER_DAY, max_contribution=2)])
        noise = []
        for _ in range(n // 60):
            with claimed(client) as run:
                run.open()
                noise += [run.sum(f"{number}", [], lower=-3, upper=1, epsilon=epsilon) for number in range(60)]
    scale = 3 * 2 / epsilon
    deviation = sum(map(abs, noise)) / n
    assert deviation == pytest.approx(scale, abs=6 * scale / math.sqrt(n))
    assert abs(deviation - scale / 2) > 5 * scale / 2 / math.sqrt(n)  # not that of one record
    assert abs(deviation - scale / 3) > 5 * scale / 3 / math.sqrt(n)  # nor that of the smaller bound


def test_a_mechanism_that_ran_otherwise_than_it_was_paid_is_not_released(client: RunClient) -> None:
    query = Query("odd", LAPLACE, 1.0, epsilon=0.5)
    with claimed(client) as run:
        run.open()
        with pytest.raises(errors.BudgetExceeded, match="odd: ran another mechanism than it pays for"):
            run._release(query, lambda scale: Released(1.0, events.laplace(scale / 2)), encode=lambda _: b"")
        assert list(client.get_claim(run.claim).releases) == ["allocate"]


def test_pure_mechanisms_need_no_delta(client: RunClient) -> None:
    with claimed(client, delta=0) as run:
        run.count("stars", builders.opened(run).reviews.stars, keys=KEYS, epsilon=0.5)
        with pytest.raises(errors.BudgetExceeded, match="above its epsilon 1, delta 0"):
            run.gaussian("more", [1.0], sensitivity=1, epsilon=0.1, delta=1e-9)
    assert committed(client) == [EpsilonDelta(1.0, 0.0)] * 2
    assert run.receipt is not None
    assert run.receipt.delta == 0


class RefusesRegistrations(MemoryStore):
    """A store that fails whenever a claim registers something."""

    def update(self, resource: R) -> R:
        if isinstance(resource, PrivacyBudgetClaim) and isinstance(resource.spec.requests[-1].action, RegisterRequest):
            raise errors.StoreBusy("store: is busy")
        return super().update(resource)


def test_a_run_that_cannot_be_approved_gives_its_budget_back(tmp_path: Path) -> None:
    with RunClient(RefusesRegistrations()) as client:
        client.create_blocks([builders.block(tmp_path)])
        with pytest.raises(errors.StoreBusy, match="store: is busy"), claimed(client):
            pytest.fail("was approved")
        assert committed(client) == [EpsilonDelta(0.0)]
        assert len(client.list_claims()) == 1


@pytest.mark.parametrize(
    "event",
    [
        events.composition(),
        dp_event.SelfComposedDpEvent(events.laplace(1.0), 0),
        dp_event.SelfComposedDpEvent(events.laplace(1.0), -3),
        dp_event.LaplaceDpEvent(-1.0),
        events.composition(events.laplace(0.5), dp_event.LaplaceDpEvent(-0.6)),
        dp_event.LaplaceDpEvent(math.nan),
        dp_event.LaplaceDpEvent(math.inf),
        dp_event.LaplaceDpEvent(0.0),
    ],
)
def test_an_event_that_would_cost_nothing_or_less_is_not_released(client: RunClient, event: events.DpEvent) -> None:
    with claimed(client) as run:
        run.open()
        with pytest.raises(errors.InvalidInput):
            run.spend("model", event, [b"not noisy"])
    assert run.receipt is not None
    assert run.receipt.spends == ()


def test_a_gaussian_without_a_number_is_not_released_for_its_delta(client: RunClient) -> None:
    with claimed(client) as run:
        run.open()
        with pytest.raises(errors.InvalidInput, match="noise_multiplier"):
            run.spend("model", dp_event.GaussianDpEvent(math.nan), [b"not noisy"], delta=1e-10)


@pytest.mark.parametrize("act", [release_again, spend_again, Run.consume])
def test_a_release_within_another_one_is_refused_and_the_outer_one_is_paid(
    client: RunClient, act: Callable[[Run], object]
) -> None:
    """Both would find the same room in the claim, and cost twice what it holds."""
    with claimed(client) as run:
        run.open()

        def labels() -> Iterator[int]:
            with pytest.raises(errors.InvalidInput, match="make one release after the other"):
                act(run)
            yield 1

        run.count("outer", labels(), keys=KEYS, epsilon=1.0)
    assert run.receipt is not None
    assert [spend.step for spend in run.receipt.spends] == ["outer"]
    assert run.receipt.epsilon == 1.0


def test_a_release_that_failed_does_not_hinder_the_next_one(client: RunClient) -> None:
    with claimed(client) as run:
        run.open()
        with pytest.raises(errors.InvalidInput):
            run.count("statistics", [[]], keys=KEYS, epsilon=1.0)  # cannot be counted
        run.count("statistics", [1], keys=KEYS, epsilon=1.0)


def test_a_notebook_publishes_a_signed_card_of_what_it_paid_for(
    client: RunClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with claimed(client) as run:
        stars = builders.opened(run).reviews.stars
        with pytest.raises(errors.InvalidInput, match="has not paid; publish after the with statement"):
            run.publish(tmp_path / "out")
        counts = run.count("stars", stars, keys=KEYS, epsilon=0.5)
        run.spend("model", events.discrete_laplace(4.0, 1), [b"weights"])
    with pytest.raises(errors.BudgetExceeded, match=r"files: model\.bin is not what a step of the run registered"):
        run.publish(tmp_path / "out", {"model.bin": b"other weights"})
    with pytest.raises(errors.InvalidInput, match=r"files: '\.\./a' is not the name of a file"):
        run.publish(tmp_path / "out", {"../a": b"weights"})
    assert not (tmp_path / "out").exists()
    card = run.publish(tmp_path / "out", {"model.bin": b"weights"})
    assert {step.step for step in card.run.mechanisms} == {"stars", "model"}
    assert list(json.loads((tmp_path / "out" / "stars.json").read_text()).values()) == list(counts.values())
    monkeypatch.setenv(stores.STORE, f"sqlite:///{tmp_path}/state.db")
    checks = list(
        verify_card.verify(
            tmp_path / "out" / "privacy-card.json",
            page=tmp_path / "out" / "privacy-card.md",
            released=None,
            public_key=None,
        )
    )
    assert [check.name for check in checks if not check.is_passed] == [], checks
    assert {check.name for check in checks} >= {"signature", "page", "files", "releases", "epsilon", "ledger"}
