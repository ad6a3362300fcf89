"""What creating blocks prints, names and declares is the same with and without any one line of its source."""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from blocks import demo
from privatekube.data import declare, partition
from privatekube.data.partition import Slice
from privatekube.privacy.budget import EpsilonDelta
from privatekube.privacy.unit import PrivacyUnit
from privatekube.resources.block import PrivateDataBlock
from privatekube.storage import uris
from tests.examples import examples

FIRST_SECOND = 1_356_998_400
"""Unix seconds of 2013-01-01."""


def review(user: int, time: int) -> str:
    return json.dumps(
        {"reviewerID": f"u{user}", "asin": "p", "overall": 5, "reviewText": "good", "unixReviewTime": time}
    )


TIMES = st.integers(FIRST_SECOND - 10**6, FIRST_SECOND + 10**6) | st.integers(-(10**30), 10**30)
LINES = st.builds(review, st.integers(0, 3), TIMES) | st.sampled_from(["", "broken", "{}", "[1]", "null", "\\ud83d"])


def created(
    folder: Path, lines: list[str], kind: str, unit: PrivacyUnit
) -> tuple[str, list[str], list[PrivateDataBlock]]:
    """Return what is printed, the names of the files, and the declared blocks without their digests."""
    (folder / "Music.json").write_text("\n".join(lines))
    declaration = declare.Declaration(
        dataset="d",
        namespace="n",
        kind=partition.ALL_DAYS if unit is PrivacyUnit.USER else kind,
        n_buckets=2,
        unit=unit,
        max_contribution=1,
        initial_budget=EpsilonDelta(10.0, 1e-7),
        folder=str(folder / "blocks"),
    )
    printed = io.StringIO()
    choice = demo.Choice(source=str(folder / "Music.json"), days=Slice(-3, 4))
    console = Console(file=printed)
    with demo.written_blocks(choice, declaration, owner_key=bytes(32), console=console) as declared:
        blocks = [block for slice_of_days in declared for block in slice_of_days.blocks]
    public = [replace(block, meta=replace(block.meta, annotations={})) for block in blocks]
    names = sorted(uris.list_files(str(folder / "blocks")))
    for file in (folder / "blocks").iterdir():
        file.unlink()
    return printed.getvalue(), names, public


@settings(max_examples=examples(15))
@given(
    st.lists(LINES, max_size=12),
    LINES,
    st.integers(0, 12),
    st.sampled_from(["week", "month"]),
    st.sampled_from(PrivacyUnit),
)
@pytest.mark.slow
def test_one_line_more_changes_nothing_that_is_public(
    lines: list[str], line: str, place: int, kind: str, unit: PrivacyUnit
) -> None:
    one = [review(9, FIRST_SECOND), *lines]  # a file without any review is refused
    other = [*one[:place], line, *one[place:]]
    with tempfile.TemporaryDirectory() as folder:
        assert created(Path(folder), one, kind, unit) == created(Path(folder), other, kind, unit)
