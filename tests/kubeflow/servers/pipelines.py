"""Kubeflow Pipelines' API server on loopback: it refuses what does not fit the published schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from tests.kubeflow.servers import api_schema
from tests.kubeflow.servers.http_server import Call, LoopbackServer, Reply

V2 = "/apis/v2beta1"


class Guard(Protocol):
    """What is in front of the API."""

    def refusal(self, call: Call, now: float) -> Reply | None: ...


class Pipelines(LoopbackServer):
    """The API; `broken` answers in its place where it is set, `guard` refuses what is not signed in."""

    def __init__(self) -> None:
        super().__init__()
        self.multi_user = True
        self.guard: Guard | None = None
        self.broken: Callable[[Call], Reply | None] = lambda _: None
        self.experiments: list[dict[str, Any]] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.namespaces = {"my-team"}
        self.retried: list[str] = []

    def answer(self, call: Call) -> Reply:  # noqa: PLR0911 - one for each path
        refusal = self.broken(call) or (self.guard.refusal(call, self.now) if self.guard else None)
        if refusal is not None:
            return refusal
        if call.path == f"{V2}/healthz":
            return Reply(200, {"multi_user": self.multi_user, "tag_name": "2.17.0"})
        if call.path == f"{V2}/experiments":
            return self._experiments(call)
        if call.path == f"{V2}/runs":
            return self._create_run(call) if call.method == "POST" else self._list_runs(call)
        if call.path.startswith(f"{V2}/runs/"):
            return self._run(call, call.path.removeprefix(f"{V2}/runs/"))
        if call.path.startswith("/apis/v1alpha1/runs/"):
            log = self.logs.get(call.path.split("/")[6])
            return Reply(500, {"error": "no such pod"}) if log is None else Reply(200, log.encode(), _TEXT)
        return Reply(404, b"404 page not found", _TEXT)

    def _namespace_fault(self, namespace: str | None) -> Reply | None:
        if self.multi_user and namespace not in self.namespaces:
            return Reply(403, {"error": f"User is not authorized in namespace {namespace}", "code": 7})
        if not self.multi_user and namespace:
            return Reply(400, {"error": "In single-user mode, namespace must be empty", "code": 3})
        return None

    def _experiments(self, call: Call) -> Reply:
        body = call.json if call.method == "POST" else {}
        fault = self._namespace_fault(body.get("namespace") if call.method == "POST" else call.query.get("namespace"))
        if fault is not None:
            return fault
        if call.method == "POST":
            faults = list(api_schema.faults(body, "V2beta1Experiment"))
            if faults:
                return Reply(400, {"error": "; ".join(faults), "code": 3})
            self.experiments.append({**body, "experiment_id": f"experiment-{len(self.experiments)}"})
            return Reply(200, self.experiments[-1])
        (predicate,) = json.loads(call.query["filter"])["predicates"]
        assert predicate.keys() == {"operation", "key", "stringValue"}
        matches = [item for item in self.experiments if item["display_name"] == predicate["stringValue"]]
        return Reply(200, {"experiments": matches} if matches else {})

    def _create_run(self, call: Call) -> Reply:
        run = call.json
        faults = [
            *api_schema.faults(run, "V2beta1Run"),
            *api_schema.package_faults(run["pipeline_spec"]),
            *api_schema.argument_faults(run),
        ]
        if run["experiment_id"] not in {item["experiment_id"] for item in self.experiments}:
            faults.append("experiment_id: unknown")
        if faults:
            return Reply(400, {"error": "; ".join(faults), "code": 3, "message": "; ".join(faults)})
        run_id = f"run-{len(self.runs)}"
        self.runs[run_id] = {**run, "run_id": run_id, "state": "PENDING", "created_at": "2026-01-01T00:00:00Z"}
        return Reply(200, self.runs[run_id])

    def _list_runs(self, call: Call) -> Reply:
        fault = self._namespace_fault(call.query.get("namespace"))
        runs = list(self.runs.values())
        page = int(call.query.get("page_token") or 0)
        following = {"next_page_token": str(page + 1)} if page + 1 < len(runs) else {}
        return fault or Reply(200, {"runs": runs[page : page + 1], **following} if runs else {})

    def _run(self, call: Call, rest: str) -> Reply:
        run_id, _, action = rest.partition(":")
        if run_id not in self.runs:
            return Reply(404, {"error": f"Run {run_id} not found", "code": 5})
        if action == "retry":
            self.retried.append(run_id)
            return Reply(200, {})
        if action == "terminate":
            self.runs[run_id]["state"] = "CANCELING"
            return Reply(200, {})
        if self.runs[run_id].get("state") == "CANCELING":  # the workflow ends a moment later
            self.runs[run_id]["state"] = "CANCELED"
            return Reply(200, self.runs[run_id] | {"state": "CANCELING"})
        return Reply(200, self.runs[run_id])


_TEXT = {"Content-Type": "text/plain"}
