"""Hypothesis strategies for the requests that an adversary writes in a claim, as JSON."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from privatekube.resources import bounds
from tests import builders
from tests.fuzzing import budgets, honest
from tests.fuzzing.budgets import NOT_OBJECTS, Json, Strategy, fields, mostly

LONG = "h" * bounds.NAME
TOO_LONG = f"{LONG}h"
NUMBERS_AS_TEXT = ("²", "9" * 32, "99999999999999999999", "2147483646", "-1", "", "NaN", "1e999", "0x10", "٣" * 20)

counts = mostly(
    st.sampled_from([0, 1, -1, 2**31 - 1]),
    st.sampled_from([-2, 2**31, 2**63 - 1, 2**63, 1.5, "1", True, None, math.inf]),
)
times = mostly(
    st.sampled_from([0, 1, 1000, bounds.LONGEST_MS, bounds.LATEST_MS]),
    st.sampled_from([-1, 2**63 - 1, 10**30, "0", 1.5, None]),
)
texts = mostly(
    st.sampled_from(["x", "allOrNothing=true", "abortAvailable=true", "", "{", "[/b]", "\U0001f600", LONG]),
    st.sampled_from([TOO_LONG, "\ud83d", 5, None]),
)
attributes = st.sampled_from(["startTime", "endTime", "userBucket", "unit", "", TOO_LONG, "²"])
decimals = st.sampled_from([*NUMBERS_AS_TEXT, "0", "-.5", ".", "9" * 64, "9" * 65, "1_0", None, 3])
_names = mostly(st.sampled_from(["", "1", "settle-after", "a/b", "²", LONG]), st.sampled_from([TOO_LONG, 5, None]))
_operations = st.sampled_from([">=", "=", "is", "include", "<=", "", "unknown", TOO_LONG])
_tests = {"attribute": attributes, "operation": _operations}
_conditions = fields({**_tests, "numericValue": decimals}, {"stringValue": texts}) | fields(
    {**_tests, "stringValue": texts}, {"numericValue": decimals}
)
_digests = mostly(
    st.just([f"sha256:{'1' * 64}"]), st.sampled_from([["sha256:"], ["²", 3], [f"sha256:{'2' * 64}"] * 17, []])
)


def _ids(names: tuple[str, ...]) -> Strategy:
    return st.sampled_from([f"{builders.NAMESPACE}/{name}" for name in names])


def _map_of(ids: Strategy, amounts: Strategy) -> Strategy:
    return mostly(st.dictionaries(ids, amounts, max_size=3), st.sampled_from(NOT_OBJECTS))


_own_ids = mostly(_ids(budgets.BLOCKS), st.sampled_from(["ns/none", "elsewhere/b", "", "²", "a/b/c"]))
_constants = {"constant": budgets.any_budget}
_maps = {"budgetMap": _map_of(_own_ids, budgets.any_budget)}
_own_demands = (
    st.fixed_dictionaries(_constants)
    | st.fixed_dictionaries(_maps)
    | fields({}, {**_constants, **_maps, "function": texts})
)
_honest_demands = st.fixed_dictionaries({"constant": budgets.ungrantable}) | st.fixed_dictionaries(
    {"budgetMap": _map_of(_ids(honest.BLOCKS), budgets.ungrantable)}
)
_extras = {
    "minNumberOfBlocks": counts,
    "maxNumberOfBlocks": counts,
    "timeout": times,
    "conditions": st.lists(_conditions, max_size=2),
    "minBudget": _own_demands,
    "unknown": texts,
}


def _allocate(dataset: Strategy, demand: Strategy) -> Strategy:
    return fields({"dataset": dataset, "expectedBudget": demand}, _extras)


_payable_requests = [
    _allocate(st.just(dataset), st.fixed_dictionaries({"constant": amounts}))
    for dataset, amounts in zip(budgets.DATASETS, budgets.payable, strict=True)
]
_selective_requests = st.builds(
    lambda content, conditions: {**content, "conditions": conditions},
    st.one_of(_payable_requests),
    st.lists(_conditions, min_size=1, max_size=2),
)
ALLOCATES = (
    *_payable_requests,
    _selective_requests,
    _allocate(st.sampled_from(budgets.DATASETS), _own_demands),
    *(_allocate(st.just(dataset), _honest_demands) for dataset in honest.DATASETS),
)
"""Kinds of allocate requests, most of which a server accepts."""
_allocates = mostly(st.one_of(ALLOCATES), _allocate(st.sampled_from(["", "none", TOO_LONG, 5, None]), _own_demands))
_held = st.sampled_from(
    [
        {f"{builders.NAMESPACE}/{name}": amount}
        for name, amount in zip(
            budgets.BLOCKS,
            (budgets.epsdel(0.01, 0), budgets.curve(honest.ORDERS, 0.01), budgets.curve(budgets.MANY_ORDERS, 0.01)),
            strict=True,
        )
    ]
)
_settled = _held | _map_of(_own_ids | _ids(honest.BLOCKS), budgets.any_budget)
_releases = fields({"release": _settled}, {"policy": texts, "unknown": texts})
_ACTIONS = {
    "allocateRequest": _allocates,
    "consumeRequest": fields({"consume": _settled}, {"policy": texts, "mechanisms": st.lists(texts, max_size=2)}),
    "releaseRequest": _releases,
    "registerRequest": fields({"step": _names, "outputs": _digests}, {"inputs": _digests, "event": texts}),
}


def _request(identifier: object, action: str, content: object) -> Json:
    return {"identifier": identifier, action: content}


request = mostly(
    st.one_of([st.builds(_request, _names, st.just(name), content) for name, content in _ACTIONS.items()]),
    st.one_of(
        st.builds(_request, _names, st.sampled_from([*_ACTIONS, "unknownRequest"]), st.sampled_from(NOT_OBJECTS)),
        st.builds(
            lambda one, two: {**_request("2", "allocateRequest", one), "releaseRequest": two}, _allocates, _releases
        ),
        st.sampled_from(NOT_OBJECTS),
    ),
)
_FREE = _request(
    "1", "consumeRequest", {"consume": {f"{builders.NAMESPACE}/{budgets.BLOCKS[0]}": budgets.epsdel(0, 0)}}
)
repeated_requests = st.builds(
    lambda first, repeated, count: [first, *[repeated] * count],
    request,
    st.just(_FREE) | request,
    st.sampled_from([9, bounds.REQUESTS - 1, bounds.REQUESTS]),
)


def request_list(allocates: Strategy) -> Strategy:
    """Return an allocate request and what follows; seldom as many requests as a claim may have, or more."""
    start = st.builds(_request, _names, st.just("allocateRequest"), allocates)
    return mostly(
        st.builds(lambda first, others: [first, *others], start, st.lists(request, max_size=2)),
        mostly(st.lists(request, max_size=2), repeated_requests | st.sampled_from(NOT_OBJECTS)),
    )
