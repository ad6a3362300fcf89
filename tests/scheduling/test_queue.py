"""A queue that parks requests grants what one grants that tries all requests every time."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources.request_id import RequestId
from privatekube.scheduling import ordering
from privatekube.scheduling.budget_table import BudgetColumns, BudgetTable
from privatekube.scheduling.dpack import PackingQueue
from privatekube.scheduling.request_table import RequestTable
from privatekube.scheduling.snapshot import BlockView, Snapshot, WaitingRequest
from tests.examples import examples
from tests.scheduling import reference

WHOLES: list[PrivacyBudget] = [EpsilonDelta(1.0, 1e-6), RenyiCurve((2, 3, 4), (0.0, 1.0, 3.0))]
NAMES = ["a", "b", "c"]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("unlock"), st.integers(0, 2), st.sampled_from([0.1, 0.25, 0.5])),
        st.tuples(st.just("submit"), st.integers(1, 3), st.just(0.0)),
        st.tuples(st.just("drop"), st.integers(0, 30), st.just(0.0)),
    ),
    max_size=25,
)
asks = st.lists(
    st.tuples(
        st.sets(st.integers(0, 2), min_size=1),
        st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 1.0]),
        st.sampled_from([0.0, 0.1, 0.5]),
        st.integers(1, 3),
    ),
    min_size=30,
    max_size=30,
)


def part(whole: PrivacyBudget, low: float, high: float) -> PrivacyBudget:
    if isinstance(whole, EpsilonDelta):
        return EpsilonDelta(whole.epsilon * low, whole.delta * high)
    return RenyiCurve(whole.orders, tuple(e * (low if a < 4 else high) for a, e in whole.as_pairs()))


@pytest.mark.slow
@pytest.mark.parametrize("order", ["fcfs", "dpf"])
@settings(max_examples=examples(300))
@given(data=st.data(), steps=steps, asks=asks)
def test_a_queue_grants_what_the_specification_grants(order: str, data: st.DataObject, steps: list, asks: list) -> None:  # type: ignore[type-arg]
    wholes = [data.draw(st.sampled_from(WHOLES)) for _ in NAMES]
    pending, available = list(wholes), [whole * 0.0 for whole in wholes]
    columns = BudgetColumns(wholes)
    table = BudgetTable.from_budgets(columns, capacity=wholes, pending=pending, available=available)
    demands = [{NAMES[row]: part(wholes[row], low, high) for row in sorted(rows)} for rows, low, high, _ in asks]
    waiting = [
        WaitingRequest(RequestId("ns/c", place), demand, min(ask[3], len(demand)), place)
        for place, (demand, ask) in enumerate(zip(demands, asks, strict=True))
    ]
    rows = [[NAMES.index(name) for name in demand] for demand in demands]
    counts = np.array([len(candidates) for candidates in rows])
    requests = RequestTable.from_edges(
        table,
        counts=counts,
        needed=np.array([request.n_blocks for request in waiting]),
        block=np.concatenate(rows),
        curve=np.arange(counts.sum()),
        demands=columns.rows(amount for demand in demands for amount in demand.values()),
    )
    queue, submitted = ordering.parse(order)(table, requests), 0
    present: dict[int, WaitingRequest] = {}
    for action, number, amount in steps:
        touched = []
        if action == "unlock":
            moved = (wholes[number] * amount).minimum(pending[number])
            pending[number], available[number] = pending[number] - moved, available[number] + moved
            table.unlock(np.array([number]), columns.rows([moved]))
            touched = [number]
        elif action == "submit":
            new = range(submitted, min(submitted + number, len(waiting)))
            queue.submit(new)
            present |= {place: waiting[place] for place in new}
            submitted = new.stop
        elif number in present:
            queue.drop(number)
            del present[number]
        views = {name: BlockView(name, wholes[row], available[row]) for row, name in enumerate(NAMES)}
        expected = reference.grants(Snapshot(views, tuple(present.values())), order)
        granted = list(queue.grant(touched))
        assert [
            (waiting[place].id, tuple(NAMES[row] for row in requests.block[edges])) for place, edges in granted
        ] == [(grant.request_id, tuple(grant.amounts)) for grant in expected]
        for grant in expected:
            place = grant.request_id.index
            for name in grant.amounts:
                available[NAMES.index(name)] -= demands[place][name]
            del present[place]
        np.testing.assert_array_equal(table.available, columns.rows(available))


@pytest.mark.slow
@settings(max_examples=examples(60))
@given(steps=steps, asks=asks, kinds=st.tuples(*[st.sampled_from(WHOLES)] * 3))
def test_packing_grants_what_it_grants_where_no_request_was_ever_parked(
    steps: list[tuple[str, int, float]],
    asks: list[tuple[set[int], float, float, int]],
    kinds: tuple[PrivacyBudget, ...],
) -> None:
    wholes, columns = list(kinds), BudgetColumns(kinds)
    nothing = [whole * 0.0 for whole in wholes]
    table = BudgetTable.from_budgets(columns, capacity=wholes, pending=wholes, available=nothing)
    counts = np.array([len(rows) for rows, *_ in asks])
    requests = RequestTable.from_edges(
        table,
        counts=counts,
        needed=np.array([min(needed, len(rows)) for rows, _, _, needed in asks]),
        block=np.concatenate([sorted(rows) for rows, *_ in asks]),
        curve=np.arange(counts.sum()),
        demands=columns.rows(part(wholes[row], low, high) for rows, low, high, _ in asks for row in sorted(rows)),
    )
    queue, waiting, submitted = PackingQueue(table, requests), set[int](), 0
    for action, number, amount in steps:
        touched = []
        if action == "unlock":
            unlocked = np.minimum(table.capacity[[number]] * amount, table.pending[[number]])
            table.unlock(np.array([number]), unlocked)
            touched = [number]
        elif action == "submit":
            new = range(submitted, min(submitted + number, len(asks)))
            queue.submit(new)
            waiting, submitted = waiting | set(new), new.stop
        elif number in waiting:
            queue.drop(number)
            waiting.remove(number)
        untouched = copy.deepcopy(table)
        fresh = PackingQueue(untouched, requests)
        fresh.submit(sorted(waiting))
        expected = [(request, requests.block[edges].tolist()) for request, edges in fresh.grant(range(3))]
        assert [(request, requests.block[edges].tolist()) for request, edges in queue.grant(touched)] == expected
        np.testing.assert_array_equal(table.available, untouched.available)
        waiting -= {request for request, _ in expected}
