"""The exit task: settle the claim of a run that ended, however it ended."""

from __future__ import annotations

from privatekube import client, config, entry, publiclog


def release(*, run_id: config.Text, namespace: config.Name) -> None:
    """Return the budget if the run's data was never opened, otherwise consume it; nothing is left to do after consume.

    Once data was opened nobody can prove that nothing leaked, so the budget is gone.
    """
    with client.connect() as plane:
        outcome = plane.settle(f"{namespace}/{client.claim_name(run_id)}")
    publiclog.say("settled", claim=client.claim_name(run_id), outcome=outcome)


if __name__ == "__main__":
    entry.component(release)
