"""A container's lines are the step's lines."""

from __future__ import annotations

import pytest

from privatekube.images import container_run


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"o", b"ne\r\nt", b"wo", b"\n", b"three"], ["one", "two", "three"]),
        (["é".encode()[:1], "é".encode()[1:], b"\n\n"], ["é", ""]),
        ([], []),
    ],
)
def test_lines_are_whole_however_the_engine_cuts_them(chunks: list[bytes], lines: list[str]) -> None:
    assert list(container_run._lines(chunks)) == lines
