"""What `plan` and `explain` foretell, held against what happens when the claim is then made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privatekube import errors
from privatekube.client import connect
from privatekube.client.client import BudgetClient
from privatekube.forecast import forecast, text
from privatekube.forecast.forecast import Forecast
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import transitions
from privatekube.resources.claim import PrivacyBudgetClaim
from privatekube.resources.requests import AllocateRequest
from privatekube.resources.responses import ResponseState
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.clock import FakeClock
from tests.passes import run_pass

_START_MS, _LONG_MS = 1_000_000, 10**9


class World:
    """A control plane whose clock the test sets."""

    def __init__(self, connected: BudgetClient, clock: FakeClock) -> None:
        self.client, self.clock = connected, clock

    def make(self, name: str, request: AllocateRequest) -> PrivacyBudgetClaim:
        """Make a claim that waits for long, for real."""
        self.client.store.create(builders.claim(name, replace(request, timeout_ms=request.timeout_ms or _LONG_MS)))
        run_pass(self.client)
        return self.client.get_claim(f"ns/{name}")

    def is_granted(self, name: str) -> bool:
        """Whether the last answer of a claim is its grant."""
        return self.client.get_claim(f"ns/{name}").status.responses[-1].state is ResponseState.SUCCESS

    def at(self, now_ms: int) -> None:
        """A pass at that time."""
        self.clock.time_ms = now_ms
        run_pass(self.client)

    def forecast(self, request: AllocateRequest) -> Forecast:
        """What would happen; checks that asking leaves no trace."""
        before = self.everything()
        prediction = forecast.forecast_request(self.client, "ns", request)
        assert self.everything() == before
        return prediction

    def explain(self, name: str) -> Forecast | None:
        """What is said of a claim; checks that asking leaves no trace."""
        before = self.everything()
        prediction = forecast.explain_claim(self.client, self.client.get_claim(f"ns/{name}"))
        assert self.everything() == before
        return prediction

    def everything(self) -> object:
        """All that is stored."""
        store = self.client.store
        return store.list_blocks(), store.list_claims(), store.ledger(), store.list_retired(), store.settings()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = FakeClock(_START_MS)
    with BudgetClient(SqliteStore(tmp_path / "state.db", clock=clock), clock=clock) as connected:
        yield World(connected, clock)


def test_a_grant_is_foretold_with_its_blocks(world: World) -> None:
    world.client.create_blocks([builders.block(each) for each in "abc"])
    world.make("other", builders.allocate(0.9, blocks=1))
    request = builders.allocate(0.5, blocks=2)
    prediction = world.forecast(request)
    assert prediction.granted
    claim = world.make("c", request)
    assert set(prediction.blocks) == set(claim.status.acquired) == {"ns/b", "ns/c"}
    assert list(text.lines(prediction)) == ["would be granted now, on 2 blocks: ns/b, ns/c"]


def test_too_few_blocks_are_foretold_in_the_words_of_the_refusal(world: World) -> None:
    world.client.create_blocks([builders.block("a"), builders.block("b")])
    request = builders.allocate(blocks=3)
    prediction = world.forecast(request)
    with pytest.raises(errors.InvalidInput) as refused:
        world.client.allocate("ns", "c", request, timeout_seconds=5)
    assert prediction == Forecast(granted=False, refusal=str(refused.value))


def test_a_request_whose_deadline_has_passed_is_foretold_without_a_word_about_room(world: World) -> None:
    world.client.create_blocks([builders.block("b")])
    refused = forecast.forecast_request(world.client, "ns", builders.allocate(1), deadline_ms=_START_MS)
    (line,) = text.lines(refused)
    assert line.startswith("would be refused: deadline: ")


def test_a_demand_that_waiting_cannot_meet_is_foretold_with_what_would_fit(world: World) -> None:
    world.client.create_blocks([builders.block(each) for each in "abc"])
    world.make("other", builders.allocate(0.7, blocks=1))
    request = builders.allocate(0.5, blocks=3)
    prediction = world.forecast(request)
    with pytest.raises(errors.BudgetUnavailable) as refused:
        world.client.allocate("ns", "c", request, timeout_seconds=5)
    assert prediction.refusal == str(refused.value)
    (shortage,) = prediction.shortages
    assert (shortage.block, shortage.component, shortage.holders) == ("ns/a", "epsilon", ("ns/other",))
    assert (shortage.asked, shortage.available, shortage.locked) == pytest.approx((0.5, 0.3, 0.0))
    assert prediction.fitting_demand is not None
    assert prediction.fitting_demand.values == pytest.approx((0.3, 0.0), rel=1e-4)
    assert set(world.make("few", builders.allocate(0.5, blocks=2)).status.acquired) == set(prediction.fitting_blocks)


def test_delta_binds_where_delta_is_short(world: World) -> None:
    world.client.create_blocks([builders.block(budget=EpsilonDelta(1.0, 1e-9))])
    (shortage,) = world.forecast(builders.allocate(0.5, 1e-8)).shortages
    assert (shortage.component, shortage.asked, shortage.available) == ("delta", 1e-8, 1e-9)


def test_what_fits_is_less_epsilon_for_the_same_delta_and_nothing_where_delta_is_short(world: World) -> None:
    world.client.create_blocks([builders.block(budget=EpsilonDelta(1.0, 1e-9))])
    fitting = world.forecast(builders.allocate(4.0, 1e-9)).fitting_demand
    assert isinstance(fitting, EpsilonDelta)
    assert fitting.values == pytest.approx((1.0, 1e-9), rel=1e-4)
    assert world.forecast(builders.allocate(0.5, 1e-8)).fitting_share is None


def test_a_renyi_demand_is_bound_at_the_order_that_lacks_least(world: World) -> None:
    world.client.create_blocks([builders.block(budget=builders.curve(1.0, 4.0, 0.0))])
    (shortage,) = world.forecast(builders.allocate(demand=builders.curve(2.0, 4.4, 0.1))).shortages
    assert (shortage.component, shortage.asked, shortage.available) == ("order 3", 4.4, 4.0)


def test_the_largest_part_fits_and_one_percent_more_does_not(world: World) -> None:
    world.client.set_policy(unlock="n=10")
    world.client.create_blocks([builders.block("a", EpsilonDelta(10.0, 1e-7)), builders.block("b")])
    request = builders.allocate(0.9)
    part = world.forecast(request).fitting_share
    assert part is not None
    assert not world.forecast(builders.allocate(0.9 * part * 1.01)).granted
    assert world.forecast(builders.allocate(0.9 * part)).granted
    world.make("c", builders.allocate(0.9 * part))
    assert world.is_granted("c")


@pytest.mark.parametrize(
    ("budget", "demand"),
    [
        (EpsilonDelta(1.0, 1e-7), EpsilonDelta(0.1, 1e-9)),
        (EpsilonDelta(10.0, 1e-7), EpsilonDelta(0.7, 3e-8)),
        (builders.curve(1.0, 4.0, 0.0), builders.curve(0.3, 0.4, 0.1)),
        (builders.curve(1.0, 1.0), builders.curve(0.1, 0.3)),
    ],
)
def test_as_many_requests_are_granted_as_fit_by_the_forecast_and_not_one_more(
    world: World, budget: PrivacyBudget, demand: PrivacyBudget
) -> None:
    world.client.create_blocks([builders.block("a", budget), builders.block("b", budget)])
    request = builders.allocate(demand=demand)
    fitting = world.forecast(request).repetitions
    assert fitting > 0
    for number in range(fitting):
        assert world.forecast(request).repetitions == fitting - number
        world.make(f"c{number}", request)
        assert world.is_granted(f"c{number}")
    refused = world.forecast(request)
    assert (refused.repetitions, refused.granted) == (0, False)


def test_what_is_locked_counts_for_how_many_requests_fit(world: World) -> None:
    world.client.set_policy(unlock="n=10")
    world.client.create_blocks([builders.block()])
    waiting = world.forecast(builders.allocate(0.25))
    assert (waiting.granted, waiting.repetitions) == (False, 4)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0.034, 0.04, 0.5, 1.0])
def test_with_time_it_is_granted_at_the_foretold_tick_and_not_one_before(world: World, asked: float) -> None:
    world.client.set_policy(unlock="t=10s,300s")
    world.client.create_blocks([builders.block()])
    world.at(world.clock.time_ms + 7_000)
    request = builders.allocate(asked)
    at_ms = world.forecast(request).granted_at_ms
    assert at_ms is not None
    world.make("c", request)
    assert not world.is_granted("c")
    while world.clock.time_ms + 10_000 < at_ms:
        world.at(world.clock.time_ms + 1_000)
        assert not world.is_granted("c")
        if world.clock.time_ms % 5_000 == 0:  # to ask takes longer than a pass
            assert _told(world.explain("c")).granted_at_ms == at_ms
    while not world.is_granted("c"):
        world.at(world.clock.time_ms + 1_000)
    assert world.clock.time_ms == at_ms


def test_a_tick_that_is_thousands_of_periods_away_is_foretold(world: World) -> None:
    world.client.set_policy(unlock="t=1s,10000s")
    world.client.create_blocks([builders.block()])
    start, request = world.clock.time_ms, builders.allocate(0.75)
    at_ms = world.forecast(request).granted_at_ms
    assert at_ms == start + 7_500_000
    world.make("c", request)
    world.at(at_ms - 1_000)
    assert not world.is_granted("c")
    world.at(at_ms)
    assert world.is_granted("c")


def test_a_time_beyond_the_longest_wait_is_foretold_and_others_wait_no_longer_than_that(world: World) -> None:
    world.client.set_policy(unlock="t=1s,1000s", order="fcfs", longest_timeout_ms="60000")
    world.client.create_blocks([builders.block()])
    start = world.clock.time_ms
    world.make("other", builders.allocate(0.3))
    assert world.forecast(builders.allocate(0.5)).granted_at_ms == start + 500_000
    assert _told(world.explain("other")).granted_at_ms == start + 300_000


def test_it_is_granted_after_the_foretold_arrivals_and_not_one_before(world: World) -> None:
    world.client.set_policy(unlock="n=10")
    world.client.create_blocks([builders.block()])
    request = builders.allocate(0.55)
    prediction = world.forecast(request)
    assert prediction.arrivals == 5
    world.make("c", request)
    for arrived in range(5):
        assert not world.is_granted("c")
        assert _told(world.explain("c")).arrivals == 5 - arrived
        world.make(f"other{arrived}", builders.allocate(1e6))
    assert world.is_granted("c")
    assert world.explain("c") is None


def test_what_no_unlocking_brings_names_who_holds_it(world: World) -> None:
    world.client.create_blocks([builders.block()])
    world.make("holder", builders.allocate(0.8))
    world.make("c", builders.allocate(0.5))
    prediction = _told(world.explain("c"))
    assert (prediction.granted_at_ms, prediction.arrivals) == (None, None)
    told = "\n".join(text.explanation(world.client.get_claim("ns/c"), "waiting", prediction))
    assert "releases what it holds: ns/holder" in told
    assert "would fit now: epsilon 0.2 (40.0% of it) with the same delta, on as many blocks" in told
    world.client.settle("ns/holder")
    run_pass(world.client)
    assert world.is_granted("c")


def test_a_refused_claim_is_explained_as_if_it_asked_again(world: World) -> None:
    world.client.create_blocks([builders.block("a")])
    world.make("c", builders.allocate(blocks=2))
    world.client.create_blocks([builders.block("b")])
    prediction = _told(world.explain("c"))
    assert prediction.granted
    told = list(text.explanation(world.client.get_claim("ns/c"), "failed", prediction))
    assert "asked 2" in told[1]
    assert told[2] == "if requested again now, it would be granted now, on 2 blocks: ns/a, ns/b"


def test_a_claim_whose_time_is_over_is_explained_as_if_it_asked_again(world: World) -> None:
    world.client.create_blocks([builders.block()])
    world.make("other", builders.allocate(0.8))
    world.make("c", builders.allocate(0.5, timeout_ms=1000))
    world.clock.time_ms += 2000
    assert _told(world.explain("c")) == world.forecast(builders.allocate(0.5, timeout_ms=1000))


def test_a_claim_that_asks_for_nothing_has_nothing_to_explain(world: World) -> None:
    world.client.store.create(replace(builders.claim("c"), spec=replace(builders.claim().spec, requests=())))
    with pytest.raises(errors.InvalidInput, match="claim ns/c: asks for no budget"):
        world.explain("c")


def _told(prediction: Forecast | None) -> Forecast:
    assert prediction is not None
    return prediction


_PARTS = st.integers(0, 12).map(lambda tenths: tenths / 10)
_CURVES = st.lists(_PARTS, min_size=3, max_size=3).map(lambda values: builders.curve(*values))
_EPSILONS = _PARTS.map(EpsilonDelta)


@st.composite
def _requests(draw: st.DrawFn, amounts: st.SearchStrategy[PrivacyBudget]) -> AllocateRequest:
    return builders.allocate(demand=draw(amounts), blocks=draw(st.sampled_from([None, 1, 2, 3])))


@st.composite
def _scenes(draw: st.DrawFn) -> tuple[dict[str, str], list[PrivacyBudget], list[AllocateRequest]]:
    unlock = draw(st.sampled_from(["all", "n=4", "t=10s,60s"]))
    order = draw(st.sampled_from(["fcfs", "dpf", "dpack", *(["rr"] if unlock != "all" else [])]))
    either: list[st.SearchStrategy[PrivacyBudget]] = [_EPSILONS, _CURVES]
    amounts = draw(st.sampled_from(either))
    wholes = draw(st.lists(amounts.filter(lambda each: any(each.values)), min_size=1, max_size=4))
    return {"unlock": unlock, "order": order}, wholes, draw(st.lists(_requests(amounts), min_size=1, max_size=6))


@pytest.mark.slow
@settings(deadline=None)
@given(scene=_scenes())
def test_whatever_came_before_what_is_foretold_comes_true(
    scene: tuple[dict[str, str], list[PrivacyBudget], list[AllocateRequest]],
) -> None:
    policy, wholes, (*before, last) = scene
    clock = FakeClock(_START_MS)
    played = World(BudgetClient(MemoryStore(clock), clock=clock), clock)
    played.client.set_policy(**policy)
    played.client.create_blocks([builders.block(f"b{place}", whole) for place, whole in enumerate(wholes)])
    for place, request in enumerate(before):
        played.make(f"before{place}", request)
    prediction = played.forecast(last)
    claim = played.make("c", last)
    assert played.is_granted("c") is prediction.granted
    if prediction.granted:
        assert set(claim.status.acquired) == set(prediction.blocks)
        return
    free = {block.id: transitions.status_of(block).available for block in played.client.list_blocks()}
    for shortage in prediction.shortages:
        assert not free[shortage.block].admits(_constant(last), capacity=_whole(played, shortage.block))
    if prediction.arrivals is not None and policy["order"] != "rr":  # there, whoever waits takes a share
        for arrived in range(prediction.arrivals):
            assert not played.is_granted("c")
            played.make(f"after{arrived}", builders.allocate(demand=_too_much(wholes[0])))
        assert played.is_granted("c")
    if prediction.granted_at_ms is not None:
        while clock.time_ms < prediction.granted_at_ms:
            assert not played.is_granted("c")
            played.at(clock.time_ms + 10_000)
        assert played.is_granted("c")


def _too_much(whole: PrivacyBudget) -> PrivacyBudget:
    """Return a demand that no block of this budget can grant: more than all of it, at every order."""
    doubled = whole * 2.0
    if isinstance(doubled, RenyiCurve):  # a demand of 0 would fit at an order at which the block has nothing
        return replace(doubled, epsilons=tuple(epsilon or 1.0 for epsilon in doubled.epsilons))
    return doubled


def _constant(request: AllocateRequest) -> PrivacyBudget:
    assert request.expected_budget.constant is not None
    return request.expected_budget.constant


def _whole(world: World, block_id: str) -> PrivacyBudget:
    return world.client.get_block(block_id).spec.initial_budget


def test_the_store_that_the_client_names_is_the_one_that_is_asked(tmp_path: Path) -> None:
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as connected:
        connected.create_blocks([builders.block()])
        assert forecast.forecast_request(connected, "ns", builders.allocate(0.5)).granted
        assert connected.list_claims() == []
