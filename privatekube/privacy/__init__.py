"""Budgets, accounting and mechanisms: the only place that imports dp_accounting and opendp."""
