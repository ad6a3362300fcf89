"""Search the hyper-parameters of a regression: many trials, of which only the best one is released."""
