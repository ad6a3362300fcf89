"""Clients of the control plane: `connect` returns one for the embedded control plane or for a cluster's."""
