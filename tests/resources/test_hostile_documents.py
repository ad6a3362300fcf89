"""Whatever a document says, it is read, or refused with the path of the fault: never another error."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.store import kinds
from privatekube.store.kinds import Kind
from tests.resources import strategies

pytestmark = pytest.mark.slow
Json = dict[str, Any]
Path = tuple[str | int, ...]

HOSTILE: list[object] = [
    None, True, -1, 0, 10**400, -(10**400), 2**63, 1e308, 1e-320, float("nan"), float("inf"), "", "²", "٣", "9" * 5000,
    "1e999", "-.", "\x00", "\ud800", "a/b/c/0", "a" * 5000, [], [[]], [None], {}, {"": {}}, {"epsDel": 1},
    {"renyi": [{"alpha": "x"}]}, {"epsDel": {}, "renyi": []}, {"renyi": [{"alpha": 2}] * 100}, "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z", "1970-01-01",
]  # fmt: skip


def paths(part: object, path: Path = ()) -> Iterator[Path]:
    """Yield the path of each part of a document."""
    if path:
        yield path
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


def changed(document: Json, path: Path, value: object) -> Json:
    """Return the document with another value at a path."""
    document = copy.deepcopy(document)
    *way, last = path
    inner: Any = document
    for key in way:
        inner = inner[key]
    inner[last] = value
    return document


@st.composite
def hostile(draw: st.DrawFn, wire: st.SearchStrategy[Json]) -> Json:
    """Draw a document of which some parts were replaced."""
    document = draw(wire)
    for _ in range(draw(st.integers(1, 3))):
        ways = list(paths(document))
        if ways:
            document = changed(document, draw(st.sampled_from(ways)), draw(st.sampled_from(HOSTILE)))
    return document


BLOCKS = strategies.blocks().map(kinds.BLOCK.encode).map(json.loads)
CLAIMS = strategies.claims.map(kinds.CLAIM.encode).map(json.loads)


def outcome(kind: Kind[Any], document: Json) -> str:
    """Return the text of the resource that was read, or of the refusal."""
    try:
        return str(kind.encode(kind.read(document, 1)))
    except errors.InvalidInput as error:
        return str(error)


@given(hostile(BLOCKS))
def test_a_block_is_read_or_refused(document: Json) -> None:
    assert outcome(kinds.BLOCK, document)


@given(hostile(CLAIMS))
def test_a_claim_is_read_or_refused(document: Json) -> None:
    assert outcome(kinds.CLAIM, document)
