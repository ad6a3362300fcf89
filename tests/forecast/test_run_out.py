"""When a block and a dataset run out: by what claims committed lately, together."""

from __future__ import annotations

import pytest

from privatekube.forecast import depletion, run_out
from privatekube.forecast.depletion import DAY_MS
from privatekube.forecast.run_out import Commit, History
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources import ledger
from privatekube.resources.ledger import Entry

NOW = 100 * DAY_MS


def block(name: str, left: float, *commits: tuple[str, float, int], since: int = 0) -> History:
    """Return the history of a block of commits, each a claim, a share and a day."""
    return History(
        name, left, since * DAY_MS, tuple(Commit(claim, share, day * DAY_MS) for claim, share, day in commits)
    )


def days_until(found: depletion.Depletion) -> float:
    assert found.at_ms is not None
    return (found.at_ms - NOW) / DAY_MS


def test_only_the_last_days_make_the_rate_and_older_commits_the_largest_amount() -> None:
    old, new = ("a", 0.5, 10), ("b", 0.1, 90)
    assert days_until(run_out.of_block(block("x", 0.4, old, new), now_ms=NOW)) == pytest.approx(4 * 30)
    assert days_until(run_out.of_block(block("x", 0.4, old, new), now_ms=NOW, days=95)) == pytest.approx(0.4 / 0.6 * 95)
    young = run_out.of_block(block("x", 0.4, new, since=80), now_ms=NOW)
    assert days_until(young) == pytest.approx(4 * 20)
    quiet = run_out.of_block(block("x", 0.5, old), now_ms=NOW)
    assert quiet.at_ms is None
    assert quiet.earliest_ms == pytest.approx(NOW + 30 * DAY_MS / 3.688879, rel=1e-6)


def test_a_claim_on_many_blocks_is_one_commit_of_their_dataset() -> None:
    blocks = [block(f"b{number}", 0.8, ("a", 0.1, 80), ("b", 0.1, 90)) for number in range(50)]
    dataset, one = run_out.of_dataset(blocks, now_ms=NOW), run_out.of_block(blocks[0], now_ms=NOW)
    assert days_until(dataset) == pytest.approx(days_until(one))
    assert dataset.earliest_ms == pytest.approx(one.earliest_ms, abs=10)
    assert dataset.latest_ms == pytest.approx(one.latest_ms, abs=10)


def test_blocks_that_nobody_spends_make_a_dataset_last_longer_and_not_for_ever() -> None:
    used, unspent = block("a", 0.5, ("c", 0.5, 90)), block("b", 1.0)
    assert days_until(run_out.of_dataset([used, unspent], now_ms=NOW)) == pytest.approx(3 * 30)
    name, first = run_out.first([unspent, used], now_ms=NOW)
    assert name == "a"
    assert days_until(first) == pytest.approx(30)
    gone = block("c", 0.0, ("c", 1.0, 90))
    assert run_out.first([unspent, used, gone], now_ms=NOW)[0] == "c"
    assert run_out.first([unspent], now_ms=NOW)[1].at_ms is None


def test_what_a_block_inherited_was_not_spent_on_it() -> None:
    def entry(claim: str, reason: str, share: float) -> Entry:
        return Entry(claim, NOW, "d", "name:b", "ns/b", claim, None, EpsilonDelta(share), reason)

    entries = [entry("ns/b", ledger.INHERITED, 0.6), entry("ns/c", "consumed", 0.25)]
    found = run_out.history("ns/b", 0.15, entries, whole=EpsilonDelta(1.0), created_ms=NOW + 5)
    assert found == History("ns/b", 0.15, NOW, (Commit("ns/c", 0.25, NOW),))
