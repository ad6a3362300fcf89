"""Forecasts for requests, made on a copy of the store."""
