"""Admission by Kueue: a workload waits for its claim, so that machines and privacy budget are admitted together."""
