"""The control plane signs what it knows about a claim whose run publishes a privacy card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.client.client import BudgetClient
from privatekube.engine import card_statements
from privatekube.privacy.budget import EpsilonDelta
from privatekube.reconcile import block_admission
from privatekube.resources.claim import SettleAfter
from privatekube.resources.ledger import Readable
from privatekube.resources.requests import ConsumeRequest
from privatekube.resources.signature import Signature
from privatekube.resources.wire import claims
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders
from tests.passes import run_pass
from tests.reconcile.crashing import CrashError, CrashingStore
from tests.reconcile.harness import Plane

CARD, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[BudgetClient]:
    with BudgetClient(SqliteStore(tmp_path / "state.db")) as client:
        client.create_blocks([builders.block("a"), builders.block("b", day=3)])
        yield client


def consumed(client: BudgetClient, name: str = "c") -> str:
    claim = client.allocate("ns", name, builders.allocate(0.25), timeout_seconds=5)
    client.consume(claim.id)
    return claim.id


def test_a_statement_says_what_the_claim_committed_what_is_left_and_where_the_ledger_has_it(
    client: BudgetClient,
) -> None:
    signed = client.sign_card(consumed(client), CARD)
    stated = json.loads(signed.text)
    assert (stated["claim"], stated["card"]) == ("ns/c", CARD)
    first = stated["blocks"][0]
    assert first["block"] == "ns/a"
    assert first["lifetime"]["epsDel"]["epsilon"] == 1.0
    assert first["committed"]["epsDel"]["epsilon"] == 0.25
    assert first["left"]["epsDel"]["epsilon"] == 0.75
    entry = client.ledger(block_id="ns/a")[0]
    assert (first["ledger_sequence"], first["ledger_digest"]) == (entry.sequence, entry.digest)


def test_the_signature_is_of_the_stores_public_key_and_of_every_byte_of_the_text(client: BudgetClient) -> None:
    assert client.card_public_key() is None
    signed = client.sign_card(consumed(client), CARD)
    assert signed.signature.key == client.card_public_key()
    assert signed.signature.is_of(signed.text)
    assert not signed.signature.is_of(signed.text.replace("0.75", "0.85"))
    other = f"{'0' if signed.signature.value[0] != '0' else '1'}{signed.signature.value[1:]}"
    assert not replace(signed.signature, value=other).is_of(signed.text)


def test_all_cards_of_a_store_are_signed_with_one_key_and_a_repetition_gives_the_same_statement(
    client: BudgetClient,
) -> None:
    first = client.sign_card(consumed(client, "c"), CARD)
    second = client.sign_card(consumed(client, "d"), CARD)
    assert first.signature.key == second.signature.key
    assert client.sign_card("ns/c", CARD) == first
    assert client.sign_card("ns/c", OTHER).card == OTHER


def test_a_claim_that_committed_nothing_gets_no_statement(client: BudgetClient) -> None:
    claim = client.allocate("ns", "c", builders.allocate(), timeout_seconds=5)
    with pytest.raises(errors.BudgetUnavailable, match="has committed nothing"):
        client.sign_card(claim.id, CARD)
    client.store.update(replace(claim, spec=replace(claim.spec, card=CARD)))
    run_pass(client)
    assert client.get_claim(claim.id).status.statement is None


def test_a_statement_is_made_without_a_block_that_was_deleted_meanwhile(client: BudgetClient) -> None:
    claim_id = consumed(client)
    client.delete_block("ns", "a")
    first, second = json.loads(client.sign_card(claim_id, CARD).text)["blocks"]
    assert (first["lifetime"], first["left"]) == (None, None)
    assert second["left"]["epsDel"]["epsilon"] == 0.75


def test_a_statement_is_made_of_what_was_held_on_a_block_that_was_deleted(plane: Plane) -> None:
    """Otherwise the claim would wait for its statement for ever, and every pass would read the ledger for it."""
    plane.block("a")
    plane.ask("c", builders.allocate(0.25))
    claim = plane.claim("c")
    plane.store.update(replace(claim, spec=replace(claim.spec, card=CARD, settle_after=SettleAfter(1, 0))))
    block_admission.remove(plane.store, plane.blocks()["ns/a"], now_ms=plane.clock.time_ms)
    plane.clock.time_ms += 2000
    plane.run()  # settles
    plane.run()  # signs
    signed = plane.claim("c").status.statement
    (entry,) = plane.store.ledger()
    assert signed is not None
    (stated,) = json.loads(signed.text)["blocks"]
    assert (stated["ledger_digest"], entry.reason) == (entry.digest, "unsettled")
    assert not plane.claim("c").is_open


def test_a_statement_names_no_ledger_entry_of_an_earlier_claim_of_the_same_name(plane: Plane) -> None:
    plane.block("a")
    plane.ask("c", builders.allocate(0.25), ConsumeRequest({"ns/a": EpsilonDelta(0.25)}))
    plane.store.delete(plane.claim("c"))
    plane.ask("c", builders.allocate(0.5))
    claim = plane.claim("c")
    plane.store.update(replace(claim, spec=replace(claim.spec, card=CARD, settle_after=SettleAfter(1, 0))))
    block_admission.remove(plane.store, plane.blocks()["ns/a"], now_ms=plane.clock.time_ms)
    plane.clock.time_ms += 2000
    for _ in range(2):
        plane.run()
    signed = plane.claim("c").status.statement
    _, held = plane.store.ledger()
    assert signed is not None
    assert (held.reason, held.claim_uid) == ("unsettled", claim.meta.uid)
    assert json.loads(signed.text)["blocks"][0]["ledger_digest"] == held.digest


class CountingStore(MemoryStore):
    """Counts how often the ledger is read."""

    reads = 0

    def readable_ledger(self) -> Readable:
        self.reads += 1
        return super().readable_ledger()


def test_a_pass_reads_the_ledger_once_however_many_claims_await_a_statement() -> None:
    store = CountingStore()
    client = BudgetClient(store)
    client.create_blocks([builders.block("a")])
    for claim in [client.get_claim(consumed(client, f"c{number}")) for number in range(3)]:
        store.update(replace(claim, spec=replace(claim.spec, card=CARD)))
    store.reads = 0
    run_pass(client)
    assert all(client.get_claim(f"ns/c{number}").status.statement is not None for number in range(3))
    assert store.reads == 1


def test_the_key_is_kept_and_is_not_a_setting_of_the_policy(client: BudgetClient) -> None:
    before = client.policy_settings()
    client.sign_card(consumed(client), CARD)
    assert client.policy_settings() == before
    client.policy()


def test_a_malformed_key_or_signature_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="public key"):
        Signature("ed25519:00", "0" * 128)
    with pytest.raises(errors.InvalidInput, match="signature"):
        Signature(f"ed25519:{'0' * 64}", "0" * 127)


def test_amounts_are_of_the_claim_alone(client: BudgetClient) -> None:
    consumed(client, "first")
    stated = json.loads(client.sign_card(consumed(client, "second"), CARD).text)["blocks"][0]
    assert stated["committed"]["epsDel"]["epsilon"] == EpsilonDelta(0.25).epsilon
    assert stated["left"]["epsDel"]["epsilon"] == pytest.approx(0.5)


@pytest.mark.parametrize("after", [False, True])
def test_a_pass_that_dies_while_it_signs_is_repeated_by_the_next(after: bool) -> None:
    store = CrashingStore(MemoryStore())
    client = BudgetClient(store)
    client.create_blocks([builders.block("a")])
    claim = client.get_claim(consumed(client))
    store.update(replace(claim, spec=replace(claim.spec, card=CARD)))
    store.arm(1, after=after)
    with pytest.raises(CrashError):
        run_pass(client)
    store.arm(None)
    run_pass(client)
    signed = client.sign_card(claim.id, CARD)
    assert signed.signature.is_of(signed.text)
    assert signed.signature.key == client.card_public_key()
    assert len(client.ledger()) == 1


def test_a_statement_that_no_store_would_take_is_refused_in_one_line_and_the_payment_stays(
    client: BudgetClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_id = consumed(client)
    monkeypatch.setattr(card_statements, "_MOST_BYTES_WITH_STATEMENT", 2500)
    with pytest.raises(
        errors.TooLarge, match=r"claim ns/c: a statement on 2 blocks would make it .* its card stays un"
    ):
        client.sign_card(claim_id, CARD)
    claim = client.get_claim(claim_id)
    assert (claim.spec.card, claim.is_open) == (None, False), "no pass has to look at it"
    client.store.update(replace(claim, spec=replace(claim.spec, card=CARD)))  # written by hand
    done = Plane(client.store).run()
    assert [(note.claim_id, type(note.error)) for note in done.unsigned] == [(claim_id, errors.TooLarge)]
    assert not done.set_aside
    assert client.get_claim(claim_id).status.committed == claim.status.committed


def test_the_bound_of_a_claim_with_a_statement_is_no_smaller_than_the_claim(
    client: BudgetClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_id = consumed(client)
    client.sign_card(claim_id, CARD)
    claim = client.get_claim(claim_id)
    document = claims.to_wire(claim)
    monkeypatch.setattr(
        card_statements, "_MOST_BYTES_WITH_STATEMENT", len(json.dumps([document["spec"], document["status"]]))
    )
    with pytest.raises(errors.TooLarge):
        card_statements.require_room(claim)
