"""A claim's key: the public half comes with the grant, the private half after all of it is paid and for who asks."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import read_world
from privatekube.resources.claim import PrivacyBudgetClaim, SettleAfter
from privatekube.resources.requests import AllocateRequest, ConsumeRequest, ReleaseRequest
from privatekube.resources.sealing_key import SealingKey
from privatekube.store.memory import MemoryStore
from tests import builders
from tests.clock import FakeClock
from tests.passes import run_pass
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane

ALL, PART = EpsilonDelta(0.25), EpsilonDelta(0.1)


def asks(plane: Plane, *actions: AllocateRequest | ConsumeRequest | ReleaseRequest) -> PrivacyBudgetClaim:
    """Create a claim `c` that asks for its key from the first moment, and return it after some passes."""
    claim = plane.claim_of("c", builders.allocate(0.25), *actions)
    plane.store.create(replace(claim, spec=replace(claim.spec, opens_releases=True)))
    for _ in range(3):
        plane.run()
    return plane.claim("c")


def private_half(claim: PrivacyBudgetClaim) -> str | None:
    assert claim.status.sealing is not None
    return claim.status.sealing.private


def test_a_grant_states_the_public_half_and_a_claim_that_waits_has_none(plane: Plane) -> None:
    plane.block("b")
    key = plane.ask("c", builders.allocate(0.25)).status.sealing
    assert key is not None
    assert key.private is None
    assert plane.ask("waits", builders.allocate(0.9)).status.sealing is None
    other = plane.ask("d", builders.allocate(0.1)).status.sealing
    assert other not in (None, key)
    plane.store.delete(plane.claim("c"))
    assert plane.ask("c", builders.allocate(0.1)).status.sealing not in (None, key)


def test_the_private_half_opens_what_the_public_half_seals_and_is_not_shown(plane: Plane) -> None:
    plane.block("b")
    claim = asks(plane, ConsumeRequest({"ns/b": ALL}))
    key, secret = claim.status.sealing, plane.store.ensure_secret(read_world.SEALING_KEY, b"")
    assert key == SealingKey.of_claim(secret, claim.meta.uid)
    assert private_half(claim) is not None
    assert str(private_half(claim)) not in repr(key)
    assert not claim.is_open


@pytest.mark.parametrize(
    "actions",
    [
        (),
        (ReleaseRequest({"ns/b": ALL}),),
        (ConsumeRequest({"ns/b": PART}),),
        (ReleaseRequest({"ns/b": PART}), ConsumeRequest({"ns/b": ALL})),
        (ConsumeRequest({"ns/b": EpsilonDelta(9.0)}, "allOrNothing=true"),),
        (ConsumeRequest({"ns/b": ALL}), builders.allocate(0.25)),
    ],
    ids=["held", "released", "consumed in part", "consumed but for a part", "refused", "granted again"],
)
def test_a_claim_that_has_not_paid_for_all_that_it_was_granted_never_gets_the_private_half(
    plane: Plane, actions: tuple[AllocateRequest | ConsumeRequest | ReleaseRequest, ...]
) -> None:
    plane.block("b")
    assert private_half(asks(plane, *actions)) is None


def test_a_claim_that_pays_twice_is_paid(plane: Plane) -> None:
    plane.block("b")
    pay = ConsumeRequest({"ns/b": ALL})
    assert private_half(asks(plane, pay, builders.allocate(0.25), pay)) is not None


@pytest.mark.parametrize("is_opened", [True, False])
def test_a_settled_claim_gets_it_if_it_was_consumed_and_only_when_it_asks(plane: Plane, is_opened: bool) -> None:
    plane.block("b")
    claim = plane.ask("c", builders.allocate(0.25))
    spec = replace(claim.spec, settle_after=SettleAfter(1, 0), data_opened=is_opened)
    plane.store.update(replace(claim, spec=spec))
    plane.clock.time_ms += 5000
    for _ in range(2):
        plane.run()
    claim = plane.claim("c")
    assert private_half(claim) is None
    assert claim.has_paid is is_opened
    plane.store.update(replace(claim, spec=replace(claim.spec, opens_releases=True)))
    plane.run()
    assert (private_half(plane.claim("c")) is not None) is is_opened


def test_a_client_gets_the_same_key_again_and_none_before_it_has_paid(plane: Plane) -> None:
    client = BudgetClient(plane.store, clock=plane.clock)
    plane.block("b")
    claim = client.allocate("ns", "c", builders.allocate(0.25), timeout_seconds=5)
    with pytest.raises(errors.BudgetUnavailable, match=r"claim ns/c: has not consumed all .* consume it first"):
        client.opening_key("ns/c")
    assert not client.get_claim("ns/c").spec.opens_releases
    client.consume("ns/c")
    key = client.opening_key("ns/c")
    assert key is not None
    assert key.private is not None
    assert key.withheld == claim.status.sealing
    assert client.opening_key("ns/c") == key


def test_a_claim_that_an_earlier_version_granted_has_no_key_and_gets_none(plane: Plane) -> None:
    plane.block("b")
    claim = plane.ask("c", builders.allocate(0.25))
    plane.store.update_status(replace(claim, status=replace(claim.status, sealing=None)))
    client = BudgetClient(plane.store, clock=plane.clock)
    plane.append("c", builders.allocate(0.25))
    plane.run()
    assert plane.claim("c").status.acquired == {"ns/b": EpsilonDelta(0.5)}
    client.consume("ns/c")
    assert client.opening_key("ns/c") is None
    assert not plane.claim("c").is_open


def test_no_wrong_key_is_given_after_the_secret_was_lost_and_the_right_one_after_it_is_restored() -> None:
    store, clock = MemoryStore(), FakeClock()
    plane = Plane(store, clock=clock)
    plane.block("b")
    plane.ask("lost", builders.allocate(0.25), ConsumeRequest({"ns/b": ALL}))
    kept = store.secrets.pop(read_world.SEALING_KEY)
    for name in ("lost", "c"):
        claim = plane.claim_of("c", builders.allocate(0.25)) if name == "c" else plane.claim(name)
        asked = replace(claim, spec=replace(claim.spec, opens_releases=True))
        store.create(asked) if name == "c" else store.update(asked)
    done = plane.run()
    assert private_half(plane.claim("lost")) is None
    assert plane.claim("c").status.acquired == {"ns/b": ALL}  # others go on
    (note,) = done.set_aside
    assert "claim ns/lost: its key is not of the secret that the control plane has now" in str(note.error)
    store.secrets[read_world.SEALING_KEY] = kept
    plane.run()
    assert private_half(plane.claim("lost")) is not None


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("n_writes", range(1, 5))
def test_a_control_plane_that_dies_anywhere_states_one_key(n_writes: int, after: bool) -> None:
    store = CrashingStore(MemoryStore())
    client = BudgetClient(store)
    client.create_blocks([builders.block()])
    claim = builders.claim("c", builders.allocate(0.25))
    store.create(claim)
    store.arm(n_writes, after=after)
    stated = set()
    for _ in range(2):
        with contextlib.suppress(CrashError):
            run_pass(client)
        stated.add(client.get_claim("ns/c").status.sealing)
    store.arm(None)
    run_pass(client)
    assert stated - {None} == {client.get_claim("ns/c").status.sealing}
    client.consume("ns/c")
    assert client.opening_key("ns/c") is not None


@pytest.mark.parametrize(("public", "private"), [("x25519:00", None), (f"x25519:{0:064x}", f"x25519:{0:064x}")])
def test_a_malformed_key_is_refused_without_being_quoted(public: str, private: str | None) -> None:
    with pytest.raises(errors.InvalidInput, match=r"key: is not x25519(-private)?: and 64 hexadecimal digits") as error:
        SealingKey(public, private)
    assert "000" not in str(error.value)
