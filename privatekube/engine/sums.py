"""Sums and differences of budgets by block id."""

from __future__ import annotations

from collections.abc import Mapping

from privatekube.privacy import arithmetic
from privatekube.privacy.budget import PrivacyBudget


def plus(amounts: Mapping[str, PrivacyBudget], more: Mapping[str, PrivacyBudget]) -> dict[str, PrivacyBudget]:
    """Return amounts by block id with `more` added."""
    sums = {key: amounts[key] + amount if key in amounts else amount for key, amount in more.items()}
    return {**amounts, **sums}


def minus(amounts: Mapping[str, PrivacyBudget], less: Mapping[str, PrivacyBudget]) -> dict[str, PrivacyBudget]:
    """Return amounts by block id with `less` subtracted, without those that are zero up to float rounding."""
    remainders = {key: amount - less[key] if key in less else amount for key, amount in amounts.items()}
    return {
        key: amount
        for key, amount in remainders.items()
        if key not in less or not arithmetic.is_negligible(amount, capacity=amounts[key])
    }
