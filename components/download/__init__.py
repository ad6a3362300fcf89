"""Fetch the granted blocks."""
