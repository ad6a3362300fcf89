"""Settle the claim of a run that ended, however it ended."""
