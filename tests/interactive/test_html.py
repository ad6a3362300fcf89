"""What a notebook shows of blocks, claims, budgets and forecasts: tables whose text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from privatekube.interactive import connect
from privatekube.interactive.client import RunClient
from privatekube.privacy.budget import EpsilonDelta, RenyiCurve
from tests import builders as resources
from tests.interactive import builders

MARKUP = "<script>alert('&')</script>"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[RunClient]:
    with connect.connect(f"sqlite:///{tmp_path}/state.db") as client:
        client.create_blocks([builders.block(tmp_path)])
        yield client


class Tables(HTMLParser):
    """Checks that every tag is closed, and gathers the text of each cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"table", "thead", "tbody", "tr", "th", "td"}
        assert attrs == []
        self.open.append(tag)
        if tag in {"th", "td"}:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.cells[-1] += data


def cells(value: object) -> list[str]:
    return Tables(value._repr_html_()).cells  # type: ignore[attr-defined]  # what a notebook looks for


def test_a_budget_is_a_table_of_its_components() -> None:
    assert cells(EpsilonDelta(1.5, 1e-9)) == ["epsilon", "delta", "1.5", "1e-09"]
    assert cells(RenyiCurve((2, 8), (0.5, 1.0))) == ["order", "renyi epsilon", "2", "0.5", "8", "1"]


def test_a_block_shows_what_it_is_and_who_holds_its_budget(client: RunClient) -> None:
    with client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns") as run:
        shown = cells(client.get_block("ns/day-0"))
        for fact in ("ns/day-0", "unit", "event", "initial", "10", f"acquired by {run.claim}"):
            assert fact in shown
        claim = cells(client.get_claim(run.claim))
        for fact in (run.claim, "acquired", "acquired on ns/day-0", "epsilon 1, delta 1e-09"):
            assert fact in claim
    assert "released" in cells(client.get_claim(run.claim))


def test_a_block_that_no_control_plane_has_admitted_shows_its_initial_budget(tmp_path: Path) -> None:
    assert "available" in cells(builders.block(tmp_path))


def test_lists_of_blocks_and_claims_are_tables(client: RunClient) -> None:
    with client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns") as run:
        assert cells(client.list_blocks())[5:] == ["ns/day-0", "d", "epsilon 9, delta 1e-06", "0.0%", "0"]
        assert cells(client.list_claims())[5:] == [run.claim, "acquired", "epsilon 1, delta 1e-09", "1", ""]
    assert cells(client.list_claims("elsewhere")) == ["claim", "state", "demand", "blocks", "reason"]


def test_a_forecast_says_what_would_happen_and_claims_nothing(client: RunClient) -> None:
    assert cells(client.claim("d", epsilon=4.0, delta=1e-9, namespace="ns").forecast()) == [
        "forecast",
        "would be granted now, on 1 block: ns/day-0",
        "2 such requests fit in what is left of the blocks",
    ]
    assert "would be refused" in cells(client.claim("d", epsilon=40.0, delta=1e-9, namespace="ns").forecast())[1]
    assert client.list_claims() == []


def test_text_of_others_is_escaped(client: RunClient) -> None:
    block = resources.block("other", dataset=MARKUP, budget=EpsilonDelta(1.0, 1e-7))
    client.create_blocks([block])
    for shown in (client.get_block("ns/other"), client.list_blocks()):
        text = shown._repr_html_()
        assert not re.search("<script|</script", text)
        assert MARKUP in Tables(text).cells


def test_a_receipt_shows_what_was_paid_for(client: RunClient) -> None:
    with client.claim("d", epsilon=1.0, delta=1e-9, namespace="ns") as run:
        run.count("stars", builders.opened(run).reviews.stars, keys=range(1, 6), epsilon=0.5)
    shown = cells(run.receipt)
    assert shown[:6] == ["claim", run.claim, "releases cost", "epsilon 0.5 at delta 1e-09", "paid on", "ns/day-0"]
    assert shown[9:] == ["stars", "all", "discrete Laplace, scale 2, sensitivity 1"]
