"""Train a logistic regression with Opacus on the customers: exactly what was planned, and no more."""
