"""The pipeline as a graph, and the ways to run it."""
