"""Renyi divergences of the mechanisms of this library, exact up to rounding and never below the true value.

For neighbours that differ by adding or removing one unit, the divergence of order alpha is log(A) / (alpha - 1), where
A - 1 is the mean, over the data without the unit, of

    excess(l) = exp(alpha l) - 1 - alpha (exp(l) - 1),      l the log of the likelihood ratio,

because the mean ratio is 1. The excess is never negative (Bernoulli's inequality), so that its mean is computed without
cancellation, however small the divergence is.

Sources: Mironov, "Renyi Differential Privacy" (2017); Mironov, Talwar, Zhang, "Renyi Differential Privacy of the
Sampled Gaussian Mechanism" (2019), Theorems 4 and 5 (which of the two directions is the larger), and section 3.3 (the
sum at integer orders); van Erven and Harremoes (2014), Theorems 3 (monotone in the order) and 13 (quasi-convex).
"""

from __future__ import annotations

import functools
import math

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

_SLACK = 1e-9  # of a divergence: far above the rounding and truncation errors below, which are under 1e-11
_SMALL = 1e-2  # of alpha * l, below which the series is exact to a float
_LARGE = 30.0  # of l, above which one plus the ratio is the ratio
_DEVIATIONS = 12.0  # of a Gaussian, beyond which lies less than 1e-32 of it
_STEPS_PER_DEVIATION = 4.0
_MOST_TERMS = 100_000
_FRACTION = 1e-9  # of an order, up to which it is an integer


def gaussian(noise_multiplier: float, order: float) -> float:
    """Return the divergence of the Gaussian mechanism: order / (2 noise_multiplier^2).

    >>> gaussian(2.0, 8.0)
    1.0
    """
    return order / (2 * noise_multiplier**2)


@functools.lru_cache(maxsize=4096)
def sampled_gaussian(sampling_rate: float, noise_multiplier: float, order: float) -> float:
    """Return the divergence of the Gaussian mechanism on a Poisson sample of the units.

    Exact at every order for which a hundred thousand terms suffice. Beyond (a noise multiplier near 0, an order near
    infinity) it is the divergence without sampling, which is an upper bound.

    Args:
        sampling_rate: the probability with which each unit is in the sample, in (0, 1).
        noise_multiplier: standard deviation over the L2 sensitivity.
        order: the Renyi order, above 1.
    """
    unsampled = gaussian(noise_multiplier, order)
    points = _STEPS_PER_DEVIATION * (order / noise_multiplier + 2 * _DEVIATIONS) / min(1.0, noise_multiplier)
    is_integer = abs(order - round(order)) <= _FRACTION * order
    if is_integer and order <= min(points, _MOST_TERMS):
        log_excess = _binomial_log_excess(sampling_rate, noise_multiplier, round(order))
    elif points <= _MOST_TERMS:
        log_excess = _integrated_log_excess(sampling_rate, noise_multiplier, order)
    else:
        return unsampled
    return min(unsampled, _divergence(log_excess, order))


@functools.lru_cache(maxsize=4096)
def discrete_laplace(rate: float, shift: int, order: float) -> float:
    """Return the divergence of two discrete Laplace distributions that are `shift` apart.

    It is convex in the shift, so the L1 sensitivity suffices for several counts. It is at most rate * shift, which is
    returned where the shift is above a hundred thousand.

    Args:
        rate: one over the scale of the noise.
        shift: the L1 sensitivity, at least 1.
        order: the Renyi order, above 1.
    """
    pure = rate * shift
    if shift > _MOST_TERMS:
        return pure
    between = np.arange(1, shift, dtype=np.float64)
    log_ratios = np.concatenate(([-pure, pure], rate * (2 * between - shift)))
    log_tail = -math.log1p(math.exp(-rate))
    log_density = math.log(-math.expm1(-rate)) + log_tail
    log_masses = np.concatenate(([log_tail, log_tail - pure], log_density - rate * between))
    return min(pure, _divergence(_log_sum(log_masses + _log_excess(log_ratios, order)), order))


