"""A page for all tests of this folder: none of them changes its store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.page import sites
from tests.page.sites import Served


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page of a store with scripts in every text, and of two published runs."""
    folder = tmp_path_factory.mktemp("page")
    uri = sites.fill(folder / "state.db")
    sites.publish(folder / "out", "r1")
    sites.publish(folder / "out", "r2", accuracy=0.8, settings={"learning_rate": 0.5})
    with sites.serving(uri, folder / "out") as page:
        yield page
