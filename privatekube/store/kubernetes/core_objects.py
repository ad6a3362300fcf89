"""Kubernetes' own objects that are used: a ConfigMap for the policy, Secrets, a Lease, Events, the user's name."""

from __future__ import annotations

import base64
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from privatekube import errors
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes.api_calls import TIMEOUT_SECONDS, call_patiently, translated

_VALUE = "value"
"""The key of a Secret's only value."""


class CoreObjects:
    """Access to ConfigMaps, Secrets, Leases and Events; its methods raise the errors of `custom_objects.Cluster`.

    Args:
        api: the connection.
        patience_seconds: how long to retry to read while the server is busy or cannot be reached.
    """

    def __init__(self, api: client.ApiClient, *, patience_seconds: float = 0.0) -> None:
        self._api, self._patience = api, patience_seconds
        self._core = client.CoreV1Api(api)
        self._leases = client.CoordinationV1Api(api)
        self._user: str | None = None

    def user(self) -> str:
        """Return the name by which the API server knows the user of this connection; it is asked once."""
        if self._user is None:
            reviews = client.AuthenticationV1Api(self._api)

            def review() -> str:
                answer = reviews.create_self_subject_review({}, _request_timeout=TIMEOUT_SECONDS)
                return str(answer.status.user_info.username)

            self._user = call_patiently(review, "the user's name", self._api, timeout_seconds=self._patience)
        return self._user

    def namespaces(self) -> list[str]:
        """Return the names of all namespaces."""

        def read() -> list[str]:
            listed = self._core.list_namespace(_request_timeout=TIMEOUT_SECONDS)
            return [str(namespace.metadata.name) for namespace in listed.items]

        return call_patiently(read, "namespaces", self._api, timeout_seconds=self._patience)

    def config_map(self, name: str, namespace: str) -> dict[str, str]:
        """Return the data of a ConfigMap; empty where it does not exist."""

        def read() -> dict[str, str]:
            config_map = self._core.read_namespaced_config_map(name, namespace, _request_timeout=TIMEOUT_SECONDS)
            return dict(config_map.data or {})

        try:
            what = f"configmap {namespace}/{name}"
            return call_patiently(read, what, self._api, timeout_seconds=self._patience)
        except errors.NotFound:
            return {}

    def set_config_map(self, name: str, namespace: str, values: dict[str, str]) -> None:
        """Add values to a ConfigMap; it is created if it does not exist."""
        body = {"metadata": {"name": name, "namespace": namespace}, "data": values}
        options = {"_request_timeout": TIMEOUT_SECONDS}
        with translated(f"configmap {namespace}/{name}"):
            try:
                self._core.patch_namespaced_config_map(name, namespace, body, **options)
            except ApiException as error:
                if error.status != 404:
                    raise
                self._core.create_namespaced_config_map(namespace, body, **options)

    def ensure_secret(self, name: str, namespace: str, value: bytes) -> bytes:
        """Return the value in a Secret; it is created with `value` if it does not exist.

        Raises:
            StoreBusy: it does not exist yet, and this user may not create it: the controller does.
        """
        data = {_VALUE: base64.b64encode(value).decode()}
        with translated(f"secret {namespace}/{name}"):
            try:
                secret = self._core.read_namespaced_secret(name, namespace, _request_timeout=TIMEOUT_SECONDS)
            except ApiException as error:
                if error.status != 404:
                    raise
                secret = self._create_or_read_secret(name, namespace, data)
        return base64.b64decode(secret.data[_VALUE])

    def _create_or_read_secret(self, name: str, namespace: str, data: dict[str, str]) -> Any:
        """Create a Secret, or read the one that another process created first."""
        body = {"metadata": {"name": name, "namespace": namespace}, "data": data, "immutable": True}
        try:
            return self._core.create_namespaced_secret(namespace, body, _request_timeout=TIMEOUT_SECONDS)
        except ApiException as error:
            if error.status == 403:
                raise errors.StoreBusy(
                    f"secret {namespace}/{name}: does not exist yet, and you may not create it; the controller does as "
                    f"soon as it leads: kubectl -n {namespace} get pods -l app=privatekube-controller"
                ) from error
            if error.status != 409:
                raise
            return self._core.read_namespaced_secret(name, namespace, _request_timeout=TIMEOUT_SECONDS)

    def lease(self, name: str, namespace: str, *, timeout_seconds: float) -> Json | None:
        """Return a Lease, or None."""
        timeouts = (timeout_seconds, timeout_seconds)  # the client ignores one that is not a whole number
        try:
            with translated(f"lease {namespace}/{name}"):
                lease = self._leases.read_namespaced_lease(name, namespace, _request_timeout=timeouts)
                return self._to_json(lease)
        except errors.NotFound:
            return None

    def write_lease(self, document: Json, *, timeout_seconds: float) -> Json:
        """Create a Lease, or replace the version that `document` names; raises Conflict if it is not current."""
        name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
        timeouts = (timeout_seconds, timeout_seconds)
        with translated(f"lease {namespace}/{name}"):
            if document["metadata"].get("resourceVersion"):
                lease = self._leases.replace_namespaced_lease(name, namespace, document, _request_timeout=timeouts)
            else:
                lease = self._leases.create_namespaced_lease(namespace, document, _request_timeout=timeouts)
            return self._to_json(lease)

    def create_event(self, namespace: str, body: Json) -> None:
        """Add an Event."""
        with translated(f"event in {namespace}"):
            self._core.create_namespaced_event(namespace, body, _request_timeout=TIMEOUT_SECONDS)

    def _to_json(self, lease: Any) -> Json:
        document: Json = self._api.sanitize_for_serialization(lease)
        return document