def laplace(noise_multiplier: float, order: float) -> float:
    """Return the divergence of two Laplace distributions that are the L1 sensitivity apart.

    With epsilon = 1 / noise_multiplier, A - 1 is (order (exp((order - 1) epsilon) - 1) + (order - 1)
    (exp(-order epsilon) - 1)) / (2 order - 1), whose terms of first order in epsilon cancel.
    Source: Mironov (2017), Proposition 6. It is convex in the shift, so the L1 sensitivity suffices for several values.

    Args:
        noise_multiplier: parameter b of the noise over the L1 sensitivity.
        order: the Renyi order, above 1.
    """
    pure = 1 / noise_multiplier
    width = 2 * order - 1
    if order * pure < _SMALL:
        powers = range(2, 9)
        terms = (
            pure**k / math.factorial(k) * order * (order - 1) * ((order - 1) ** (k - 1) + (-1) ** k * order ** (k - 1))
            for k in powers
        )
        log_excess = math.log(math.fsum(terms) / width)
    elif (order - 1) * pure < _LARGE:
        above, below = math.expm1((order - 1) * pure), math.expm1(-order * pure)
        log_excess = math.log((order * above + (order - 1) * below) / width)
    else:
        log_excess = (order - 1) * pure + math.log(order / width)
    return min(pure, _divergence(log_excess, order))


def _divergence(log_excess: float, order: float) -> float:
    return float(np.logaddexp(0.0, log_excess)) / (order - 1) * (1 + _SLACK)


def _binomial_log_excess(sampling_rate: float, noise_multiplier: float, order: int) -> float:
    """Return log(A - 1) at an integer order: the sum over how often the unit is drawn, whose first two terms are 0."""
    drawn = np.arange(1, order + 1, dtype=np.float64)
    log_ways = np.cumsum(np.log((order - drawn + 1) / drawn))
    log_chance = drawn * math.log(sampling_rate) + (order - drawn) * math.log1p(-sampling_rate)
    loss = drawn * (drawn - 1) / (2 * noise_multiplier**2)
    with np.errstate(divide="ignore"):
        return _log_sum(log_ways + log_chance + loss + np.log(-np.expm1(-loss)))


def _integrated_log_excess(sampling_rate: float, noise_multiplier: float, order: float) -> float:
    """Return log(A - 1) by the trapezoidal rule on the real line, which converges exponentially.

    The integrand is a Gaussian times a function that is analytic in a strip of half-width pi * noise_multiplier around
    the real line, in standard deviations. At steps of a quarter of the smaller of 1 and the noise multiplier the error
    is below exp(-60) of the result (Trefethen and Weideman, 2014, Theorem 5.1).
    """
    step = min(1.0, noise_multiplier) / _STEPS_PER_DEVIATION
    x = np.arange(-_DEVIATIONS, order / noise_multiplier + _DEVIATIONS, step)
    shift = x / noise_multiplier - 1 / (2 * noise_multiplier**2)
    near = np.log1p(sampling_rate * np.expm1(np.minimum(shift, _LARGE)))
    far = np.logaddexp(math.log1p(-sampling_rate), math.log(sampling_rate) + shift)
    log_density = -0.5 * x * x - 0.5 * math.log(2 * math.pi) + math.log(step)
    return _log_sum(log_density + _log_excess(np.where(shift < _LARGE, near, far), order))


def _log_excess(log_ratios: Array, order: float) -> Array:
    """Return log(exp(order l) - 1 - order (exp(l) - 1)) of each log ratio l."""
    small = np.abs(order * log_ratios) < _SMALL
    powers = [math.expm1((k - 1) * math.log(order)) * order / math.factorial(k) for k in range(2, 9)]
    l_small = np.where(small, log_ratios, 0.0)
    series = l_small**2 * np.polyval(powers[::-1], l_small)
    l_below = np.where(small | (log_ratios > 0), -1.0, log_ratios)
    below = np.expm1(order * l_below) - order * np.expm1(l_below)
    l_above = np.where(small | (log_ratios < 0), 1.0, log_ratios)
    v = (order - 1) * l_above
    above = order * l_above + np.log(-np.expm1(-v) + (order - 1) * np.exp(-v) * np.expm1(-l_above))
    with np.errstate(divide="ignore"):
        return np.where(small, np.log(series), np.where(log_ratios < 0, np.log(below), above))


def _log_sum(logs: Array) -> float:
    return float(np.logaddexp.reduce(logs))
