"""Check whether a run could start in a cluster, before it is submitted: one module for each concern."""
