"""What a run writes depends on the data only through DP outputs: two neighbouring datasets, the same lines."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import Laptop

WORDS = ["good", "bad", "song", "paper", "printer", "album", "cheap", "great", "guitar", "ink"]


def reviews(count: int) -> list[str]:
    chooser = random.Random(7)
    return [
        json.dumps(
            {
                "reviewerID": f"user-{chooser.randrange(60)}",
                "asin": f"product-{chooser.randrange(40)}",
                "overall": float(chooser.randint(1, 5)),
                "reviewText": " ".join(chooser.choices(WORDS, k=chooser.randint(1, 30))),
                "summary": chooser.choice(WORDS),
                "unixReviewTime": 1356998400 + 86400 * chooser.randrange(3),
            }
        )
        for _ in range(count)
    ]


def run_and_read_log(laptop: Laptop, lines: list[str]) -> list[str]:
    """Return what the components wrote, without the random name of the run and the folder."""
    source = laptop.folder / "source"
    source.mkdir(parents=True)
    for category, part in (("Music", lines[0::2]), ("Office", lines[1::2])):
        (source / f"{category}.json").write_text("\n".join(part) + "\n")
    options = ("--source", str(source), "--start-day", "0", "--days", "3", "--unit", "user-day")
    laptop.run("demo_blocks.py", "create", *options, "--max-contribution", "2")
    written = laptop.pipeline("model=lstm", "hidden_dim=4", "embedding_dim=4", "max_text_len=8")
    varying = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}|" + re.escape(str(laptop.folder)))
    return [varying.sub("VARYING", line) for line in written.splitlines() if re.match(r"[a-z_]+: ", line)]


@pytest.mark.slow
def test_neighbouring_datasets_give_the_same_lines(tmp_path: Path) -> None:
    all_of_them = reviews(400)
    logs = []
    for name, lines in (("there", all_of_them), ("gone", all_of_them[:17] + all_of_them[18:])):
        (tmp_path / name).mkdir()
        logs.append(run_and_read_log(Laptop(tmp_path / name), lines))
    assert logs[0] == logs[1]
    assert sum(line.startswith("dp_train: noisy step") for line in logs[0]) > 2
