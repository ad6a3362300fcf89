"""Who requests budget and why: plain and bounded, of the claim and the ledger, and read where it is absent."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from privatekube import errors
from privatekube.cli import ledger_export
from privatekube.client.client import BudgetClient
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import ledger, ledger_totals, meta
from privatekube.resources.ledger import Entry
from privatekube.resources.ledger_totals import Group
from privatekube.resources.requester import Requester
from privatekube.resources.wire import claims
from privatekube.store import login_name
from privatekube.store.memory import MemoryStore
from tests import builders

ANN = Requester("ann", "ads", "which clicks convert")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"team": "a b"}, "team: 'a b' must be 1 to 63 letters"),
        ({"team": "a" * 64}, "team: '64 characters' must be 1 to 63"),
        ({"purpose": ""}, "purpose: '0 characters' must be 1 to 1000"),
        ({"purpose": "a\x1b[2J"}, "purpose: 'a\\x1b[2J' has a character that is not plain text"),
        ({"purpose": "\u202eabc"}, "purpose: '\\u202eabc' has a character that is not plain text"),
        ({"user": "a\nb"}, "requestedBy: 'a\\nb' has a character that is not plain text"),
        ({"user": 5}, "requestedBy: must be of the type str, not int"),
    ],
)
def test_what_is_not_plain_or_too_long_is_refused_in_one_line(given: dict[str, str], fault: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        Requester(**given)
    assert str(refused.value).startswith(fault)
    assert "\n" not in str(refused.value)


def test_a_claim_without_requester_is_read_as_before_and_its_user_is_the_creator_that_the_server_recorded() -> None:
    wire = claims.to_wire(builders.claim())
    assert not {"requestedBy", "team", "purpose"} & wire["spec"].keys()
    assert claims.from_store(wire).requester == Requester()
    wire["metadata"]["annotations"] = {meta.CREATED_BY: "ann\x1b[2J"}
    assert claims.from_store(wire).requester == Requester("ann\\x1b[2J")
    wire["spec"]["requestedBy"] = "bob"
    assert claims.from_store(wire).requester == Requester("bob")


def test_the_ledger_says_who_committed_what_for_whom_and_why_and_keeps_the_digests_of_older_entries() -> None:
    with BudgetClient(MemoryStore()) as client:
        client.create_blocks([builders.block()])
        client.allocate("ns", "c", builders.allocate(), timeout_seconds=5, team="ads", purpose="clicks")
        client.mark_opened("ns/c")
        client.consume("ns/c")
        (entry,) = client.ledger()
        changed = replace(client.get_claim("ns/c"), spec=replace(client.get_claim("ns/c").spec, requester=ANN))
        with pytest.raises(errors.InvalidInput, match="who requests it, and why, cannot be changed"):
            client.store.update(changed)
    assert entry.requester == Requester(login_name.current(), "ads", "clicks")
    assert ledger.from_json(entry.to_json(), entry.digest) == entry
    before = replace(entry, requester=Requester())
    assert not {"requestedBy", "team", "purpose"} & before.to_json().keys()


def entry(claim: str, block: str, epsilon: float, requester: Requester = ANN, *, time_ms: int = 0) -> Entry:
    amount = EpsilonDelta(epsilon, 1e-9)
    made = Entry(f"{claim}/{block}/{epsilon}", time_ms, "d", "data", block, claim, None, amount, ledger.CONSUMED)
    return replace(made, requester=requester)


def test_totals_tell_what_a_team_committed_at_most_on_one_block_and_leave_out_what_was_inherited() -> None:
    entries = [
        *(entry("ns/1", block, 0.25) for block in ("ns/a", "ns/b")),
        entry("ns/2", "ns/b", 0.25, replace(ANN, user="bob")),
        replace(entry("inherited", "ns/c", 9.0), reason=ledger.INHERITED),
        entry("ns/old", "ns/a", 0.125, Requester(), time_ms=40 * 86_400_000),
    ]
    by_team = {total.key: total for total in ledger_totals.totals(entries, Group.TEAM)}
    assert by_team.keys() == {"ads", "not stated"}
    assert (by_team["ads"].claims, by_team["ads"].blocks, by_team["ads"].block) == (2, 2, "ns/b")
    assert by_team["ads"].budget == EpsilonDelta(0.5, 2e-9)
    assert [total.key for total in ledger_totals.totals(entries, Group.MONTH)] == ["1970-01", "1970-02"]
    assert [total.claims for total in ledger_totals.totals(entries, Group.USER)] == [1, 1, 1]
    assert [total.key for total in ledger_totals.totals(entries, Group.PURPOSE)] == ["not stated", ANN.purpose]


def test_a_formula_of_a_user_is_text_in_the_csv_file(capsys: pytest.CaptureFixture[str]) -> None:
    entries = [entry("ns/1", "ns/a", 0.25, replace(ANN, purpose='=cmd|" /C calc"!A0, 1'))]
    ledger_export.show_entries(entries, ledger_export.Format.CSV)
    ledger_export.show_totals(ledger_totals.totals(entries, Group.PURPOSE), Group.PURPOSE, ledger_export.Format.CSV)
    first, second = (list(csv.DictReader(io.StringIO(part))) for part in _tables(capsys.readouterr().out))
    assert first[0]["purpose"] == second[0]["purpose"] == '\'=cmd|" /C calc"!A0, 1'
    assert (first[0]["epsilon"], first[0]["team"], first[0]["requestedBy"]) == ("0.25", "ads", "ann")


def _tables(text: str) -> tuple[str, str]:
    place = text.index("purpose,dataset")
    return text[:place], text[place:]
