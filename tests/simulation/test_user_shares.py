"""The calculation of decision 0071: what a claim for a quarter of the users costs, and which blocks it takes."""

from __future__ import annotations

from types import ModuleType

import pytest

from privatekube.privacy import accounting
from tests.simulation import programs


@pytest.fixture(scope="module")
def user_shares() -> ModuleType:
    return programs.load("user_shares")


def test_four_times_the_noise_on_all_users_costs_no_more_than_a_secret_sample_of_a_quarter(
    user_shares: ModuleType,
) -> None:
    for kind in user_shares.WORKLOADS["basic"]:
        for epsilon in kind.epsilons:
            whole, amplified, noisier = (
                accounting.renyi_cost(make(epsilon), user_shares.ORDERS).values
                for make in (kind.whole, kind.amplified, kind.noisier)
            )
            assert all(
                noise <= sample < all_users for noise, sample, all_users in zip(noisier, amplified, whole, strict=True)
            )


def test_a_claim_takes_the_blocks_of_its_weeks_and_of_its_range_of_the_attribute(user_shares: ModuleType) -> None:
    request = user_shares.requests("gaussian", 1, seed=0)[0]
    ranges = 8
    made = user_shares.scenario([request], version="noise", buckets=ranges)
    claim = made.claims[0]
    chosen = {block % ranges for block in claim.blocks}
    begin, end = request.begin * ranges, (request.begin + request.length) * ranges
    assert chosen == {number % ranges for number in range(int(begin), int(end) + 1)}
    assert len(claim.blocks) == user_shares.WEEKS * len(chosen)
    assert len(made.blocks) == user_shares.WEEKS * ranges
