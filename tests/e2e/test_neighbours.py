"""Two neighbouring data sets, the same noise: all that others can read is the same but for what was paid for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import neighbours
from tests.e2e.conftest import Laptop


class QuietLaptop(Laptop):
    """A laptop on which each run draws the same noise."""

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of the commands."""
        return neighbours.with_same_noise(super().environment)


def everything_seen(laptop: Laptop, lines: dict[str, list[str]]) -> dict[str, str]:
    """Run the whole pipeline over a source and return what it wrote, published and left for others to read."""
    created = neighbours.create(laptop, lines)
    written = laptop.pipeline(*neighbours.SETTINGS)
    (claim,) = laptop.claims()
    commands = ("get blocks -o json", "get claims -o json", "ledger -o json", f"explain {claim}")
    answers = {command: laptop.run("privatekube", *command.split()) for command in commands}
    digests = neighbours.public_digests(laptop, laptop)
    run = {"create": created, "run": neighbours.SHOWN.sub("NOISY", written)}
    texts = {**run, **answers, **neighbours.published(laptop)}
    return {
        neighbours.VARYING["RUN"].sub("RUN", name): neighbours.comparable(text, laptop, digests)
        for name, text in texts.items()
    }


def moved_counts(fewer: Laptop, with_one_more: Laptop) -> dict[tuple[str, str], int]:
    """Return the published counts that differ between two runs, and by how much."""
    before, after = map(counts, (fewer, with_one_more))
    return {cell: after[cell] - before[cell] for cell in before if after[cell] != before[cell]}


def counts(laptop: Laptop) -> dict[tuple[str, str], int]:
    document: dict[str, Any] = json.loads((laptop.folder / "out" / "latest" / "statistics.json").read_text())
    return {(category, stars): n for category, row in document["counts"].items() for stars, n in row.items()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_neighbouring_datasets_leave_the_same_bytes_but_for_what_was_paid_for(tmp_path: Path) -> None:
    laptops, seen = [], []
    for name, lines in neighbours.data_sets().items():
        laptops.append(QuietLaptop(tmp_path / name))
        laptops[-1].folder.mkdir()
        seen.append(everything_seen(laptops[-1], lines))
    assert seen[0].keys() == seen[1].keys()
    for name, text in seen[0].items():
        assert seen[1][name] == text, f"{name} depends on one review"
    assert sum(line.startswith("dp_train: noisy step") for line in seen[0]["run"].splitlines()) > 2
    message = "the noise differs, or a noisy count moved by more than the review"
    assert moved_counts(*laptops) == {("Music", "4"): 1}, message
