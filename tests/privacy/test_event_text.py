"""Events for people: the noise, how much of it, and the samples it is on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy import event_text, events
from tests.privacy.test_events import any_event


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (events.discrete_laplace(20, 2), "discrete Laplace, scale 20, sensitivity 2"),
        (events.poisson_gaussian(0.2, 10.0625, 75), "Gaussian, noise multiplier 10.06, 75 steps at sampling rate 0.2"),
        (events.poisson_gaussian(1, 3.0, 1), "Gaussian, noise multiplier 3, 1 step at sampling rate 1"),
        (events.poisson_gaussian(1, 3.0, 2000), "Gaussian, noise multiplier 3, 2,000 steps at sampling rate 1"),
    ],
)
def test_an_event_is_described_by_its_noise_and_its_sampling(event: events.DpEvent, text: str) -> None:
    assert event_text.describe(events.to_json(event)) == text


def test_a_composition_names_each_of_its_parts() -> None:
    both = events.composition(events.discrete_laplace(2, 1), events.poisson_gaussian(0.5, 1.0, 3))
    first, second = event_text.describe(events.to_json(both)).split(" + ")
    assert first == "discrete Laplace, scale 2, sensitivity 1"
    assert second == "Gaussian, noise multiplier 1, 3 steps at sampling rate 0.5"
    assert event_text.describe(events.to_json(events.composition())) == "nothing"
    repeated = {"type": "self_composed", "count": 4, "event": events.to_json(events.discrete_laplace(2, 1))}
    assert event_text.describe(repeated) == "4 times (discrete Laplace, scale 2, sensitivity 1)"


@given(st.lists(any_event, min_size=1, max_size=4))
def test_every_event_of_this_library_has_a_short_text_without_json(parts: list[events.DpEvent]) -> None:
    text = event_text.describe(events.to_json(events.composition(*parts)))
    assert len(text) < 200 * len(parts)
    assert "{" not in text
    assert not set(text) & set('{}"')


@given(st.lists(any_event, min_size=1, max_size=4))
def test_what_is_stated_in_the_ledger_is_read_with_its_name(parts: list[events.DpEvent]) -> None:
    event = events.to_json(events.composition(*parts))
    stated = event_text.stated("dp_train on train", event)
    assert event_text.readable(stated) == f"dp_train on train: {event_text.describe(event)}"


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "noise",
        "counts: many",
        "counts: {}",
        "counts: []",
        "counts: 7",
        'counts: {"type":"gaussian"}',
        'counts: {"type":"discrete_laplace","noise_parameter":0.0,"sensitivity":1}',
        'x: {"type":"self_composed","count":1,"event":' * 4000,
        "x: " + '{"type":"composed","events":[' * 4000 + "]}" * 4000,
    ],
)
def test_what_else_a_claimant_states_is_shown_as_it_is(statement: str) -> None:
    assert event_text.readable(statement) == statement


@pytest.mark.parametrize("document", [{}, {"type": "other"}, {"type": "poisson_sampled", "event": {}}])
def test_what_is_not_an_event_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidInput, match="is not the JSON of a mechanism"):
        event_text.describe(document)


def test_a_planned_mechanism_is_described_by_its_parameters() -> None:
    training = {"sampling_rate": 0.2, "steps": 75, "noise_multiplier": 10.0625}
    text = "Gaussian, noise multiplier 10.06, 75 steps at sampling rate 0.2"
    assert event_text.planned("dp_sgd", training) == text
    search = {"mean_trials": 10, "shape": 0.0, "trial": [{"mechanism": "dp_sgd", **training}]}
    best = f"best of 10 trials on average (negative binomial, shape 0), each ({text})"
    assert event_text.planned("select_from_many", search) == best
    choice = {"scale": 16.0, "sensitivity": 2.0, "queries": 4}
    assert event_text.planned("exponential", choice) == "exponential mechanism, scale 16, sensitivity 2, 4 queries"
    assert event_text.planned("event", {}) is None
