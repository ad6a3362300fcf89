"""Kubernetes' own objects that the control plane keeps: its policy, its lease, its events."""

from __future__ import annotations

from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from privatekube import errors
from privatekube.resources.wire.common import Json
from privatekube.store.kubernetes.custom_objects import TIMEOUT_SECONDS, patiently, translated


class CoreObjects:
    """ConfigMaps, Leases and Events as JSON; methods raise as those of `cluster.Cluster`.

    Args:
        api: the connection.
        patience_seconds: how long to come again for a ConfigMap where the server is busy or away.
    """

    def __init__(self, api: client.ApiClient, *, patience_seconds: float = 0.0) -> None:
        self._api, self._patience = api, patience_seconds
        self._core = client.CoreV1Api(api)
        self._leases = client.CoordinationV1Api(api)

    def config_map(self, name: str, namespace: str) -> dict[str, str]:
        """What a ConfigMap holds; nothing where there is none."""

        def call() -> dict[str, str]:
            found = self._core.read_namespaced_config_map(name, namespace, _request_timeout=TIMEOUT_SECONDS)
            return dict(found.data or {})

        try:
            return patiently(call, f"configmap {namespace}/{name}", self._api, seconds=self._patience)
        except errors.NotFound:
            return {}

    def set_config_map(self, name: str, namespace: str, values: dict[str, str]) -> None:
        """Add to what a ConfigMap holds; it is made where it is missing."""
        body = {"metadata": {"name": name, "namespace": namespace}, "data": values}
        options = {"_request_timeout": TIMEOUT_SECONDS}
        with translated(f"configmap {namespace}/{name}"):
            try:
                self._core.patch_namespaced_config_map(name, namespace, body, **options)
            except ApiException as error:
                if error.status != 404:
                    raise
                self._core.create_namespaced_config_map(namespace, body, **options)

    def lease(self, name: str, namespace: str, *, timeout_seconds: float) -> Json | None:
        """A Lease, or None."""
        try:
            with translated(f"lease {namespace}/{name}"):
                found = self._leases.read_namespaced_lease(name, namespace, _request_timeout=timeout_seconds)
                return self._plain(found)
        except errors.NotFound:
            return None

    def write_lease(self, document: Json, *, timeout_seconds: float) -> Json:
        """Create a Lease, or replace it where `document` names a version; Conflict unless it is of that version."""
        name, namespace = document["metadata"]["name"], document["metadata"]["namespace"]
        with translated(f"lease {namespace}/{name}"):
            if document["metadata"].get("resourceVersion"):
                done = self._leases.replace_namespaced_lease(
                    name, namespace, document, _request_timeout=timeout_seconds
                )
            else:
                done = self._leases.create_namespaced_lease(namespace, document, _request_timeout=timeout_seconds)
            return self._plain(done)

    def create_event(self, namespace: str, body: Json) -> None:
        """Add an Event."""
        with translated(f"event in {namespace}"):
            self._core.create_namespaced_event(namespace, body, _request_timeout=TIMEOUT_SECONDS)

    def _plain(self, found: Any) -> Json:
        plain: Json = self._api.sanitize_for_serialization(found)
        return plain
