"""Look at a cluster without changing it: what is installed, who may do what, what nodes have, how pods are.

Objects are returned as the API server's JSON. All methods raise the errors of `custom_objects.Cluster`: NotServed where
this user may not look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes import client

from privatekube import errors
from privatekube.resources import meta
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes import login
from privatekube.store.kubernetes.api_calls import TIMEOUT_SECONDS, translated
from privatekube.store.kubernetes.core_objects import CoreObjects
from privatekube.store.kubernetes.server_clock import ServerClock
from privatekube.store.kubernetes.store import SYSTEM_NAMESPACE

NEEDED = {
    "PrivateDataBlock": ("spec.releaseMode", "status.committedShare", "status.conditions"),
    "PrivacyBudgetClaim": (
        "spec.settleAfter",
        "spec.privacyCard",
        "spec.requestedBy",
        "spec.deadline",
        "status.statement",
    ),
    "PrivacyBudgetQuota": ("spec.period", "spec.beyond", "spec.weight"),
    "PrivacyBudgetApproval": ("spec.demand",),
    "PrivacyLedgerEntry": ("spec.mechanisms", "spec.claimUid", "spec.requestedBy", "spec.approvals"),
    "RetiredPrivateData": ("spec.record",),
}
"""Fields of the resource definitions that this version needs: what the latest versions have added."""
LEASE = "privatekube-controller"
RUN_LABEL = "pipeline/runid"
"""The label that Kubeflow Pipelines gives the pods of a run."""
_LOG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Permission:
    """The right to do something with a kind of object in a namespace.

    Args:
        verb: such as `create`.
        resource: the kind, in the plural.
        namespace: where.
        group: of the API; the group of this project's kinds by default.
    """

    verb: str
    resource: str
    namespace: str
    group: str = meta.GROUP

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} in namespace {self.namespace}"


class Inspection:
    """Looks at one cluster as one user.

    Args:
        api: the connection.
    """

    def __init__(self, api: client.ApiClient) -> None:
        self._api, self._core = api, client.CoreV1Api(api)
        self.clock = ServerClock(api)

    @classmethod
    def of(cls, context: str | None) -> Inspection:
        """Look at the cluster of this pod's service account, or of a context of the kubeconfig.

        Raises:
            InvalidInput: there is none.
        """
        return cls(login.log_in(context=context))

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._api.configuration.host)

    def user(self) -> str:
        """Return the name of the user."""
        return CoreObjects(self._api).user()

    def has_namespace(self, name: str) -> bool:
        """Whether a namespace exists."""
        return self._found(f"namespace {name}", lambda **options: self._core.read_namespace(name, **options))

    def has_service_account(self, name: str, namespace: str) -> bool:
        """Whether a service account exists."""
        read = self._core.read_namespaced_service_account
        return self._found(f"service account {namespace}/{name}", lambda **options: read(name, namespace, **options))

    def missing_fields(self) -> list[str]:
        """Return what the installed resource definitions lack of `NEEDED`.

        Raises:
            NotFound: none of them is installed.
        """
        path = f"/openapi/v3/apis/{meta.API_VERSION}"
        with translated("resource definitions"):
            document, _, _ = self._api.call_api(
                path, "GET", auth_settings=["BearerToken"], response_type="object", _request_timeout=TIMEOUT_SECONDS
            )
        schemas = {
            kind["kind"]: schema
            for schema in document["components"]["schemas"].values()
            for kind in schema.get("x-kubernetes-group-version-kind", ())
        }
        return [
            f"{kind} {path}"
            for kind, paths in NEEDED.items()
            for path in paths
            if not _has(schemas.get(kind, {}), path.split("."))
        ]

    def lease_age_seconds(self) -> float | None:
        """Return how long ago the controller renewed its lease; None if no controller has one."""
        lease = CoreObjects(self._api).lease(LEASE, SYSTEM_NAMESPACE, timeout_seconds=TIMEOUT_SECONDS[1])
        spec = (lease or {}).get("spec", {})
        if not spec.get("renewTime") or not spec.get("holderIdentity"):
            return None
        return (self.clock.now_ms() - meta.parse_time(spec["renewTime"], "lease")) / 1000

    def is_allowed(self, permission: Permission, *, account: str | None = None) -> bool:
        """Whether a user may do something: the named one, which only some may ask, or else this one."""
        attributes = {
            "verb": permission.verb,
            "group": permission.group,
            "resource": permission.resource,
            "namespace": permission.namespace,
        }
        reviews = client.AuthorizationV1Api(self._api)
        options = {"_request_timeout": TIMEOUT_SECONDS}
        with translated("access review"):
            if account is None:
                own = {"spec": {"resourceAttributes": attributes}}
                return bool(reviews.create_self_subject_access_review(own, **options).status.allowed)
            spec: Json = {"resourceAttributes": attributes, "user": account, "groups": _groups(account)}
            body: Json = {"spec": spec}
            return bool(reviews.create_subject_access_review(body, **options).status.allowed)

    def nodes(self) -> list[Json]:
        """Return the nodes on which new pods may be placed."""
        nodes = self._items("nodes", self._core.list_node)
        return [node for node in nodes if not node["spec"].get("unschedulable")]

    def storage_classes(self) -> list[Json]:
        """Return the storage classes."""
        return self._items("storage classes", client.StorageV1Api(self._api).list_storage_class)

    def pods(self, namespace: str, run_id: str) -> list[Json]:
        """Return the pods of a run of Kubeflow Pipelines."""
        options = {"label_selector": f"{RUN_LABEL}={run_id}"}
        return self._items(f"pods in {namespace}", self._core.list_namespaced_pod, namespace, **options)

    def events(self, namespace: str, pod: str) -> list[Json]:
        """Return the Events about a pod, oldest first."""
        options = {"field_selector": f"involvedObject.kind=Pod,involvedObject.name={pod}"}
        events = self._items(f"events in {namespace}", self._core.list_namespaced_event, namespace, **options)
        return sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def pod_log(self, namespace: str, pod: str, container: str) -> str:
        """Return the end of the log of a pod's container."""
        with translated(f"log of pod {namespace}/{pod}"):
            return str(
                self._core.read_namespaced_pod_log(
                    pod, namespace, container=container, limit_bytes=_LOG_BYTES, _request_timeout=TIMEOUT_SECONDS
                )
            )

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _items(self, what: str, read: Callable[..., Any], *where: str, **options: str) -> list[Json]:
        with translated(what):
            listed = self._api.sanitize_for_serialization(read(*where, _request_timeout=TIMEOUT_SECONDS, **options))
        return list(listed["items"])

    def _found(self, what: str, read: Callable[..., object]) -> bool:
        try:
            with translated(what):
                read(_request_timeout=TIMEOUT_SECONDS)
        except errors.NotFound:
            return False
        return True


def service_account(name: str, namespace: str) -> str:
    """Return the user name of a service account."""
    return f"system:serviceaccount:{namespace}:{name}"


def _groups(account: str) -> list[str]:
    """Return the groups that a service account belongs to: roles are bound to them too."""
    namespace = account.split(":")[2]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]


def _has(schema: Mapping[str, Any], path: list[str]) -> bool:
    for name in path:
        schema = (schema.get("properties") or {}).get(name)  # type: ignore[assignment]  # checked at once
        if schema is None:
            return False
        schema = schema["allOf"][0] if "properties" not in schema and "allOf" in schema else schema
    return True
