"""Scheduling: pure decisions over an immutable snapshot about who gets budget next."""
