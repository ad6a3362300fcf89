"""The check of a pipeline that has none of its own: it declares no settings, and refuses no run."""

from __future__ import annotations

from privatekube.runs.checked_run import CheckedRun


def check(_run: CheckedRun) -> None:
    """Accept a run."""
