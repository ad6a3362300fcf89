"""The exit task: settle the claim of a run that ended, however it ended."""

from __future__ import annotations

from typing import Any

import pydantic

from privatekube import client, config, entry, publiclog


def release(*, run_id: config.Text, namespace: config.Name, status: pydantic.Json[dict[str, Any]]) -> None:
    """Return the budget if the run's data was never opened, otherwise consume it; nothing is left to do after consume.

    Once data was opened nobody can prove that nothing leaked, so the budget is gone. The outcome follows from the claim
    alone; `status` is Kubeflow's word on how the run ended, and only logged.
    """
    with client.connect() as plane:
        outcome = plane.settle(f"{namespace}/{client.claim_name(run_id)}")
    publiclog.say("settled", claim=client.claim_name(run_id), outcome=outcome, state=status.get("state", "unknown"))


if __name__ == "__main__":
    entry.component(release)
