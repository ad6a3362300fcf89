"""Train a model under DP."""
