"""Servers on loopback: Kubeflow Pipelines as its published schema says, and those that issue tokens."""
