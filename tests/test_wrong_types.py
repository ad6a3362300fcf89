"""Values of the wrong type are refused by the public API in one line, never by an AttributeError."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import privatekube
from privatekube import errors
from privatekube.resources.quota import PrivacyBudgetQuota, QuotaSpec

WRONG: tuple[object, ...] = (object(), 5, None, "x", 3.5, float("nan"), [1], {"a": 1}, b"x", True, (1, 2), {1})
DIGEST = f"sha256:{1:064x}"
SPEC = privatekube.BlockSpec(privatekube.EpsilonDelta(10.0, 1e-6), "d", "file:///x")
FITTING: dict[str, object] = {
    "attribute": "a",
    "blocks": [privatekube.PrivateDataBlock(privatekube.ObjectMeta("a", "ns"), SPEC)],
    "block_id": "ns/a",
    "card": DIGEST,
    "claim_id": "ns/a",
    "data_source": "x",
    "dataset": "d",
    "delta": 1e-9,
    "epsilon": 1.0,
    "epsilons": (1.0,),
    "expected_budget": privatekube.BudgetDemand(privatekube.EpsilonDelta(1.0)),
    "identities": [],
    "initial_budget": privatekube.EpsilonDelta(1.0),
    "meta": privatekube.ObjectMeta("a", "ns"),
    "name": "a",
    "namespace": "ns",
    "orders": (2,),
    "outputs": (DIGEST,),
    "quota": PrivacyBudgetQuota(privatekube.ObjectMeta("a", "ns"), QuotaSpec("d", share=0.5)),
    "quota_id": "ns/a",
    "release": privatekube.RegisterRequest("s", (DIGEST,)),
    "request": privatekube.AllocateRequest("d", privatekube.BudgetDemand(privatekube.EpsilonDelta(1.0, 1e-9))),
    "spec": SPEC,
    "step": "s",
    "timeout_seconds": 1,
}
CONSTRUCTED = (
    *("AllocateRequest", "BlockSpec", "BudgetDemand", "Dimension", "EpsilonDelta", "ObjectMeta"),
    *("PrivateDataBlock", "RegisterRequest", "RenyiCurve"),
)
METHODS = [
    name
    for name, _ in inspect.getmembers(privatekube.RunClient, inspect.isfunction)
    if not name.startswith("_") and name != "set_policy"  # its arguments are keywords of any name
]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[privatekube.RunClient]:
    with privatekube.connect(f"sqlite:///{tmp_path}/state.db") as client:
        yield client


def refusal_of(function: Callable[..., Any], arguments: dict[str, object]) -> str:
    """Call a function; return the message of the refusal, or nothing if it accepts the arguments."""
    try:
        function(**arguments)
    except errors.PrivateKubeError as refusal:
        return str(refusal)
    return ""


def require_refusals(function: Callable[..., Any]) -> None:
    """Call a function with each wrong value of each argument; it may accept the value, or refuse it in one line."""
    parameters = inspect.signature(function).parameters.values()
    fitting = {item.name: FITTING[item.name] for item in parameters if item.default is item.empty}
    for parameter in parameters:
        for value in WRONG:
            assert "\n" not in refusal_of(function, fitting | {parameter.name: value}), (parameter.name, value)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_a_client_refuses_values_of_the_wrong_type(client: privatekube.RunClient, name: str) -> None:
    require_refusals(getattr(client, name))


@pytest.mark.parametrize("name", CONSTRUCTED)
def test_a_constructor_refuses_values_of_the_wrong_type(name: str) -> None:
    require_refusals(getattr(privatekube, name))


@pytest.mark.parametrize("uri", [3, b"sqlite:///x", True, ["kubernetes"], Path("state.db"), "", "state.db"])
def test_a_store_that_is_not_named_by_text_is_refused(uri: Any) -> None:
    with pytest.raises(errors.InvalidInput, match="store: "):
        privatekube.connect(uri)


def test_the_message_names_the_argument_and_both_types(client: privatekube.RunClient) -> None:
    with pytest.raises(errors.InvalidInput, match="request: must be of the type AllocateRequest, not int; pass one"):
        client.allocate("ns", "c", 5, timeout_seconds=1)  # type: ignore[arg-type]  # it is wrong on purpose
    with pytest.raises(errors.InvalidInput, match="claim_id: must be of the type str, not NoneType; pass one"):
        client.settle(None)  # type: ignore[arg-type]  # it is wrong on purpose
    with pytest.raises(errors.InvalidInput, match="blocks: must be of the type PrivateDataBlock, not str; pass one"):
        client.create_blocks(["block"])  # type: ignore[list-item]  # it is wrong on purpose
