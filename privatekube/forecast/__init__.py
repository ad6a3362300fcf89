"""Forecasts for requests: passes on a world that is written nowhere."""
