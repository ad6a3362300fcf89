"""The privacy card states what a reader must know to check the promise."""

from __future__ import annotations

from privatekube.steps import documents, privacy_card
from tests.steps.builders import grant, spend


def test_the_card_names_unit_adjacency_accountant_sampling_noise_blocks_and_digests() -> None:
    block = {"id": "ns/a", "uri": "file:///a", "digest": "sha256:77", "budget": {"epsDel": {"epsilon": 1.0}}}
    given = grant(unit="user-day", max_contribution=3, blocks=[block])
    paid = documents.Receipt(
        run_id="r1",
        claim="ns/run-r1",
        committed={"ns/a": {"epsDel": {"epsilon": 1.0, "delta": 1e-9}}},
        epsilon=0.9999,
        delta=1e-9,
        spends=(spend(),),
    )
    text = privacy_card.render(given, paid)
    for expected in (
        "user-day: all reviews of one user on one day, at most 3 of them per block",
        "add or remove one unit",
        "epsilon 0.9999 at delta 1e-09",
        "PLD",
        "Poisson, rate 0.1",
        "noise multiplier 1.2",
        "| ns/a | sha256:77 | `{'epsDel': {'epsilon': 1.0, 'delta': 1e-09}}` |",
        "dp-accounting 0.6",
    ):
        assert expected in text
