"""A component of your own: evaluates with two noisy counts instead of two per class."""
