"""The privacy card: what a published model promises, in terms that a reader can check."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

from privatekube import __version__
from privatekube.privacy.unit import PrivacyUnit
from privatekube.steps.documents import Grant, Receipt

LIBRARIES = ("dp-accounting", "opendp", "opacus", "torch")

UNITS = {
    PrivacyUnit.EVENT: "one review",
    PrivacyUnit.USER_DAY: "all reviews of one user on one day",
}


def render(grant: Grant, receipt: Receipt) -> str:
    """Return the card of a run as Markdown; everything in it is public or an output of the mechanisms."""
    return "\n".join([*_promise(grant, receipt), "", *_mechanisms(grant), "", *_blocks(grant, receipt), ""])


def _promise(grant: Grant, receipt: Receipt) -> Iterator[str]:
    bound = f", at most {grant.max_contribution} of them per block" if not grant.unit.is_one_record else ""
    yield "# Privacy card"
    yield ""
    yield f"Run `{grant.run_id}`, claim `{grant.claim}`."
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| privacy unit | {grant.unit}: {UNITS[grant.unit]}{bound} |"
    yield "| adjacency | add or remove one unit |"
    yield f"| guarantee of everything published here | epsilon {receipt.epsilon:.6g} at delta {receipt.delta:.3g} |"
    yield f"| granted | epsilon {grant.epsilon:.6g}, delta {grant.delta:.3g} |"
    yield "| accountant | privacy loss distributions (PLD, dp_accounting); blocks are charged as listed below |"
    yield (
        f"| split | users by keyed hash, {grant.test_fraction:.0%} held out; training and evaluation are on disjoint "
        "users and compose in parallel, statistics in sequence with both |"
    )


def _mechanisms(grant: Grant) -> Iterator[str]:
    plan = grant.plan
    yield "| step | mechanism | sampling | noise |"
    yield "|---|---|---|---|"
    yield (
        f"| statistics | counts per category and star, L1 sensitivity {plan.sensitivity} | none "
        f"| discrete Laplace, scale {plan.statistics_scale:.6g} |"
    )
    yield (
        f"| training | DP-SGD, {plan.steps} steps | Poisson, rate {plan.sampling_rate:.6g} "
        f"| Gaussian, noise multiplier {plan.noise_multiplier:.6g} |"
    )
    yield (
        f"| evaluation | counts of correct and wrong predictions per class, L1 sensitivity {plan.sensitivity} | none "
        f"| discrete Laplace, scale {plan.evaluation_scale:.6g} |"
    )
    yield ""
    yield (
        "Statistics and evaluation use OpenDP's exact samplers. Training's noise and sampling come from a stream "
        "cipher keyed by the operating system; its sums are floating-point numbers, a residual risk not accounted for."
    )


def _blocks(grant: Grant, receipt: Receipt) -> Iterator[str]:
    yield "| block | data digest | committed by this run |"
    yield "|---|---|---|"
    for block in grant.blocks:
        yield f"| {block.id} | {block.digest or 'none stated'} | `{receipt.committed.get(block.id)}` |"
    yield ""
    yield f"Made with privatekube {__version__}, Python {platform.python_version()}{''.join(_versions())}."


def _versions() -> Iterator[str]:
    for library in LIBRARIES:
        try:
            yield f", {library} {metadata.version(library)}"
        except metadata.PackageNotFoundError:
            continue  # an image has only the packages that its component imports
