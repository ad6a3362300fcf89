"""The mechanism of each step as a privacy card states it, from the plan of the Grant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from privatekube.privacy import event_text
from privatekube.steps import documents

SEARCH = "select_from_many"
"""The mechanism of a search of hyper-parameters, as a plan names it."""

_NONE, _AS_IT_SAYS = "none", "as the mechanism says"


class Words(NamedTuple):
    """A mechanism in words: what it is with its sensitivity, how units are sampled, and its noise."""

    mechanism: str
    sampling: str
    noise: str


def words(step: documents.GrantedStep) -> Words:
    """Describe the mechanism of a step."""
    known = step.parameters
    match step.mechanism:
        case "dp_sgd":
            return Words(
                f"DP-SGD, {known['steps']} steps, each unit's gradient clipped in L2",
                f"Poisson, rate {known['sampling_rate']:.6g}",
                f"Gaussian, noise multiplier {known['noise_multiplier']:.6g}",
            )
        case "discrete_laplace" | "laplace":
            return Words(_queries("values", known, "L1"), _NONE, _scale(step))
        case "gaussian":
            return Words(_queries("values", known, "L2"), _NONE, _scale(step))
        case "exponential":
            return Words(_queries("choices", known, "score"), _NONE, _scale(step))
    text = event_text.planned(step.mechanism, known)
    return words_of_event(step.event) if text is None else Words(text, _AS_IT_SAYS, _AS_IT_SAYS)


def words_of_event(event: documents.Json) -> Words:
    """Describe the mechanism of a step that was not planned."""
    return Words(event_text.describe(event), _AS_IT_SAYS, _AS_IT_SAYS)


def parts(plan: documents.GrantedPlan) -> Iterator[str]:
    """Yield in words how the steps compose."""
    if not plan.steps:
        yield "the steps may have chosen their noise by earlier results, so that their costs are added up"
        return
    if plan.disjoint:
        yield f"steps on different ones of the disjoint parts {', '.join(plan.disjoint)} compose in parallel"
    yield "all others in sequence" if plan.disjoint else "the steps compose in sequence"


def _queries(what: str, known: Mapping[str, Any], norm: str) -> str:
    times = f", {known['queries']} times" if known["queries"] > 1 else ""
    return f"noisy {what}, {norm} sensitivity {known['sensitivity']:g}{times}"


def _scale(step: documents.GrantedStep) -> str:
    return f"{event_text.NAMES[step.mechanism]}, scale {step.parameters['scale']:.6g}"
