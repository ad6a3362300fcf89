"""How many trials a search runs of which only the best one is released: drawn before the first one.

The number is part of the mechanism: a number that is chosen, or one that depends on how well trials do, costs more than
`events.select_from_many` says.
"""

from __future__ import annotations

import math

from privatekube import errors
from privatekube.privacy import renyi_selection
from privatekube.training import randomness

_LEAST_CHANCE = 2.0**-60
"""Below this, and far below the resolution of a uniform number, the chances of more trials are rounded to 0."""


def number_of_trials(generator: randomness.SecureGenerator, *, mean_trials: float, shape: float) -> int:
    """Draw a number of trials from the truncated negative binomial distribution.

    Args:
        generator: source of the randomness.
        mean_trials: the mean of the number, at least 1.
        shape: of the distribution; 1 is geometric, 0 logarithmic.

    Returns:
        A number of at least 1.

    Raises:
        InvalidInput: a number is out of range.

    Source: Papernot and Steinke, "Hyperparameter Tuning with Renyi Differential Privacy" (2022), Definition 1.
    """
    if not 1 <= mean_trials < math.inf:
        raise errors.invalid("mean_trials", mean_trials, "must be 1 or more, and finite", "set that of the plan")
    if not 0 <= shape < math.inf:
        raise errors.invalid("shape", shape, "must be 0 or more, and finite", "set that of the plan")
    if mean_trials == 1:
        return 1
    log_chances = renyi_selection.log_chances(mean_trials, shape)
    another = -math.expm1(-log_chances)
    chance = another / log_chances if shape == 0 else shape * another / math.expm1(shape * log_chances)
    left, trials = float(generator.uniforms(1)[0]), 1
    while left >= chance > _LEAST_CHANCE:
        left -= chance
        chance *= another * (trials + shape) / (trials + 1)
        trials += 1
    return trials
