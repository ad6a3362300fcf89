"""Passes over a store: read, decide with `engine`, write, again on conflict; see `reconcile.reconcile`."""
