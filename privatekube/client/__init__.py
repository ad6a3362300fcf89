"""Clients of the control plane, embedded or in a cluster."""
