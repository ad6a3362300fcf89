"""DpEvents and their JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privatekube import errors
from privatekube.privacy import events

trainings = st.builds(
    events.poisson_gaussian, st.floats(1e-6, 1), st.floats(1e-3, 1e3, allow_subnormal=False), st.integers(1, 10**6)
)
counts = st.builds(events.discrete_laplace, st.floats(1e-3, 1e6), st.integers(1, 1000))

others = st.one_of(
    st.builds(events.gaussian, st.floats(1e-3, 1e6)),
    st.builds(events.laplace, st.floats(1e-3, 1e6)),
    st.builds(events.pure, st.floats(1e-6, 1e3)),
    st.builds(events.zcdp, st.floats(1e-9, 1e3), st.floats(0, 1e3)),
)
searches = st.builds(
    lambda trial, mean, shape: events.select_from_many(trial, mean_trials=mean, shape=shape),
    st.one_of(trainings, counts, others),
    st.floats(1, 1e6),
    st.floats(0, 1e3),
)
any_event = st.one_of(trainings, counts, others, searches)


@given(st.lists(any_event, min_size=1, max_size=4))
def test_json_brings_back_the_same_event(parts: list[events.DpEvent]) -> None:
    event = events.composition(*parts)
    assert events.from_json(events.to_json(event)) == event


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"type": "none"},
        {"type": "gaussian"},
        {"type": "gaussian", "noise_multiplier": 0.0},
        {"type": "gaussian", "noise_multiplier": -1.0},
        {"type": "gaussian", "noise_multiplier": 1.0, "more": 1},
        {"type": "self_composed", "count": 0, "event": {"type": "gaussian", "noise_multiplier": 1.0}},
        {
            "type": "poisson_sampled",
            "sampling_probability": 1.5,
            "event": {"type": "gaussian", "noise_multiplier": 1.0},
        },
        {"type": "discrete_laplace", "noise_parameter": 0.0, "sensitivity": 1},
        {"type": "composed", "events": [{"type": "gaussian"}]},
        {"type": "laplace", "noise_multiplier": 0.0},
        {"type": "laplace", "noise_multiplier": 1.0, "more": 1},
        {"type": "zcdp", "rho": -1.0, "xi": 0.0},
        {"type": "zcdp", "rho": 1.0, "xi": -1.0},
        {"type": "repeat_and_select", "mean": 0.5, "shape": 1.0, "event": {"type": "laplace", "noise_multiplier": 1.0}},
        {
            "type": "repeat_and_select",
            "mean": 2.0,
            "shape": -1.0,
            "event": {"type": "laplace", "noise_multiplier": 1.0},
        },
        {"type": "repeat_and_select", "mean": 2.0, "shape": 1.0, "event": {"type": "none"}},
    ],
)
def test_a_malformed_event_is_refused(document: object) -> None:
    with pytest.raises(errors.InvalidInput):
        events.from_json(document)


@pytest.mark.parametrize(("rate", "noise", "steps"), [(0, 1, 1), (1.1, 1, 1), (0.5, 0, 1), (0.5, -1, 1), (0.5, 1, 0)])
def test_training_without_noise_or_steps_is_no_event(rate: float, noise: float, steps: int) -> None:
    with pytest.raises(errors.InvalidInput):
        events.poisson_gaussian(rate, noise, steps)


@pytest.mark.parametrize(("scale", "sensitivity"), [(0, 1), (-1, 1), (float("inf"), 1), (1, 0)])
def test_counts_without_noise_are_no_event(scale: float, sensitivity: int) -> None:
    with pytest.raises(errors.InvalidInput):
        events.discrete_laplace(scale, sensitivity)
