"""Publish the results of a run that has paid."""
