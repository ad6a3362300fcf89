"""One pass of the control plane: read the store, decide, write; see `reconcile.reconcile`."""
