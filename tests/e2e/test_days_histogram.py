"""The private look at the days of data: all declared days, noised, paid for before they are printed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from privatekube.data import partition
from tests.e2e.conftest import Laptop

FIRST_SECOND = 1_356_998_400
"""Unix seconds of 2013-01-01."""

LOOK = ("examples/days_histogram.py", "--dataset", "wide", "--epsilon")


@pytest.mark.slow
@pytest.mark.parametrize(("accounting", "unit", "bound"), [("epsdel", "event", 1), ("renyi", "user-day", 2)])
def test_all_declared_days_are_counted_with_noise_and_paid_for(
    laptop: Laptop, accounting: str, unit: str, bound: int
) -> None:
    times = [FIRST_SECOND + day * 86_400 + second for day in (0, 2) for second in range(1000)]
    fields = {"asin": "p", "overall": 5, "reviewText": "good"}
    lines = [json.dumps({**fields, "reviewerID": f"u{n}", "unixReviewTime": time}) for n, time in enumerate(times)]
    (laptop.folder / "Music.json").write_text("\n".join(lines))
    declared = ("--start-day", "2012-01-01", "--end-day", "2013-05-31", "--slice", "month", "--dataset", "wide")
    kept = ("--accounting", accounting, "--unit", unit)
    laptop.run("demo_blocks.py", "create", "--source", "Music.json", *declared, *kept)
    noisy = dict(line.split() for line in laptop.run(*LOOK, "1").splitlines())
    days = [str(partition.date_of(day)) for day in range(-366, 151)]
    exact = {day: 1000 if day in {"2013-01-01", "2013-01-03"} else 0 for day in days}
    assert list(noisy) == days
    noise = np.array([int(noisy[day]) - exact[day] for day in days]) / bound
    assert 0.6 < np.abs(noise).mean() < 1.3  # 0.85 to 1, give or take 0.05: neither half nor twice the scale
    assert "lacks budget" in laptop.run(*LOOK, "10", status=3)
    assert "epsilon: 0.0 must be greater than 0" in laptop.run(*LOOK, "0", status=2)
