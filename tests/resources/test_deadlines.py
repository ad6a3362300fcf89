"""Deadlines as text: any RFC 3339 time as an argument, whole seconds of UTC in a claim, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.client import claim_file
from privatekube.resources import bounds, deadlines, meta
from privatekube.resources.claim import ClaimSpec
from privatekube.resources.deadlines import Deadline
from privatekube.resources.wire import claims
from privatekube.runs import run_arguments
from privatekube.runs.run_arguments import RunArguments
from privatekube.store.base import ResourceStore
from privatekube.store.memory import MemoryStore
from privatekube.store.sqlite.store import SqliteStore
from tests import builders

NOON = 1_796_126_400_000
ARGUMENTS = Path(__file__).resolve().parents[2] / "arguments.yaml"


@pytest.mark.parametrize(
    "text",
    ["2026-12-01T12:00:00Z", "2026-12-01T12:00:00.999Z", "2026-12-01T13:00:00+01:00", "2026-12-01 06:30:00-05:30"],
)
def test_a_time_of_any_zone_is_read_and_its_fraction_of_a_second_dropped(text: str) -> None:
    assert deadlines.parse(text) == NOON
    assert pydantic.TypeAdapter(Deadline).validate_python(text) == "2026-12-01T12:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T12:00:00",  # in which zone?
        "2026-12-01",
        "tomorrow",
        "",
        "2026-13-01T12:00:00Z",
        "2026-12-01T25:00:00Z",
        "20261201T120000Z",
        "2026-12-01T12:00:00Z\n",
        "٢٠٢٦-12-01T12:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "NaN",
    ],
)
def test_what_is_not_such_a_time_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"deadline: .* is not an RFC 3339 time with a time zone") as raised:
        deadlines.parse(text)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 250


def test_a_long_text_is_not_repeated() -> None:
    with pytest.raises(errors.InvalidInput, match="deadline: '5000 characters' must be 0 to 253; change it"):
        deadlines.parse("1" * 5000)


def test_a_time_before_1970_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="deadline: '1969-12-31T23:59:59Z' is not a time from 1970 to 9999"):
        deadlines.parse("1969-12-31T23:59:59Z")


@given(st.integers(0, bounds.LATEST_MS // 1000))
def test_a_claim_states_each_time_by_one_text(seconds: int) -> None:
    assert deadlines.parse_stored(meta.format_time(1000 * seconds)) == 1000 * seconds


@pytest.mark.parametrize("text", ["2026-12-01T13:00:00+01:00", "2026-12-01T12:00:00.5Z", "2026-12-01 12:00:00Z"])
def test_a_claim_in_another_form_is_refused(text: str) -> None:
    document = claims.to_wire(builders.claim())
    document["spec"]["deadline"] = text
    with pytest.raises(errors.InvalidInput, match=r"is not in whole seconds of UTC; write 2026-12-01T12:00:00Z"):
        claims.from_wire(document)


@pytest.mark.parametrize("stated", [5, 1.5, True, ["2026-12-01T12:00:00Z"], {}])
def test_a_claim_whose_deadline_is_no_text_is_refused(stated: object) -> None:
    document = claims.to_wire(builders.claim())
    document["spec"]["deadline"] = stated
    with pytest.raises(errors.InvalidInput, match=r"deadline: .* is not a text; write it like"):
        claims.from_wire(document)


def test_a_manifest_may_have_it_without_quotes_as_kubectl_reads_it(tmp_path: Path) -> None:
    document = claims.to_wire(builders.claim())
    document["spec"]["deadline"] = "@"
    text = json.dumps(document).replace('"@"', "2026-12-01T12:00:00Z")
    (tmp_path / "claim.yaml").write_text(text)
    claim, _ = claim_file.read_claim(tmp_path / "claim.yaml")
    assert claim.spec.deadline_ms == NOON


def test_a_claim_without_a_deadline_is_written_as_before() -> None:
    assert "deadline" not in claims.to_wire(builders.claim())["spec"]


def test_a_deadline_is_in_whole_seconds() -> None:
    with pytest.raises(errors.InvalidInput, match="deadline: 1500 must be in whole seconds"):
        ClaimSpec(deadline_ms=1500)


@pytest.mark.parametrize("given", ["2026-12-01T13:00:00+01:00", "2026-12-01T12:00:00Z"])
def test_the_arguments_of_a_run_have_it_as_the_claim_will_state_it(given: str) -> None:
    assert RunArguments(deadline=given).deadline == "2026-12-01T12:00:00Z"
    assert RunArguments(deadline=given).deadline_ms == NOON
    assert RunArguments().deadline_ms is None


@pytest.mark.parametrize("value", ["2099-12-01", "2099-12-01 12:00:00", "'2099-12-01'", "tomorrow"])
def test_a_time_without_a_zone_is_refused_as_it_was_written_whatever_yaml_makes_of_it(value: str) -> None:
    with pytest.raises(errors.InvalidInput, match=r"^deadline: '(2099-12-01|tomorrow).*' is not an RFC 3339 time"):
        run_arguments.load(ARGUMENTS, [f"deadline={value}"])
    assert run_arguments.load(ARGUMENTS, ["deadline=2099-12-01T14:00:00+02:00"]).deadline == "2099-12-01T12:00:00Z"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: object) -> ResourceStore:
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "state.db")  # type: ignore[operator]


@pytest.mark.parametrize(("before", "after"), [(None, NOON), (NOON, None), (NOON, NOON + 1000)])
def test_no_claim_gains_loses_or_changes_its_deadline(
    store: ResourceStore, before: int | None, after: int | None
) -> None:
    claim = builders.claim()
    stored = store.create(replace(claim, spec=replace(claim.spec, deadline_ms=before)))
    with pytest.raises(errors.InvalidInput, match=r"spec.deadline cannot be changed: create another claim"):
        store.update(replace(stored, spec=replace(stored.spec, deadline_ms=after)))
    again = store.get_claim(stored.id)
    assert again is not None
    assert again.spec.deadline_ms == before
