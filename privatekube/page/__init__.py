"""A page for those who answer for the data: what is left, who spent it, why a claim waits. It only reads."""
