"""Merge the blocks and release DP statistics of them."""
