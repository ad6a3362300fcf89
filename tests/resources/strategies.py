"""Hypothesis strategies for every field that a block or a claim can have."""

from __future__ import annotations

from hypothesis import strategies as st

from privatekube.privacy import budget
from privatekube.privacy.budget import EpsilonDelta, PrivacyBudget, RenyiCurve
from privatekube.resources import bounds, meta
from privatekube.resources.block import (
    BlockSpec,
    BlockStatus,
    Dimension,
    FlowReleasing,
    Lock,
    LockState,
    PrivateDataBlock,
    ReleaseMode,
    ReturnPolicy,
)
from privatekube.resources.claim import ClaimSpec, ClaimStatus, PrivacyBudgetClaim
from privatekube.resources.refusals import Refusal
from privatekube.resources.request_id import RequestId
from privatekube.resources.requester import Requester
from privatekube.resources.requests import (
    AllocateRequest,
    BlockCondition,
    BudgetDemand,
    ConsumeRequest,
    RegisterRequest,
    ReleaseRequest,
    Request,
)
from privatekube.resources.responses import (
    AllocateResponse,
    Allocation,
    ConsumeResponse,
    RegisterResponse,
    ReleaseResponse,
    Response,
    ResponseState,
    Settlement,
)
from privatekube.resources.sealing_key import SealingKey

amounts = st.floats(0, 1e6)
orders = st.lists(st.sampled_from(budget.STANDARD_ORDERS), min_size=1, unique=True).map(tuple)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
decimals = st.from_regex(r"-?([0-9]{1,4}\.?[0-9]{0,4}|\.[0-9]{1,4})", fullmatch=True)
times = st.integers(1, 2**41)
priorities = st.integers(-(2**63) + 1, 2**63 - 1)


@st.composite
def curves(draw: st.DrawFn) -> RenyiCurve:
    chosen = draw(orders)
    return RenyiCurve(chosen, tuple(draw(st.lists(amounts, min_size=len(chosen), max_size=len(chosen)))))


budgets: st.SearchStrategy[PrivacyBudget] = st.builds(EpsilonDelta, amounts, st.floats(0, 1)) | curves()
block_ids = texts.filter(lambda text: not text.startswith("#"))  # a key of a group of blocks, which no id is
maps = st.dictionaries(block_ids, budgets, max_size=3)
some = st.dictionaries(block_ids, budgets, min_size=1, max_size=3)
identities = st.builds(
    meta.ObjectMeta,
    name=names,
    namespace=names,
    uid=st.just("") | texts,
    generation=st.integers(1, 9),
    creation_time_ms=st.none() | times,
    annotations=st.dictionaries(texts, texts, max_size=2),
    labels=st.dictionaries(texts, texts, max_size=2),
)
conditions = st.lists(
    st.builds(meta.Condition, texts, st.booleans(), texts, texts, times, st.integers(1, 9)), max_size=2
).map(tuple)
dimensions = st.builds(Dimension, texts, numeric_value=decimals) | st.builds(Dimension, texts, string_value=texts)
optional_time = st.none() | times
request_ids = st.builds(
    lambda namespace, name, index: RequestId(f"{namespace}/{name}", index), names, names, st.integers(0, 99)
)
locks = st.builds(Lock, st.sampled_from(LockState), st.none() | budgets, st.none() | budgets, st.none() | texts)


@st.composite
def blocks(draw: st.DrawFn) -> PrivateDataBlock:
    status = st.builds(
        BlockStatus,
        pending=budgets,
        available=budgets,
        acquired=maps,
        reserved=maps,
        committed=maps,
        locks=st.dictionaries(request_ids, locks, max_size=2),
        last_release_ms=optional_time,
        number_of_data=st.none() | st.integers(0, 9),
        conditions=conditions,
    )
    spec = st.builds(
        BlockSpec,
        initial_budget=budgets,
        dataset=texts,
        data_source=texts,
        dimensions=st.lists(dimensions, max_size=3).map(tuple),
        release_mode=st.sampled_from(ReleaseMode),
        budget_return_policy=st.sampled_from(ReturnPolicy),
        flow_releasing=st.none() | st.builds(FlowReleasing, times, optional_time, optional_time),
    )
    return PrivateDataBlock(draw(identities), draw(spec), draw(st.none() | status))


demands = (
    st.builds(BudgetDemand, constant=budgets)
    | st.builds(BudgetDemand, by_block=some)
    | st.builds(BudgetDemand, function=texts)
)
selections = st.builds(BlockCondition, texts, st.sampled_from([">=", "is"]), st.none() | decimals, st.none() | texts)
digests = st.lists(st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format), max_size=3).map(tuple)
requests = st.builds(
    Request,
    st.just("") | texts,
    st.builds(
        AllocateRequest,
        dataset=texts,
        expected_budget=demands,
        min_budget=st.none() | demands,
        conditions=st.lists(selections, max_size=2).map(tuple),
        min_blocks=st.none() | st.just(-1) | st.integers(1, 9),
        max_blocks=st.none() | st.integers(1, 9),
        timeout_ms=st.none() | st.integers(1, bounds.LONGEST_MS),
    )
    | st.builds(ConsumeRequest, maps, st.none() | texts)
    | st.builds(ReleaseRequest, maps, st.none() | texts)
    | st.builds(RegisterRequest, texts, digests.filter(bool), digests, st.none() | texts),
)
settlements = st.dictionaries(
    texts, st.builds(Settlement, st.none() | budgets, st.none() | texts), min_size=1, max_size=2
)
answers = st.builds(
    Response,
    st.just("") | texts,
    st.sampled_from(ResponseState),
    st.none() | st.builds(Refusal.parse, texts),
    st.builds(
        AllocateResponse,
        st.dictionaries(block_ids, st.builds(Allocation, budgets, st.none() | budgets), min_size=1, max_size=2),
        optional_time,
        optional_time,
    )
    | st.builds(ConsumeResponse, settlements)
    | st.builds(ReleaseResponse, settlements)
    | st.builds(RegisterResponse, texts)
    | st.none(),
)
owners = st.lists(st.dictionaries(texts, texts, min_size=1, max_size=2), max_size=2).map(tuple)
digits = st.text("0123456789abcdef", min_size=64, max_size=64)
sealing_keys = st.builds(SealingKey, digits.map("x25519:{}".format), st.none() | digits.map("x25519-private:{}".format))
claims = st.builds(
    PrivacyBudgetClaim,
    identities,
    st.builds(
        ClaimSpec,
        st.lists(requests, max_size=3).map(tuple),
        st.booleans(),
        st.none() | priorities,
        owners,
        opens_releases=st.booleans(),
        requester=st.sampled_from([Requester(), Requester("ann"), Requester("a b", "ads", "a purpose: é")]),
        deadline_ms=st.none() | st.integers(0, bounds.LATEST_MS // 1000).map(lambda seconds: seconds * 1000),
    ),
    st.builds(
        ClaimStatus,
        maps,
        maps,
        maps,
        st.lists(answers, max_size=3).map(tuple),
        conditions,
        sealing=st.none() | sealing_keys,
    ),
)
