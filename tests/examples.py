"""How many examples a property gets that is too slow for those of the profile."""

from __future__ import annotations

import hypothesis

_OF_QUICK = 100
"""What the profile `quick` gives the other properties."""


def examples(quick: int) -> int:
    """Return `quick`, and as much more of it in `make nightly` as the other properties get."""
    profile = hypothesis.settings.default
    assert profile is not None
    return quick * profile.max_examples // _OF_QUICK


def chosen(*, quick: int, nightly: int) -> int:
    """Return the number of the profile in use, for a property whose number in `make nightly` is fixed."""
    profile = hypothesis.settings.default
    assert profile is not None
    return nightly if profile.max_examples > _OF_QUICK else quick
