"""A component of one's own: evaluates with two noisy counts instead of two per class."""
