"""Numbers of things in words."""

from __future__ import annotations

import pytest

from privatekube.resources import summary


@pytest.mark.parametrize(("number", "text"), [(0, "0 blocks"), (1, "1 block"), (2, "2 blocks"), (1500, "1,500 blocks")])
def test_only_one_block_is_in_the_singular(number: int, text: str) -> None:
    assert summary.number_of_blocks(number) == text
