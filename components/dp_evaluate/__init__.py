"""Evaluate the model under DP."""
