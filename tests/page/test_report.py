"""The report of a run is one file that needs nothing else, and holds what was published alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from privatekube import errors
from privatekube.page import report
from privatekube.privacy.budget import EpsilonDelta
from privatekube.resources.block import BlockStatus
from privatekube.resources.wire import common
from privatekube.steps import documents
from tests import builders
from tests.page import sites
from tests.page.sites import SCRIPT


def paid_run(tmp_path: Path) -> Path:
    """Publish a run that has paid epsilon 1 on a block that exists and on one that is gone; return its folder."""
    folder = sites.publish(tmp_path)
    receipt = documents.read(documents.Receipt, folder / "receipt.json")
    price = common.budget_to_wire(EpsilonDelta(1.0, 1e-9))
    paid = receipt.model_copy(update={"committed": {"ns/a": price, "ns/gone": price}})
    (folder / "receipt.json").write_text(paid.model_dump_json())
    return folder


def test_it_says_what_was_learnt_what_it_cost_and_what_is_left(tmp_path: Path) -> None:
    whole = EpsilonDelta(10.0, 1e-7)
    block = builders.block("a", whole, day=7)
    left = replace(block, status=BlockStatus(whole * 0.0, EpsilonDelta(9.0, 9e-8)))
    other = builders.block("unpaid", whole)
    text = report.write(paid_run(tmp_path), [left, other]).read_text()
    for expected in (
        "0.700 (0.600 to 0.800)",
        "books",
        "epsilon 0.49</b> at delta 1e-09",
        "Tue 2013-01-08",
        "9 of epsilon 10 (90.0%)",
        "the block is deleted",
        "add or remove one unit",
    ):
        assert expected in text
    assert "unpaid" not in text


def test_it_loads_nothing_runs_nothing_and_escapes_what_users_wrote(tmp_path: Path) -> None:
    text = report.write(paid_run(tmp_path), []).read_text()
    assert SCRIPT not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"<script|<img|<link|<[^>]*\ssrc=|url\(|https?://(?!www\.w3\.org)", text)
    assert "default-src 'none'" in text


def test_it_is_written_again_and_a_folder_without_a_receipt_is_one_line(tmp_path: Path) -> None:
    folder = paid_run(tmp_path)
    assert report.write(folder, []) == report.write(folder, [])
    with pytest.raises(errors.InvalidInput, match="has no receipt"):
        report.write(tmp_path, [])


def test_metrics_of_another_form_leave_the_rest(tmp_path: Path) -> None:
    folder = paid_run(tmp_path)
    (folder / "metrics.json").write_text('{"anything": 1}')
    (folder / "privacy-card.json").unlink()
    text = report.write(folder, []).read_text()
    assert "What was learnt" not in text
    assert "epsilon 0.49" in text
