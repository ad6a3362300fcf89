"""The exit task: settle the claim of a run that ended, however it ended."""

from __future__ import annotations

from privatekube import validation
from privatekube.client import connect
from privatekube.steps import arguments, interface, public_log
from privatekube.steps import workspace as run_data


def release(
    *,
    run_id: validation.RunId,
    namespace: validation.Name,
    workspace: interface.Workspace,
    status: interface.FinalStatus,
) -> None:
    """Return the budget if the run's data was never opened, otherwise consume it; erase the run's private data.

    Once the data was opened, nothing can prove that none of it leaked, so the budget is spent; after consume it is
    already. The outcome follows from the claim alone; `status`, which Kubeflow reports about the run, is only logged.

    Args:
        run_id: identifier of the run.
        namespace: namespace of the claim.
        workspace: where the run has its private data, which is erased.
        status: how the run ended; Kubeflow fills it in.
    """
    try:
        with connect.connect() as client:
            outcome = client.settle(f"{namespace}/{connect.claim_name(run_id)}")
    finally:
        run_data.erase(workspace)
    public_log.say("settled", claim=connect.claim_name(run_id), outcome=outcome, state=status.get("state", "unknown"))


if __name__ == "__main__":
    arguments.run_component(release)
