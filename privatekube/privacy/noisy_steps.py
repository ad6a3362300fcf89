"""How many noisy steps DP-SGD takes."""

from __future__ import annotations

import math

from privatekube.privacy import rounding

MOST_STEPS = 1_000_000
"""How many noisy steps, or queries, a mechanism may have: as many as the accounting covers in seconds."""


def of_epochs(n_epochs: float, sampling_rate: float) -> int:
    """Return the noisy steps of `n_epochs` expected passes at Poisson rate `sampling_rate`, rounded up.

    >>> of_epochs(3, 0.05)
    60
    """
    return math.ceil(n_epochs / sampling_rate - rounding.RELATIVE_TOLERANCE * n_epochs / sampling_rate)
