"""Budgets, accounting and mechanisms; the only package that imports dp_accounting and opendp."""
